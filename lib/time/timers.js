import { Deadlines } from './deadlines.js';
export function timersOf(scheduler) {
    return scheduler.host.timers;
}
export class Timers {
    constructor(host) {
        this.deadlines = new Deadlines();
        this.host = host;
    }
    now() {
        return this.host.now();
    }
    /** Has `deadline` fire at its `when`, never earlier. */
    start(deadline) {
        this.deadlines.add(deadline);
        // A new earliest deadline re-arms the clock, which the end of a turn does.
        if (deadline.index === 0)
            this.host.wantTurn();
    }
    /** Harmless for one that has fired. */
    stop(deadline) {
        this.deadlines.remove(deadline);
    }
    /** Called by the turn. */
    expire() {
        if (this.deadlines.size > 0)
            this.deadlines.expire(this.host.now());
    }
    get next() {
        return this.deadlines.next;
    }
}
