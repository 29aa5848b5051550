/** The public entry point `coreactor`: re-exports only. */
export { run } from './runtime/run.js';
export { checkpoint } from './task/checkpoint.js';
export { scope } from './task/enter-scope.js';
export { currentTask, spawn } from './task/spawn.js';
export { until } from './task/until.js';
export { op } from './task/op.js';
export { Cancelled, CoreactorError, ScopeError, TaskCancelledError } from './task/errors.js';
export { sleep } from './time/sleep.js';
export { timeout, TimeoutError } from './time/timeout.js';
export { SystemError } from './kernel/errno.js';
export { BusyError, ClosedError } from './io/errors.js';
export { HostNotNumericError } from './net/address.js';
export { connect } from './net/connect.js';
export {} from './net/connection.js';
export { listen } from './net/listener.js';
export { serve } from './net/serve.js';
