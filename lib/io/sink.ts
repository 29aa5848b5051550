/** What takes chunks one after the other and is no socket, such as a file; and moving everything from a stream into it. */
import { Cancelled } from '../task/errors.js'
import type { Coroutine, Op } from '../task/types.js'
import type { CutOff } from './write.js'

export abstract class Sink {
  /** Takes all of `data`, and has it when this completes. An error says in `bytesWritten` how much it has taken. */
  abstract write(data: Uint8Array): Op<unknown>
  /** Nothing more will come. */
  abstract closeWrite(): Op<void>
}

/** What can be read chunk by chunk, and takes back what nobody wants. */
export interface ChunkSource {
  readonly closed: boolean
  readSome(): Op<Buffer | null>
  unread(bytes: Uint8Array): void
}

/** Moves until the source has ended; what the sink has not taken is read from the source next. Gives the number of bytes. */
export function* pipeToSink(source: ChunkSource, sink: Sink, end: boolean): Coroutine<number> {
  let moved = 0
  try {
    for (let chunk; (chunk = yield* source.readSome()) !== null; ) {
      try {
        yield* sink.write(chunk)
        moved += chunk.length
      } catch (error) {
        const taken = takenBefore(error)
        moved += taken
        if (!source.closed) source.unread(chunk.subarray(taken))
        throw error
      }
    }
    if (end) yield* sink.closeWrite()
    return moved
  } catch (error) {
    if (error instanceof Cancelled) Object.assign(error, { bytesWritten: moved } satisfies CutOff)
    throw error
  }
}

function takenBefore(error: unknown): number {
  const { bytesWritten = 0 } = error instanceof Error ? (error as Partial<CutOff>) : {}
  return bytesWritten
}
