/** What sockets that carry messages have in common: one message a call, none in parts, and nothing is buffered here. */
import { check, EAGAIN, ENOBUFS, SystemError } from '../kernel/errno.js'
import type { UnixAddress } from '../kernel/kernel.js'
import { READABLE, READ_CLOSED, WRITABLE } from '../kernel/layout.js'
import { CloseAtOnce } from '../io/close-at-once.js'
import { BusyError, ClosedError } from '../io/errors.js'
import type { Handle } from '../io/handle.js'
import { WOULD_BLOCK } from '../io/receive.js'
import { Leaf } from '../task/leaf.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { sleep } from '../time/sleep.js'
import { Receiving } from './receiving.js'
import { Socket } from './socket.js'
import { receiveOne, transmit, type Limits, type Outgoing, type UnixMessage } from './unix-message.js'
import { asUnix } from './unix-path.js'

/** Null: 0 bytes that were no message, which is the end of a seqpacket connection. */
class ReceiveMessage extends Receiving<UnixMessage | null> {
  private readonly limits: Limits

  constructor(handle: Handle, limits: Limits) {
    super(handle)
    this.limits = limits
  }

  protected override take(): boolean {
    const { handle } = this
    const message = receiveOne(handle, this.limits)
    if (message === WOULD_BLOCK) return false
    // The end stays readable, whether or not its event has come yet.
    if (message === null) handle.readiness |= READABLE | READ_CLOSED
    return this.complete(message)
  }
}

export interface Addressed extends Outgoing {
  /** How errors call whom it is for. */
  readonly address: UnixAddress | undefined
}

/** False: there is no room, and no event will say when there is. */
class SendMessage extends Leaf<boolean> {
  private readonly handle: Handle
  private readonly outgoing: Addressed

  constructor(handle: Handle, outgoing: Addressed) {
    super()
    this.handle = handle
    this.outgoing = outgoing
  }

  protected override attempt(): boolean {
    const { handle, outgoing } = this
    if (handle.writer !== null && handle.writer !== this) throw new BusyError('sending to this socket')
    if (handle.closed) throw new ClosedError('the socket')
    if ((handle.readiness & WRITABLE) === 0) return false
    handle.writer = null
    const result = transmit(handle, outgoing)
    if (result >= 0) return this.complete(true)
    if (result === ENOBUFS) return this.complete(false)
    if (result !== EAGAIN) throw new SystemError(result, 'sendmsg', outgoing.address)
    // It may be the receiver who has no room. Linux tells the senders that are connected to it, and nobody else.
    if (outgoing.to !== undefined) return this.complete(false)
    handle.exhausted(WRITABLE)
    return false
  }

  protected override arm(): void {
    this.handle.writer = this
  }

  override disarm(): void {
    this.handle.writer = null
  }
}

/** A receiver without room is asked again after 1 ms, then after twice as long each time. */
const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 64

export abstract class MessageSocket extends Socket {
  private local: UnixAddress | undefined

  /** @internal Closes the fd if it cannot be prepared. */
  constructor(handle: Handle) {
    super(handle)
    // An empty message and the end are both 0 bytes (Linux). With this, only a message has a stamp.
    const result = handle.kernel.markMessages(handle.fd)
    if (result < 0) handle.close()
    check(result, 'setsockopt')
  }

  /** This side's address, whose path is empty if it has no name; undefined once closed, unless it was asked for before. */
  get localAddress(): UnixAddress | undefined {
    return (this.local ??= this.closed ? undefined : asUnix(this.handle.kernel.localAddress(this.handle.fd)))
  }

  /**
   * Closes now; what was sent is in the system's hands. Who is waiting on the socket gets `ClosedError`. Idempotent. In a
   * cancelled scope the fd is freed all the same; then `Cancelled` is thrown.
   */
  close(): Op<void> {
    return new CloseAtOnce(this.handle)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.handle.close()
  }

  /** @internal */
  protected receiveOne(limits: Limits): Op<UnixMessage | null> {
    return new ReceiveMessage(this.handle, limits)
  }

  /** @internal */
  protected sendOne(outgoing: Addressed): Op<void> {
    const { handle } = this
    return op(function* () {
      for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        if (yield* new SendMessage(handle, outgoing)) return
        yield* sleep(pause)
      }
    })
  }
}
