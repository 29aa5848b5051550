/** Running a body in a scope of its own: the one way in, and the one way out. */
import { current, runAsync } from './ambient.js';
import { Cancelled, ScopeError } from './errors.js';
import { Leaf } from './leaf.js';
import { op } from './op.js';
import { Scope } from './scope.js';
import { stepsOf } from './task.js';
import { isCoroutineFunction } from './types.js';
import { checkFunction } from './validate.js';
/** The host's wait for its last child. Committed: a scope that is cancelled waits all the same. */
class ChildrenEnded extends Leaf {
    constructor(scope) {
        super();
        this.scope = scope;
    }
    get committed() {
        return true;
    }
    attempt() {
        return this.scope.empty && this.complete(undefined);
    }
    arm() {
        this.scope.onEmpty = this;
    }
    disarm() {
        this.scope.onEmpty = null;
    }
}
/** @internal Runs `body` in a new scope. */
export function* enterScope(body, hooks = {}) {
    const host = current;
    if (host.scope.cancelRequested)
        throw host.cancellation();
    const scope = new Scope(host.scheduler, host.scope, host);
    host.scope = scope;
    hooks.entered?.(scope);
    let outcome;
    try {
        outcome = { kind: 'returned', value: yield* delegate(host, body, scope) };
    }
    catch (error) {
        outcome = !(error instanceof Cancelled)
            ? { kind: 'failed', error }
            : scope.absorbs
                ? { kind: 'absorbed' }
                : { kind: 'cancelled', error };
        scope.cancel(error instanceof Cancelled ? error.reason : error);
    }
    if (!scope.empty)
        yield* new ChildrenEnded(scope);
    const childErrors = scope.leave();
    if (childErrors.length > 0) {
        throw new ScopeError(outcome.kind === 'failed' ? [outcome.error, ...childErrors] : childErrors);
    }
    if (outcome.kind === 'returned')
        return outcome.value;
    if (outcome.kind !== 'absorbed')
        throw outcome.error;
    hooks.absorbed?.(scope);
    return undefined;
}
/** @internal Runs a body inside the coroutine of `host`: to be delegated to. */
export function delegate(host, body, ...args) {
    return stepsOf(isCoroutineFunction(body) ? body(...args) : runAsync(host, () => body(...args)));
}
/**
 * Runs `body` with a scope of its own, and waits for every task spawned in it, in whatever order they end.
 *
 * The first child that fails cancels the others and the body; when all have ended, a `ScopeError` with their errors is
 * thrown. An error of the body alone is thrown as it is, after the children were cancelled and have ended. When the body
 * is cut off by the scope's own `cancel`, the result is undefined. Cancelled from outside: everything inside is
 * cancelled, and `Cancelled` is thrown once it has ended.
 *
 * @example
 * yield* scope(function* (tasks) {
 *   tasks.spawn(readLoop, connection)
 *   tasks.spawn(writeLoop, connection)
 * })
 */
export function scope(body) {
    checkFunction('body', body);
    return op(() => enterScope(body));
}
