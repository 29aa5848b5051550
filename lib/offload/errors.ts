/** What can go wrong between the caller and the worker. What the job itself throws is thrown as it is. */
import { CoreactorError } from '../task/errors.js'

/**
 * A job that was not run, or did not come to its end, and why:
 *
 * - `ERR_COREACTOR_MODULE_NOT_FOUND`, `ERR_COREACTOR_MODULE_FAILED`: the module is not there, or threw while it was loaded.
 * - `ERR_COREACTOR_NOT_EXPORTED`: the module has no such function.
 * - `ERR_COREACTOR_NOT_CLONEABLE`, `ERR_COREACTOR_DETACHED`: an argument or a result that cannot be sent.
 * - `ERR_COREACTOR_INLINE_FUNCTION`, `ERR_COREACTOR_NOT_SELF_CONTAINED`: a function in place of a module.
 * - `ERR_COREACTOR_NO_EACH`: the job gives values while it runs, and nobody takes them.
 * - `ERR_COREACTOR_WORKER_ENDED`, `ERR_COREACTOR_OUT_OF_MEMORY`: the thread or process ended under the job.
 * - `ERR_COREACTOR_QUEUE_FULL`, `ERR_COREACTOR_POOL_CLOSED`: the pool takes no more.
 */
export class OffloadError extends CoreactorError {}

/** An error of the structured clone, of threads or of processes, as one of ours. `what` completes "… cannot be sent". */
export function notCloneable(what: string, error: unknown): OffloadError {
  const { message } = error as Error
  // V8 has one error for both, and words it the same in either algorithm.
  if (/\bdetached\b/.test(message)) return detached(what, { cause: error })
  const [first = message] = message.split('\n')
  return new OffloadError('ERR_COREACTOR_NOT_CLONEABLE', `${what} cannot be sent to another thread or process: ${first}`, {
    cause: error
  })
}

export function detached(what: string, options?: ErrorOptions): OffloadError {
  const message = `${what} cannot be sent: its buffer is detached, because it was transferred before`
  return new OffloadError('ERR_COREACTOR_DETACHED', message, options)
}
