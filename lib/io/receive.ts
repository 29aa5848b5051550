/**
 * Reading from a stream socket what is there: into the caller's buffer, or into one that the library provides. What is
 * buffered already comes first. Reading what a protocol is made of is for `read.ts`.
 */
import { EAGAIN, EINTR, SystemError, type FilePaths } from '../kernel/errno.js'
import { READABLE, READ_CLOSED } from '../kernel/layout.js'
import { Leaf } from '../task/leaf.js'
import type { Op } from '../task/types.js'
import { checkInteger } from '../task/validate.js'
import { BusyError, ClosedError } from './errors.js'
import type { Handle } from './handle.js'
import type { ReadBuffer } from './read-buffer.js'
import { ReadSlab, SLAB_SIZE } from './read-slab.js'

/** One system call moves at most this much on Linux; more is only ever asked for by mistake. */
export const MAX_READ = 0x7fff_f000

/** Nothing there; the registration has been told. */
export const WOULD_BLOCK = -1

/** What both sides of a stream share about its end. */
export interface StreamState {
  readonly handle: Handle
  /** What it is called in an error; as its handle has it unless it is said. */
  readonly noun?: string
  /** Of a file: where it is, for an error. */
  readonly where?: FilePaths | undefined
  /** What has come and has not been read; null until something has been left over. */
  readonly input: ReadBuffer | null
  /** The error that ended reading. Linux reports a reset once and a clean end ever after, so it is kept. */
  readError: SystemError | null
  /** The peer's end has been read: nothing is unread. */
  readEnded: boolean
  /** Bytes that have been received, ever. */
  taken: number
  /** Closing has begun: nothing but the rest of what was written may happen. */
  closing: boolean
  /** A write error nobody has seen yet, asked for when reading comes to its end. Counts as seen then. */
  unseenWriteError(): Error | null
}

/** One system call. Bytes received at `offset`, 0 = the peer has finished, or WOULD_BLOCK. The stream is not closed. */
export function receive(stream: StreamState, into: Uint8Array, offset: number, length: number): number {
  const { handle } = stream
  if (stream.readError !== null) throw stream.readError
  let received = handle.transfer.receive(handle.fd, into, offset, length)
  while (received === EINTR) received = handle.transfer.receive(handle.fd, into, offset, length)
  if (received > 0) {
    stream.taken += received
    // A short count says that the socket is empty, which saves the call that would answer EAGAIN. Unless the peer has
    // finished: then its end is still to be read, and no edge will come for it.
    if (received < length && (handle.readiness & READ_CLOSED) === 0) handle.exhausted(READABLE)
    return received
  }
  return concluded(stream, received)
}

/** What a system call that has read nothing says: its answer, 0 or an error. As `receive`. */
export function concluded(stream: StreamState, received: number): number {
  const { handle } = stream
  if (received === EAGAIN) {
    handle.exhausted(READABLE)
    return WOULD_BLOCK
  }
  if (received === 0) {
    // The end stays readable, whether or not its event has come yet.
    handle.readiness |= READABLE | READ_CLOSED
    stream.readEnded = true
    const error = stream.unseenWriteError()
    if (error !== null) throw error
    return 0
  }
  stream.readError ??= new SystemError(received, 'read', stream.where)
  throw stream.readError
}

/** Throws what a reader must know before it does anything. `reader` is null for a call that does not wait. */
export function checkReader(stream: StreamState, reader: Leaf<unknown> | null): void {
  const { handle, noun = handle.noun } = stream
  // First: a close that drains what is unread is a reader, too.
  if (stream.closing || handle.closed) throw new ClosedError(`the ${noun}`)
  if (handle.reader !== null && handle.reader !== reader) throw new BusyError(`reading from this ${noun}`)
}

/** The wait that all kinds of read share. */
export abstract class Receiving<T> extends Leaf<T> {
  protected readonly stream: StreamState

  constructor(stream: StreamState) {
    super()
    this.stream = stream
  }

  protected override attempt(): boolean {
    const { stream } = this
    checkReader(stream, this)
    stream.handle.reader = null
    return this.take()
  }

  protected abstract take(): boolean

  /** Whether a system call makes sense. */
  protected get ready(): boolean {
    return (this.stream.handle.readiness & READABLE) !== 0 || this.stream.readError !== null
  }

  /** Stays the reader until it has completed, woken or not: nobody reads in between. */
  protected override arm(): void {
    this.stream.handle.reader = this
  }

  override disarm(): void {
    const { handle } = this.stream
    // A close that has begun meanwhile may have taken the place.
    if (handle.reader === this) handle.reader = null
  }
}

/** `read(into)`. */
export class Receive extends Receiving<number> {
  private readonly into: Uint8Array

  constructor(stream: StreamState, into: Uint8Array) {
    super(stream)
    this.into = into
  }

  protected override take(): boolean {
    const { stream, into } = this
    const { input } = stream
    if (input !== null && input.length > 0) return this.complete(input.takeInto(into))
    if (!this.ready) return false
    const received = receive(stream, into, 0, into.length)
    return received !== WOULD_BLOCK && this.complete(received)
  }
}

/** `readSome(max)`. */
class ReceiveSome extends Receiving<Buffer | null> {
  private readonly slab: ReadSlab
  private readonly max: number

  constructor(stream: StreamState, slab: ReadSlab, max: number) {
    super(stream)
    this.slab = slab
    this.max = max
  }

  protected override take(): boolean {
    const { stream, slab } = this
    const { input } = stream
    const most = Math.min(this.max, SLAB_SIZE)
    if (input !== null && input.length > 0) return this.complete(input.take(Math.min(most, input.length)))
    if (!this.ready) return false
    const received = receive(stream, slab.enter(null), 0, most)
    if (received === WOULD_BLOCK) return false
    return this.complete(received === 0 ? null : slab.take(received))
  }
}

export function receiveSome(stream: StreamState, max: number): Op<Buffer | null> {
  checkInteger('max', max, 1, MAX_READ)
  return new ReceiveSome(stream, ReadSlab.of(stream.handle.runtime), max)
}
