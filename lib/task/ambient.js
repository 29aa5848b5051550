/**
 * Which task is running now, and in which scope an operation that is awaited outside any task runs.
 *
 * Inside a step of a coroutine the scheduler knows (`current`). The continuations of an async function run in microtasks,
 * where `current` is null: there the task is found through Node's AsyncLocalStorage, which the runtime installs here when
 * the first such task starts.
 */
import { CoreactorError } from './errors.js';
/** The task whose step is on the stack. Set by `Task.run` only. */
export let current = null;
export function setCurrent(task) {
    current = task;
}
let ambience = null;
let asyncContext = null;
export function installAmbience(provided) {
    ambience = provided;
}
export function runAsync(task, body) {
    asyncContext ??= ambience.asyncContext();
    return asyncContext.run(task, body);
}
/** The running task, or null outside any. */
export function ambientTask() {
    if (current !== null)
        return current;
    const task = asyncContext === null ? null : asyncContext.task();
    // The context outlives the task in callbacks that its function left behind; they belong to no task any more.
    return task === null || task.ended ? null : task;
}
/** Where an operation that somebody awaits now runs. */
export function ambientScope() {
    return ambientTask()?.scope ?? ambience.backgroundScope();
}
/** The running task, for what makes sense only in one. */
export function requireTask(what) {
    const task = ambientTask();
    if (task === null) {
        throw new CoreactorError('ERR_COREACTOR_NO_TASK', `${what} works only inside a task: start one with run()`);
    }
    return task;
}
