/** Blocking calls of other addons: what `native/include/coreactor.h` makes of them, as operations. */
import { EALREADY, ECANCELED, EINVAL, SystemError } from '../kernel/errno.js'
import { nativeApi as tableOfAddon } from '../kernel/native.js'
import { currentRuntime } from '../runtime/current.js'
import { current } from '../task/ambient.js'
import { CoreactorError } from '../task/errors.js'
import type { Task } from '../task/task.js'
import type { Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { abandonOf, blockingCall, type BlockingOptions } from '../jobs/blocking-call.js'

/** A job that an addon has made with `create_job`, whose result is a T. */
export interface NativeJob<T = unknown> {
  /** Never there: it only keeps jobs of different results apart. */
  readonly __result?: T
}

/**
 * What an addon of somebody else's needs to give blocking calls of its own to the threads of this library: a table of
 * functions for `coreactor_api_from` of `native/include/coreactor.h`, which says the rest. The same in every thread of the
 * process. In a `binding.gyp`, the header is found with
 * `"<!(node -p \"path.join(path.dirname(require.resolve('coreactor/package.json')), 'native/include')\")"`.
 *
 * @example
 * const addon = createRequire(import.meta.url)('./build/Release/thumbnails.node')
 * addon.start(nativeApi())
 */
export function nativeApi(): object {
  return tableOfAddon()
}

/**
 * Has a thread of the pool make a blocking call of another addon, and gives what the addon makes of it. As with every call,
 * one that is queued when it is cancelled has not happened. One that has been begun is told of the cancellation, if the
 * addon has said how, and waited for; with `{ abandon: true }` it is let go of at once, and the addon disposes of its
 * result. A job is handed over once, and begun when the operation is driven.
 *
 * Errors: `SystemError`, whose `syscall` is the name of the job, for the errno that the call has failed with; what the
 * addon throws; `ERR_COREACTOR_JOB_USED`, and `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for what is no job, thrown at
 * once.
 *
 * @example
 * const { hash } = loadAddon<{ hash(bytes: Uint8Array): NativeJob<string> }>()
 * const digest = yield* blocking.native(hash(Buffer.from('hello')))
 */
export function native<T>(job: NativeJob<T>, options: BlockingOptions = {}): Op<T> {
  if (typeof job !== 'object' || job === null) throw invalidType('job', 'a job of a native addon', job)
  const abandon = abandonOf(options, false)
  const name = currentRuntime().kernel.claimJob(job)
  if (name === EINVAL) throw invalidValue('job', 'must be made with create_job of this library', job)
  if (name === EALREADY) {
    const message = 'a job of a native addon can be handed over once: have the addon make another one'
    throw new CoreactorError('ERR_COREACTOR_JOB_USED', message)
  }
  if (typeof name === 'number') throw new SystemError(name, 'native')
  return blockingCall(
    { kind: 'native', job },
    (result, take) => {
      const { scope } = current as Task
      // It has come back because it was told to: what it has returned is not news.
      if (result === ECANCELED && scope.cancelRequested) throw (current as Task).cancellation()
      if (result < 0) throw new SystemError(result, name)
      return take() as T
    },
    abandon
  )
}
