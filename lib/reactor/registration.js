/**
 * One fd that is watched, both directions, edge-triggered, for its life.
 *
 * Readiness is sticky: what the kernel has reported stays true until a system call answers EAGAIN (or a short count) and
 * its caller says so with `exhausted`. No edge can be lost in between: the kernel is only asked inside a turn.
 */
import { READABLE, WRITABLE } from '../kernel/layout.js';
export class Registration {
    constructor() {
        /** Bits of `layout.ts`. Hints all of them: the system call has the truth. */
        this.readiness = 0;
        /** Who is told of READABLE. */
        this.reader = null;
        /** Who is told of WRITABLE. */
        this.writer = null;
        /** @internal The place in the reactor's table; -1 while not registered. */
        this.slot = -1;
    }
    /** @internal The kernel has reported something. */
    deliver(bits) {
        this.readiness |= bits;
        if ((bits & READABLE) !== 0 && this.reader !== null)
            this.reader.wake();
        if ((bits & WRITABLE) !== 0 && this.writer !== null)
            this.writer.wake();
    }
    /** The fd has no more to give in this direction until the kernel reports it again. */
    exhausted(direction) {
        this.readiness &= ~direction;
    }
}
