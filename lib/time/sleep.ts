/** Waiting for time to pass. */
import { ambientScope, current } from '../task/ambient.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import type { Op } from '../task/types.js'
import { checkMilliseconds } from '../task/validate.js'
import type { Deadline } from './deadlines.js'
import { timersOf, type Timers } from './timers.js'

/** `index` before the wait has begun; the heap makes it a place, and -1 again when the deadline has fired. */
const NOT_BEGUN = -2

class Sleep extends Leaf<void> implements Deadline {
  /** A duration, or the time at which it ends. */
  protected readonly ms: number
  index = NOT_BEGUN

  constructor(ms: number) {
    super()
    this.ms = ms
  }

  protected override attempt(): boolean {
    return this.index === -1 && this.complete(undefined)
  }

  protected override arm(): void {
    const timers = timersOf((current as Task).scheduler)
    timers.start(this, this.due(timers))
  }

  protected due(timers: Timers): number {
    return timers.now() + Math.max(this.ms, 0)
  }

  override disarm(): void {
    timersOf((this.task as Task).scheduler).stop(this)
  }

  fire(): void {
    this.wake()
  }
}

class SleepUntil extends Sleep {
  protected override due(): number {
    return this.ms
  }
}

/**
 * Waits for `ms` milliseconds; fractions count: `sleep(0.1)` is 100 microseconds. Never ends early. 0 and negative
 * numbers let the others run once, Infinity waits until cancelled. On cancel nothing is left behind.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (NaN).
 *
 * @example
 * yield* sleep(250)
 */
export function sleep(ms: number): Op<void> {
  checkMilliseconds('ms', ms)
  return new Sleep(ms)
}

/**
 * Waits until the clock that `now` reads shows `when`, in milliseconds: a series of these does not drift. A time that has
 * passed lets the others run once. Never ends early. Otherwise like `sleep`.
 *
 * @example
 * const begun = now()
 * for (let i = 1; i <= 3; i++) yield* sleepUntil(begun + i * 100)
 */
export function sleepUntil(when: number): Op<void> {
  checkMilliseconds('when', when)
  return new SleepUntil(when)
}

/** Milliseconds of the clock by which everything here is timed: monotonic, in fractions; virtual on a kernel in memory. */
export function now(): number {
  return timersOf(ambientScope().scheduler).now()
}
