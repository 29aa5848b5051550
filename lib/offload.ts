/**
 * The public entry point `coreactor/offload`: re-exports only.
 *
 * @module
 */
export { OffloadError } from './offload/errors.js'
export { job, type Job } from './offload/job.js'
export { offload, type InlineOptions, type Offloaded, type OffloadOptions, type Returned } from './offload/offload.js'
export {
  WorkerPool,
  type WorkerKind,
  type WorkerPoolCloseOptions,
  type WorkerPoolJob,
  type WorkerPoolOptions,
  type WorkerPoolStatistics
} from './offload/pool.js'
export type { Transferable } from './offload/values.js'
