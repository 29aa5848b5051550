/** The wait for what comes in one piece on a socket that is no stream: a datagram, a message. What it is, is for its users. */
import { READABLE } from '../kernel/layout.js'
import { BusyError, ClosedError } from '../io/errors.js'
import type { Handle } from '../io/handle.js'
import { Leaf } from '../task/leaf.js'

export abstract class Receiving<T> extends Leaf<T> {
  protected readonly handle: Handle

  constructor(handle: Handle) {
    super()
    this.handle = handle
  }

  protected override attempt(): boolean {
    const { handle } = this
    if (handle.reader !== null && handle.reader !== this) throw new BusyError('receiving from this socket')
    if (handle.closed) throw new ClosedError('the socket')
    if ((handle.readiness & READABLE) === 0) return false
    handle.reader = null
    return this.take()
  }

  /** Completes with what one system call gives; false: nothing is there, and the registration has been told. */
  protected abstract take(): boolean

  protected override arm(): void {
    this.handle.reader = this
  }

  override disarm(): void {
    this.handle.reader = null
  }
}
