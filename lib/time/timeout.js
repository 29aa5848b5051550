/** A scope with a deadline. */
import { requireTask } from '../task/ambient.js';
import { enterScope } from '../task/enter-scope.js';
import { CoreactorError } from '../task/errors.js';
import { op } from '../task/op.js';
import { checkFunction, checkMilliseconds } from '../task/validate.js';
import { timersOf } from './timers.js';
/** The deadline of a `timeout` has passed. */
export class TimeoutError extends CoreactorError {
    constructor(ms) {
        super('ERR_COREACTOR_TIMEOUT', `timed out after ${ms} ms`);
    }
}
class ScopeDeadline {
    constructor(now, ms, scope) {
        this.index = -1;
        /** Invariant: true exactly when this deadline, and nothing before it, cancelled the scope. */
        this.fired = false;
        this.when = now + Math.max(ms, 0);
        this.ms = ms;
        this.scope = scope;
    }
    fire() {
        this.fired = !this.scope.cancelled;
        this.scope.cancel(new TimeoutError(this.ms));
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
export function timeout(ms, body) {
    checkMilliseconds('ms', ms);
    checkFunction('body', body);
    return op(function* () {
        const timers = timersOf(requireTask('timeout()').scheduler);
        let deadline = null;
        try {
            return yield* enterScope(body, {
                entered(scope) {
                    deadline = new ScopeDeadline(timers.now(), ms, scope);
                    timers.start(deadline);
                },
                absorbed() {
                    // A new error: this one has the stack of whoever set the deadline.
                    if (deadline?.fired === true)
                        throw new TimeoutError(ms);
                }
            });
        }
        finally {
            if (deadline !== null)
                timers.stop(deadline);
        }
    });
}
