/** Which runtime an operation belongs to, and the one that this thread has of its own. */
import { nativeKernel } from '../kernel/native.js'
import { ambientScope, installAmbience } from '../task/ambient.js'
import { installDebug } from '../task/debug.js'
import { contexts, nodeAsyncContext } from './async-context.js'
import { environment } from './environment.js'
import { GuardRails } from './guard-rails.js'
import { reportJobs } from './report-jobs.js'
import { Runtime } from './runtime.js'
import { watchSteps } from './step-watchdog.js'

let own: Runtime | null = null

/** The runtime on the operating system, opened at first use. One per thread: workers have their own. */
export function ownRuntime(): Runtime {
  if (own === null) {
    own = new Runtime(nativeKernel())
    if (environment.debug) watchSteps(own.kernel, {}, true)
  }
  return own
}

/** The runtime of the task that runs now; outside any task, the thread's own. */
export function currentRuntime(): Runtime {
  return ambientScope().scheduler.host as Runtime
}

// With the clock of the operating system: what it measures is real time, whatever kernel the tasks run on.
if (environment.debug) installDebug(new GuardRails(() => ownRuntime().now()))

// What still runs in a thread then does so for nobody: the process does not wait for it.
if (environment.debug) process.once('exit', () => own !== null && reportJobs(own.kernel))

installAmbience({
  asyncContext: nodeAsyncContext,
  contexts,
  backgroundScope: () => ownRuntime().background
})
