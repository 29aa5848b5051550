/**
 * Tells when a socket has been idle for too long. Being busy costs a look at the clock; nothing is moved in the queue of
 * deadlines until one falls due, and then only if it was too early. Never keeps the process alive.
 */
import type { AsyncResource } from 'node:async_hooks'
import type { Callback, Runtime } from '../runtime/runtime.js'
import type { Deadline } from '../time/deadlines.js'
import { keptContext } from './context.js'

export class IdleTimer implements Deadline, Callback {
  index = -1
  private readonly runtime: Runtime
  private readonly expired: () => void
  private readonly context: AsyncResource | null = keptContext('COREACTOR_TIMEOUT')
  /** Milliseconds; 0 = off. */
  private patience = 0
  /** When something was last done. */
  private last = 0
  /** When the deadline falls due; Infinity while there is none. */
  private due = Infinity
  private called = false

  constructor(runtime: Runtime, expired: () => void) {
    this.runtime = runtime
    this.expired = expired
  }

  /** Begins anew: `ms` without `refresh`, and it expires, once. 0 = never. */
  set(ms: number): void {
    this.patience = ms
    this.called = false
    if (ms === 0) return
    this.refresh()
    const due = this.last + ms
    if (this.due <= due) return
    this.stop()
    this.arm(due)
  }

  refresh(): void {
    if (this.patience > 0) this.last = this.runtime.now()
  }

  stop(): void {
    if (this.due === Infinity) return
    this.due = Infinity
    this.runtime.timers.stop(this)
  }

  fire(): void {
    this.due = Infinity
    if (this.patience === 0) return
    const due = this.last + this.patience
    if (due > this.runtime.now()) return this.arm(due)
    this.called = true
    this.runtime.callSoon(this)
  }

  call(): void {
    if (!this.called) return
    this.called = false
    if (this.context === null) this.expired()
    else this.context.runInAsyncScope(this.expired)
  }

  private arm(due: number): void {
    this.due = due
    this.runtime.timers.start(this, due)
  }
}
