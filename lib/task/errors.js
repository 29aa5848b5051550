/** The errors of the scheduler itself. All carry a stable `code` that begins with `ERR_COREACTOR_`. */
/** Base of the library's own errors, so that one `instanceof` tells them from system errors. */
export class CoreactorError extends Error {
    constructor(code, message, options) {
        super(message, options);
        this.code = code;
    }
    get name() {
        return this.constructor.name;
    }
}
/**
 * Thrown by every operation inside a cancelled scope, until the scope is left. The scope that was cancelled absorbs it;
 * catch it only to clean up, and throw it again.
 */
export class Cancelled extends CoreactorError {
    constructor(reason) {
        super('ERR_COREACTOR_CANCELLED', reason === undefined ? 'cancelled' : `cancelled: ${describe(reason)}`);
        this.reason = reason;
    }
}
/** Joining a task that was cancelled. Not a `Cancelled`: the one who joins was not. */
export class TaskCancelledError extends CoreactorError {
    constructor(task, cause) {
        super('ERR_COREACTOR_TASK_CANCELLED', `the task ${task} was cancelled`, { cause });
    }
}
/** The errors of a scope's children, and of its body if that failed too. Never holds a `Cancelled`. */
export class ScopeError extends AggregateError {
    constructor(errors) {
        const count = errors.length === 1 ? '1 task failed' : `${errors.length} tasks failed`;
        super(errors, `${count}: ${errors.map(describe).join('; ')}`);
        this.code = 'ERR_COREACTOR_SCOPE';
        this.cause = errors[0];
    }
    get name() {
        return 'ScopeError';
    }
}
export function describe(value) {
    if (!(value instanceof Error))
        return String(value);
    return value.message === '' ? value.name : value.message;
}
