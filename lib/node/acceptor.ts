/**
 * Accepts for a server in Node's shape, by callbacks. In a shortage of fds it pauses, as `serve` does; any other error of
 * accepting is the server's to report.
 */
import type { AsyncResource } from 'node:async_hooks'
import { EAGAIN, SystemError } from '../kernel/errno.js'
import { READABLE, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import type { Stream } from '../io/stream.js'
import { Patience } from '../net/accept-policy.js'
import { GONE_BEFORE } from '../net/accepting-socket.js'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import type { AnyAddress } from '../kernel/kernel.js'
import type { Callback } from '../runtime/runtime.js'
import type { Deadline } from '../time/deadlines.js'
import { keptContext } from './context.js'

export interface AcceptorUser {
  accepted(stream: Stream): void
  failed(error: SystemError): void
}

/** Connections accepted before it is the others' turn. */
const ACCEPTS_PER_TURN = 64

export class Acceptor implements Callback, Deadline {
  index = -1
  readonly address: AnyAddress
  readonly handle: Handle
  private readonly user: AcceptorUser
  private readonly context: AsyncResource | null
  private readonly patience: Patience
  private referenced = true
  private holding = false
  private called = false

  /** Accepts from the next turn on. */
  constructor(handle: Handle, address: AnyAddress, user: AcceptorUser) {
    this.handle = handle
    this.address = address
    this.user = user
    this.context = keptContext('COREACTOR_SERVER')
    this.patience = new Patience({ address })
    handle.reader = this
    this.update()
    if ((handle.readiness & READABLE) !== 0) this.wake()
  }

  reference(on: boolean): void {
    this.referenced = on
    this.update()
  }

  /** Idempotent. */
  close(): void {
    const { handle } = this
    if (handle.closed) return
    handle.reader = null
    handle.runtime.timers.stop(this)
    handle.close()
    this.update()
  }

  wake(): void {
    if (this.called || this.index >= 0) return
    this.called = true
    this.handle.runtime.callSoon(this)
  }

  /** The pause is over. */
  fire(): void {
    this.wake()
  }

  call(): void {
    this.called = false
    if (this.context === null) this.accept()
    else this.context.runInAsyncScope(this.accept, this)
  }

  private accept(): void {
    const { handle, patience, user } = this
    for (let accepted = 0; !handle.closed; accepted++) {
      if (accepted === ACCEPTS_PER_TURN) return this.wake()
      const fd = handle.kernel.accept(handle.fd)
      if (fd === EAGAIN) {
        handle.exhausted(READABLE)
        return
      }
      if (fd >= 0) {
        if (patience.paused) patience.end()
        let returned = false
        try {
          user.accepted(this.streamOf(fd))
          returned = true
        } finally {
          // A listener has thrown: those who wait are accepted in the next turn.
          if (!returned) this.wake()
        }
      } else if (!GONE_BEFORE.has(fd)) {
        return this.fail(new SystemError(fd, 'accept'))
      }
    }
  }

  private fail(error: SystemError): void {
    const { timers } = this.handle.runtime
    let pause: number
    try {
      pause = this.patience.after(error)
    } catch {
      return this.user.failed(error)
    }
    timers.start(this, timers.now() + pause)
  }

  private streamOf(fd: number): Stream {
    const handle = Handle.adopt(this.handle.runtime, fd)
    handle.readiness = WRITABLE
    handle.sole = true
    return this.address.family === 'Unix' ? new UnixConnection(handle) : new Connection(handle)
  }

  private update(): void {
    const hold = this.referenced && !this.handle.closed
    if (hold === this.holding) return
    this.holding = hold
    if (hold) this.handle.runtime.hold()
    else this.handle.runtime.letGo()
  }
}
