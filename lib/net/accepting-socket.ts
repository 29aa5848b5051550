/** A socket that listens, of whatever family: accepting from it, and closing it. How it came to listen is for others. */
import { EAGAIN, ECONNABORTED, EINTR, ENETDOWN, EOPNOTSUPP, EPERM, EPROTO, SystemError } from '../kernel/errno.js'
import type { AnyAddress } from '../kernel/kernel.js'
import { READABLE, WRITABLE } from '../kernel/layout.js'
import { CloseAtOnce } from '../io/close-at-once.js'
import { BusyError, ClosedError } from '../io/errors.js'
import { Handle } from '../io/handle.js'
import { current } from '../task/ambient.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import type { Op } from '../task/types.js'
import { acceptPatiently, type Gate, type Host } from './accept-policy.js'
import { Socket } from './socket.js'

/** Errors of a connection that was gone before it could be accepted (accept(2)), and of nothing else. */
export const GONE_BEFORE = new Set([ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN, EOPNOTSUPP])

class Accept<C> extends Leaf<C> {
  private readonly handle: Handle
  private readonly socket: AcceptingSocket<C>
  /** Null: what comes is taken. */
  private readonly gate: Gate | null
  /** It could go on, but has had its share of the turn. */
  private paused = false

  constructor(socket: AcceptingSocket<C>, gate: Gate | null) {
    super()
    this.gate = gate
    this.handle = socket.handle
    this.socket = socket
  }

  protected override attempt(): boolean {
    const { handle } = this
    if (handle.reader !== null && handle.reader !== this) throw new BusyError('accepting from this listener')
    if (handle.closed) throw new ClosedError('the listener')
    if ((handle.readiness & READABLE) === 0 || this.gate?.full === true) return false
    handle.reader = null
    for (;;) {
      const fd = handle.kernel.accept(handle.fd)
      if (fd >= 0) return this.complete(this.socket.accepted(fd))
      if (fd === EAGAIN) {
        handle.exhausted(READABLE)
        return false
      }
      if (!GONE_BEFORE.has(fd)) throw new SystemError(fd, 'accept')
      // Each counts as an operation: a flood of connections that are gone already stops nobody else.
      if ((current as Task).scheduler.spend()) {
        this.paused = true
        return false
      }
    }
  }

  /** While the gate is closed nobody need know of those who come. */
  protected override arm(): void {
    if (this.gate?.full === true) this.gate.await(this)
    else this.handle.reader = this
  }

  override disarm(): void {
    const { handle } = this
    this.gate?.leave(this)
    if (handle.reader === this) handle.reader = null
  }

  /** A task that has paused is not parked, so that nobody has called the wait off. */
  override refused(): void {
    this.disarm()
  }

  protected override park(task: Task): this {
    super.park(task)
    if (this.paused) task.yieldTurn()
    this.paused = false
    return this
  }
}

export abstract class AcceptingSocket<C, A extends AnyAddress = AnyAddress> extends Socket {
  /** Where it listens, with the port the system has chosen if it was 0. */
  readonly address: A

  /** @internal Use `listen`. */
  constructor(handle: Handle, address: A) {
    super(handle)
    this.address = address
  }

  /** The object that stands for a connection. */
  protected abstract wrap(handle: Handle): C

  /** @internal A connection that the system has just handed out. */
  accepted(fd: number): C {
    const handle = Handle.adopt(this.handle.runtime, fd)
    // A new socket has room: the first write need not wait for the event that says so.
    handle.readiness = WRITABLE
    handle.sole = true
    return this.wrap(handle)
  }

  /**
   * Waits for a connection. On cancel none has been taken. Connections that were gone before they could be accepted are
   * passed over. Errors: `ClosedError`, `BusyError` (another task accepts), system errors such as `EMFILE`, after which
   * the connection still waits: pause before the next call, as iterating and `serve` do.
   */
  accept(): Op<C> {
    return new Accept(this, null)
  }

  /** @internal The same, as long as `gate` lets somebody in. */
  acceptThrough(gate: Gate): Op<C> {
    return new Accept(this, gate)
  }

  /** @internal Hands those that wait already to `host`, at most `most`, until it is full or they cannot be had. */
  acceptWaiting(host: Host<C>, most: number): void {
    const { handle } = this
    for (let left = most; left > 0 && !host.full && !handle.closed; left--) {
      const fd = handle.kernel.accept(handle.fd)
      if (fd >= 0) host.accepted(this.accepted(fd))
      else if (!GONE_BEFORE.has(fd)) return
    }
  }

  /**
   * Stops listening. Connections that were not accepted are reset by the system. Idempotent. In a cancelled scope the fd
   * is freed all the same; then `Cancelled` is thrown.
   */
  close(): Op<void> {
    return new CloseAtOnce(this.handle)
  }

  /** The connections that come, until the listener is closed. Out of fds, it pauses and goes on by itself. */
  async *[Symbol.asyncIterator](): AsyncGenerator<C, void, undefined> {
    const accept = acceptPatiently(this)
    for (;;) {
      const connection = await accept()
      if (connection === null) return
      yield connection
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.handle.close()
  }
}
