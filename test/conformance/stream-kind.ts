/**
 * What a kind of stream has to give so that `checkStream` can check it: a way to run, two connected ends, and what it
 * does not have. A kind that is one-way gives the writing end first.
 */
import type { Body, Coroutine, Scope } from 'coreactor'
import type { Stream } from '../../lib/io/stream.js'
import { FaultyKernel, MemoryKernel, type Faults } from 'coreactor/testing'
import { run } from 'coreactor'

/** What every end of a stream can do, whatever it is made of. */
export type End = Pick<
  Stream,
  | 'fd'
  | 'closed'
  | 'bufferedBytes'
  | 'bufferedInput'
  | 'read'
  | 'readSome'
  | 'readExactly'
  | 'readUntil'
  | 'readLine'
  | 'skipUntil'
  | 'peek'
  | 'unread'
  | 'tryRead'
  | 'write'
  | 'tryWrite'
  | 'flush'
  | 'closeWrite'
  | 'close'
  | 'reset'
  | typeof Symbol.asyncIterator
  | typeof Symbol.asyncDispose
>

export interface StreamKind {
  run<T>(main: Body<[Scope], T>): Promise<T>
  /** Two connected ends: what is written to the first is read from the second, and the other way round if `twoWay`. */
  pair(): Coroutine<[first: End, second: End]>
  /** Whether both ends read and write. */
  readonly twoWay: boolean
  /** Whether an end can finish writing and go on reading. */
  readonly halfClose: boolean
  /** Whether `reset` tells the peer so, with ECONNRESET. */
  readonly reset: boolean
  /** Whether a reset that comes behind bytes that nobody has read is taken for an end, as libuv does. */
  readonly resetHidden?: boolean
  /** Whether errors are those of somebody else's stream, and no `SystemError`s. */
  readonly foreignErrors?: boolean
  /** More bytes than the kind takes while nobody reads. 8 MiB by default. */
  readonly big?: number
  /** Whether a call may do less than it could, so that what one call does says nothing. */
  readonly reluctant?: boolean
}

/** `kind.run` for kinds that live in memory. Fails if a socket has been left open. */
export async function runInMemory<T>(main: Body<[Scope], T>, capacity?: number): Promise<T> {
  const kernel = new MemoryKernel({ capacity })
  const result = await run(main, { kernel })
  if (kernel.openSockets > 0) throw new Error(`${kernel.openSockets} sockets were left open`)
  return result
}

/** How many runs with faults there have been: each has a seed of its own, the same every time. */
let runs = 0

/** `kind.run` for kinds on a kernel that fails. The error says with which seed. Fails if anything has been left open. */
export async function runWithFaults<T>(main: Body<[Scope], T>, faults: Faults, over?: MemoryKernel): Promise<T> {
  const kernel = new FaultyKernel({ faults, over, seed: ++runs })
  try {
    const result = await run(main, { kernel })
    if (kernel.openFds > 0 || kernel.watched > 0) throw new Error(`${kernel.openFds} fds, ${kernel.watched} watched, were left`)
    return result
  } catch (error) {
    throw new Error(String(kernel), { cause: error })
  }
}

/** Everything the peer sends, until it has finished. */
export function* readAllOf(end: End): Coroutine<Buffer> {
  const chunks: Buffer[] = []
  for (let chunk; (chunk = yield* end.readSome()) !== null; ) chunks.push(chunk)
  return Buffer.concat(chunks)
}
