/** Which runtime an operation belongs to, and the one that this thread has of its own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { nativeKernel } from '../kernel/native.js';
import { ambientScope, installAmbience } from '../task/ambient.js';
import { Runtime } from './runtime.js';
let own = null;
/** The runtime on the operating system, opened at first use. One per thread: workers have their own. */
export function ownRuntime() {
    own ??= new Runtime(nativeKernel());
    return own;
}
/** The runtime of the task that runs now; outside any task, the thread's own. */
export function currentRuntime() {
    return ambientScope().scheduler.host;
}
/** Node keeps async hooks on once a store was entered: 150 ns an await on Node 20 and 22. So only async bodies make one. */
function nodeAsyncContext() {
    const storage = new AsyncLocalStorage();
    return {
        run: (task, body) => storage.run(task, body),
        task: () => storage.getStore() ?? null
    };
}
installAmbience({
    asyncContext: nodeAsyncContext,
    backgroundScope: () => ownRuntime().background
});
