/** Letting the others run. */
import { current } from './ambient.js';
import { Leaf } from './leaf.js';
class Checkpoint extends Leaf {
    constructor() {
        super(...arguments);
        this.passed = false;
    }
    attempt() {
        if (this.passed)
            return this.complete(undefined);
        this.passed = true;
        return false;
    }
    /** At the end of the queue: whoever came before runs, and the kernel is asked for events, first. */
    arm() {
        ;
        current.yieldTurn();
    }
    disarm() { }
}
/**
 * Ends the task's step: every other ready task runs, and events are taken in, before it goes on. Throws `Cancelled` in a
 * cancelled scope. Worth a call in a long computation.
 */
export function checkpoint() {
    return new Checkpoint();
}
