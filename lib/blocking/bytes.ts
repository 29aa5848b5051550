/** The memory that users give to calls on files: checked before anything is done. */
import { Chunks } from '../jobs/transfer.js'
import { invalidType, invalidValue } from '../task/validate.js'

/** Throws what is wrong with a buffer to read into. */
export function checkInto(name: string, into: unknown): asserts into is Uint8Array {
  if (!(into instanceof Uint8Array)) throw invalidType(name, 'a Uint8Array', into)
  checkAttached(name, into)
  if (into.length === 0) throw invalidValue(name, 'must not be empty', into)
}

/** What is written, as one piece or more. */
export function chunksOf(name: string, data: unknown): Chunks {
  if (typeof data === 'string') return new Chunks([Buffer.from(data)])
  const chunks: unknown[] = Array.isArray(data) ? [...(data as unknown[])] : [data]
  for (const chunk of chunks) {
    if (!(chunk instanceof Uint8Array)) throw invalidType(name, 'a string, a Uint8Array or an array of Uint8Arrays', data)
    checkAttached(name, chunk)
  }
  return new Chunks(chunks as Uint8Array[])
}

/** Its memory has not been transferred to somebody else: an empty view is all that shows of that. */
function checkAttached(name: string, view: Uint8Array): void {
  if (view.length > 0) return
  try {
    new Uint8Array(view.buffer)
  } catch {
    throw invalidValue(name, 'must not be detached: its memory was transferred', view)
  }
}
