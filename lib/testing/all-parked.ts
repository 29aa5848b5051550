/** Waiting until nothing moves any more. */
import { requireTask } from '../task/ambient.js'
import { checkpoint } from '../task/checkpoint.js'
import { op } from '../task/op.js'
import type { Scheduler } from '../task/scheduler.js'
import type { Op } from '../task/types.js'

/** Turns in a row without a step: the first for what is ready, the second for what the microtasks after it have woken. */
const QUIET_TURNS = 2

/** How many wait for it, per scheduler: their own steps do not count. */
const waiting = new WeakMap<Scheduler, number>()

/**
 * Waits until every other task is parked, waiting for time or for an event that is not there yet: the moment to look at
 * what they have done, or to let the next thing happen. No time passes on a virtual clock meanwhile. Several may wait for
 * it at once. On the operating system it says nothing of data that is on its way. Throws `ERR_COREACTOR_NO_TASK` outside
 * any task.
 *
 * @example
 * spawn(consumer)
 * yield* allParked()
 * queue.close()
 */
export function allParked(): Op<void> {
  return op(function* () {
    const { scheduler } = requireTask('allParked()')
    waiting.set(scheduler, (waiting.get(scheduler) ?? 0) + 1)
    try {
      for (let quiet = 0; quiet < QUIET_TURNS; ) {
        const before = scheduler.steps
        yield* checkpoint()
        quiet = scheduler.steps - before <= (waiting.get(scheduler) as number) ? quiet + 1 : 0
      }
    } finally {
      waiting.set(scheduler, (waiting.get(scheduler) as number) - 1)
    }
  })
}
