/** Reading from a stream socket: into the caller's buffer, or into one that the library provides. */
import { EAGAIN, SystemError } from '../kernel/errno.js'
import { READABLE, READ_CLOSED } from '../kernel/layout.js'
import { Leaf } from '../task/leaf.js'
import { BusyError, ClosedError } from './errors.js'
import type { Handle } from './handle.js'
import type { ReadSlab } from './read-slab.js'

/** Nothing there; the registration has been told. */
export const WOULD_BLOCK = -1

/** What both sides of a stream share about its end. */
export interface StreamState {
  readonly handle: Handle
  /** The error that ended reading. Linux reports a reset once and a clean end ever after, so it is kept. */
  readError: SystemError | null
  /** Closing has begun: nothing but the rest of what was written may happen. */
  closing: boolean
  /** A write error nobody has seen yet, asked for when reading comes to its end. Counts as seen then. */
  unseenWriteError(): Error | null
}

/** One system call. Bytes received, 0 = the peer has finished, or WOULD_BLOCK. */
export function receive(stream: StreamState, into: Uint8Array, length: number): number {
  const { handle } = stream
  if (stream.closing || handle.closed) throw new ClosedError('the connection')
  if (stream.readError !== null) throw stream.readError
  const received = handle.transfer.receive(handle.fd, into, 0, length)
  if (received > 0) {
    // A short count says that the socket is empty, which saves the call that would answer EAGAIN. Unless the peer has
    // finished: then its end is still to be read, and no edge will come for it.
    if (received < length && (handle.readiness & READ_CLOSED) === 0) handle.exhausted(READABLE)
    return received
  }
  if (received === EAGAIN) {
    handle.exhausted(READABLE)
    return WOULD_BLOCK
  }
  if (received === 0) {
    // The end stays readable, whether or not its event has come yet.
    handle.readiness |= READABLE | READ_CLOSED
    const error = stream.unseenWriteError()
    if (error !== null) throw error
    return 0
  }
  stream.readError = new SystemError(received, 'read')
  throw stream.readError
}

/** The wait that both kinds of read share. */
abstract class Receiving<T> extends Leaf<T> {
  protected readonly stream: StreamState

  constructor(stream: StreamState) {
    super()
    this.stream = stream
  }

  protected override attempt(): boolean {
    const { stream } = this
    const { handle } = stream
    if (handle.reader !== null && handle.reader !== this) throw new BusyError('reading from this connection')
    if ((handle.readiness & READABLE) === 0 && !stream.closing && !handle.closed && stream.readError === null) return false
    handle.reader = null
    return this.take()
  }

  protected abstract take(): boolean

  /** Stays the reader until it has completed, woken or not: nobody reads in between. */
  protected override arm(): void {
    this.stream.handle.reader = this
  }

  override disarm(): void {
    this.stream.handle.reader = null
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
    const received = receive(this.stream, this.into, this.into.length)
    return received !== WOULD_BLOCK && this.complete(received)
  }
}

/** `readSome(max)`. */
export class ReceiveSome extends Receiving<Buffer | null> {
  private readonly slab: ReadSlab
  private readonly max: number

  constructor(stream: StreamState, slab: ReadSlab, max: number) {
    super(stream)
    this.slab = slab
    this.max = max
  }

  protected override take(): boolean {
    const { slab } = this
    const received = receive(this.stream, slab.buffer, Math.min(this.max, slab.buffer.length))
    if (received === WOULD_BLOCK) return false
    return this.complete(received === 0 ? null : slab.take(received))
  }
}
