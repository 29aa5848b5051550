/** Reading and writing any fd with blocking calls in a thread, through memory of the thread's own. */
import { EAGAIN, SystemError, type FilePaths } from '../kernel/errno.js'
import { JOB_MOST_BYTES } from '../kernel/layout.js'
import { Cancelled } from '../task/errors.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { blockingCall } from './blocking-call.js'
import { DetachedBufferError } from './errors.js'

export interface Place {
  readonly fd: number
  /** -1: the file's own place. */
  readonly position: number
  /** Whether the call may wait for another task or process. */
  readonly waits: boolean
  readonly where?: FilePaths | undefined
}

/** Reads once, into all of `into`, one after the other: at most JOB_MOST_BYTES. */
export function readOnce({ fd, position, waits, where }: Place, into: readonly Uint8Array[], abandon: boolean): Op<number> {
  const room = sizeOf(into)
  // Between being checked and now.
  if (room === 0) throw new DetachedBufferError(0)
  const length = Math.min(room, JOB_MOST_BYTES)
  return blockingCall(
    { kind: 'read', fd, length, position, waits },
    (result, take) => {
      if (result < 0) throw new SystemError(result, 'read', where)
      if (result === 0) return 0
      const placed = take(into) as number
      if (placed < result) throw new DetachedBufferError(result - placed)
      return result
    },
    abandon
  )
}

/** What is to be written, and how much it was when it was given. */
export class Chunks {
  readonly size: number
  private readonly pieces: readonly Uint8Array[]

  constructor(pieces: readonly Uint8Array[]) {
    this.pieces = pieces
    this.size = sizeOf(pieces)
  }

  /** All of them. Throws if some of it is not there any more. */
  get all(): readonly Uint8Array[] {
    if (sizeOf(this.pieces) !== this.size) throw new DetachedBufferError(0)
    return this.pieces
  }
}

/** Writes all chunks, with as many calls as it takes. An error, `Cancelled` too, says `bytesWritten`, if any were. */
export function writeAll(place: Place, chunks: Chunks, abandon: boolean): Op<number> {
  return op(() => writing(place, chunks, abandon))
}

function* writing(given: Place, chunks: Chunks, abandon: boolean): Coroutine<number> {
  const { size } = chunks
  let place = given
  let done = 0
  try {
    do {
      const { all } = chunks
      const piece = done === 0 && size <= JOB_MOST_BYTES ? all : pieceOf(all, done)
      const written = yield* writeOnce(place, piece, done, abandon)
      // No file, and a description that does not block: a thread is to wait in its place.
      if (written === EAGAIN) place = { ...place, waits: true }
      else done += written
    } while (done < size)
    return done
  } catch (error) {
    if (done > 0 && (error instanceof Cancelled || error instanceof SystemError || error instanceof DetachedBufferError)) {
      Object.assign(error, { bytesWritten: done })
    }
    throw error
  }
}

/** The bytes that were written, or EAGAIN if it did not wait. */
function writeOnce({ fd, position, waits, where }: Place, chunks: readonly Uint8Array[], done: number, abandon: boolean): Op<number> {
  return blockingCall(
    { kind: 'write', fd, chunks, position: position < 0 ? position : position + done, waits },
    (result) => {
      if (result < 0 && (result !== EAGAIN || waits)) throw new SystemError(result, 'write', where)
      return result
    },
    abandon
  )
}

/** At most JOB_MOST_BYTES, `skip` bytes from the beginning. */
function pieceOf(chunks: readonly Uint8Array[], skip: number): Uint8Array[] {
  const piece: Uint8Array[] = []
  let before = skip
  let room = JOB_MOST_BYTES
  for (const chunk of chunks) {
    if (before < chunk.length && room > 0) {
      const part = chunk.subarray(before, before + room)
      piece.push(part)
      room -= part.length
    }
    before = Math.max(0, before - chunk.length)
  }
  return piece
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  let size = 0
  for (const { length } of chunks) size += length
  return size
}
