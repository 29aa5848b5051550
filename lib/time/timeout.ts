/** Scopes with a deadline: one that complains when it has passed, and one that goes on. */
import { enterScope } from '../task/enter-scope.js'
import { CoreactorError, type Failure } from '../task/errors.js'
import { op } from '../task/op.js'
import { Scope } from '../task/scope.js'
import type { Task } from '../task/task.js'
import type { Body, Op } from '../task/types.js'
import { checkFunction, checkMilliseconds } from '../task/validate.js'
import type { Deadline } from './deadlines.js'
import { timersOf } from './timers.js'

/** The deadline of a `timeout` has passed. */
export class TimeoutError extends CoreactorError {
  constructor(ms: number) {
    super('ERR_COREACTOR_TIMEOUT', `timed out after ${ms} ms`)
  }
}

/** What the bodies of `timeout` and `moveOnAfter` are given. */
export class DeadlineScope extends Scope implements Deadline {
  /** @internal */
  index = -1
  private when: number
  private ms: number
  private passed = false

  /** @internal Use `timeout` or `moveOnAfter`. */
  constructor(host: Task, ms: number) {
    super(host.scheduler, host.scope, host)
    const timers = timersOf(this.scheduler)
    this.ms = ms
    this.when = timers.now() + Math.max(ms, 0)
    timers.start(this, this.when)
  }

  /** When it falls due, in milliseconds of the clock that `now` reads; Infinity for never. */
  get deadline(): number {
    return this.when
  }

  /** Whether this deadline, and nothing before it, has cancelled the scope. */
  get expired(): boolean {
    return this.passed
  }

  /** Moves the deadline to `ms` milliseconds from now. False if the scope has been cancelled already: it is too late. */
  reschedule(ms: number): boolean {
    checkMilliseconds('ms', ms)
    if (this.cancelled || this.closed) return false
    const timers = timersOf(this.scheduler)
    timers.stop(this)
    this.ms = ms
    this.when = timers.now() + Math.max(ms, 0)
    timers.start(this, this.when)
    return true
  }

  /** @internal */
  fire(): void {
    this.passed = !this.cancelled
    this.cancelBy(this.error(), null, false)
  }

  /** @internal A new one has the stack of whoever asks. */
  error(): TimeoutError {
    return new TimeoutError(this.ms)
  }

  /** @internal */
  override leave(): readonly Failure[] {
    timersOf(this.scheduler).stop(this)
    return super.leave()
  }
}

/**
 * Runs `body` in a scope of its own that is cancelled `ms` milliseconds from now. Throws `TimeoutError` only if this
 * deadline cut the body off; a body that completes all the same gives its result. Nested timeouts each answer for
 * themselves. It ends when the body and all its tasks really have. The body is given the scope, which can `reschedule`.
 *
 * Errors: `TimeoutError` (`ERR_COREACTOR_TIMEOUT`), and what the body throws.
 *
 * @example
 * const line = yield* timeout(5000, () => connection.readSome())
 */
export function timeout<T>(ms: number, body: Body<[DeadlineScope], T>): Op<T> {
  return within(ms, body, (scope) => {
    if (scope.expired) throw scope.error()
  })
}

/**
 * The same, for what is optional: when the deadline has cut the body off, the result is undefined.
 *
 * @example
 * const news = yield* moveOnAfter(100, () => connection.readSome())
 */
export function moveOnAfter<T>(ms: number, body: Body<[DeadlineScope], T>): Op<T | undefined> {
  return within<T | undefined>(ms, body, () => {})
}

function within<T>(ms: number, body: Body<[DeadlineScope], T>, absorbed: (scope: DeadlineScope) => void): Op<T> {
  checkMilliseconds('ms', ms)
  checkFunction('body', body)
  return op(() => enterScope(body, { make: (host) => new DeadlineScope(host, ms), absorbed }))
}
