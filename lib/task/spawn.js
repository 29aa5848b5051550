/** Starting a task in the scope that is open here. */
import { requireTask } from './ambient.js';
/**
 * Starts a task in the current scope, which waits for it. It first runs later in the turn, never inside this call. Its
 * error cancels the scope. Throws `ERR_COREACTOR_NO_TASK` outside `run`.
 *
 * @example
 * const task = spawn(function* (name: string) { yield* sleep(10); return name }, 'a')
 * const name = yield* task
 */
export function spawn(body, ...args) {
    return requireTask('spawn()').scope.spawn(body, ...args);
}
/** The running task, or null outside any. */
export { ambientTask as currentTask } from './ambient.js';
