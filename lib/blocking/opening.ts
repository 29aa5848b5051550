/** Jobs that open a file by its path: what may wait for whoever is at the other end does so among its like. */
import type { Job } from '../kernel/kernel.js'
import { JOB_MAY_WAIT } from '../kernel/layout.js'
import { blockingCall, type Finish, type Undo } from '../jobs/blocking-call.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'

const MAY_WAIT = Symbol('may wait')

/** The job as an operation: tried as one that ends by itself, and, if it may not, made as one that waits. */
export function opening<T>(job: (waits: boolean) => Job, finish: Finish<T>, abandon: boolean, undo: Undo | null = null): Op<T> {
  return op(function* () {
    const first = yield* blockingCall<T | typeof MAY_WAIT>(
      job(false),
      (result, take) => {
        if (result !== JOB_MAY_WAIT) return finish(result, take)
        // Not all have found something: which call it was, of several.
        take()
        return MAY_WAIT
      },
      abandon,
      undo === null ? null : (result, take) => (result === JOB_MAY_WAIT ? void take() : undo(result, take))
    )
    return first === MAY_WAIT ? yield* blockingCall(job(true), finish, abandon, undo) : first
  })
}
