/** Waiting for time to pass. */
import { current } from '../task/ambient.js';
import { Leaf } from '../task/leaf.js';
import { checkMilliseconds } from '../task/validate.js';
import { timersOf } from './timers.js';
/** `index` before the wait has begun; the heap makes it a place, and -1 again when the deadline has fired. */
const NOT_BEGUN = -2;
class Sleep extends Leaf {
    constructor(ms) {
        super();
        this.index = NOT_BEGUN;
        this.when = ms;
    }
    attempt() {
        return this.index === -1 && this.complete(undefined);
    }
    arm() {
        const timers = timersOf(current.scheduler);
        this.when = timers.now() + Math.max(this.when, 0);
        timers.start(this);
    }
    disarm() {
        timersOf(this.task.scheduler).stop(this);
    }
    fire() {
        this.wake();
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
export function sleep(ms) {
    checkMilliseconds('ms', ms);
    return new Sleep(ms);
}
