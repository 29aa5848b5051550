/** A scope that cancellation from outside does not reach, for clean-up that has to wait for something. */
import { enterScope } from '../task/enter-scope.js'
import type { Failure } from '../task/errors.js'
import { op } from '../task/op.js'
import { Scope, type Cancellation } from '../task/scope.js'
import type { Task } from '../task/task.js'
import type { Body, Op } from '../task/types.js'
import { checkFunction, checkMilliseconds } from '../task/validate.js'
import type { Deadline } from './deadlines.js'
import { timersOf } from './timers.js'

/** Options of `shield`. */
export interface ShieldOptions {
  /** Milliseconds from the cancellation from outside until it is let in; never by default. */
  timeout?: number | undefined
}

class ShieldScope extends Scope implements Deadline {
  index = -1
  private readonly patience: number
  /** Invariant: true exactly when what has cancelled it came from outside. */
  private admitted = false

  constructor(host: Task, patience: number) {
    super(host.scheduler, host.scope, host)
    this.patience = patience
    if (!this.cancelRequested) return
    this.cancelRequested = false
    this.cancelReason = undefined
    this.cancelOrigin = null
    this.wait()
  }

  protected override arrive(cancellation: Cancellation): void {
    if (this.patience > 0) {
      this.wait()
      return
    }
    this.admitted = true
    super.arrive(cancellation)
  }

  /** A cancellation of its own ends with it although one from outside is waiting: that is for the next operation. */
  override get absorbs(): boolean {
    return this.ownCancel && !this.admitted
  }

  /** The patience has ended. */
  fire(): void {
    if (!this.cancelRequested) this.admitted = true
    this.admit()
  }

  override leave(): readonly Failure[] {
    timersOf(this.scheduler).stop(this)
    return super.leave()
  }

  private wait(): void {
    if (this.patience === Infinity || this.index >= 0) return
    const timers = timersOf(this.scheduler)
    timers.start(this, timers.now() + this.patience)
  }
}

/**
 * Runs `body` in a scope that cancellation from outside does not reach; what is inside can still be cancelled through the
 * scope that the body is given. With a `timeout` the cancellation is let in when it has waited so long. The result is
 * given in any case; the cancellation is raised by the next operation after it.
 *
 * It also runs in a cancelled scope: in a `finally`, where every other operation throws `Cancelled` again.
 *
 * @example
 * try {
 *   yield* talk(connection)
 * } finally {
 *   yield* shield(function* () {
 *     yield* connection.write('QUIT\r\n')
 *     yield* connection.close()
 *   }, { timeout: 1000 })
 * }
 */
export function shield<T>(body: Body<[Scope], T>, options: ShieldOptions = {}): Op<T> {
  checkFunction('body', body)
  const { timeout = Infinity } = options
  checkMilliseconds('options.timeout', timeout)
  return op(() => enterScope(body, { make: (host) => new ShieldScope(host, timeout), shielded: true }))
}
