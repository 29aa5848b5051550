/** A scope with a deadline. */
import { requireTask } from '../task/ambient.js'
import { enterScope } from '../task/enter-scope.js'
import { CoreactorError } from '../task/errors.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
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

class ScopeDeadline implements Deadline {
  when: number
  index = -1
  /** Invariant: true exactly when this deadline, and nothing before it, cancelled the scope. */
  fired = false
  private readonly scope: Scope
  private readonly ms: number

  constructor(now: number, ms: number, scope: Scope) {
    this.when = now + Math.max(ms, 0)
    this.ms = ms
    this.scope = scope
  }

  fire(): void {
    this.fired = !this.scope.cancelled
    this.scope.cancel(new TimeoutError(this.ms))
  }
}

/**
 * Runs `body` in a scope of its own that is cancelled `ms` milliseconds from now. Throws `TimeoutError` only if this
 * deadline cut the body off; a body that completes all the same gives its result. Nested timeouts each answer for
 * themselves. It ends when the body and all its tasks really have.
 *
 * Errors: `TimeoutError` (`ERR_COREACTOR_TIMEOUT`), and what the body throws.
 *
 * @example
 * const line = yield* timeout(5000, () => connection.readSome())
 */
export function timeout<T>(ms: number, body: Body<[Scope], T>): Op<T> {
  checkMilliseconds('ms', ms)
  checkFunction('body', body)
  return op(function* () {
    const timers = timersOf(requireTask('timeout()').scheduler)
    let deadline: ScopeDeadline | null = null
    try {
      return yield* enterScope(body, {
        entered(scope) {
          deadline = new ScopeDeadline(timers.now(), ms, scope)
          timers.start(deadline)
        },
        absorbed() {
          // A new error: this one has the stack of whoever set the deadline.
          if (deadline?.fired === true) throw new TimeoutError(ms)
        }
      })
    } finally {
      if (deadline !== null) timers.stop(deadline)
    }
  })
}
