import { Reactor } from '../reactor/reactor.js';
import { Scheduler } from '../task/scheduler.js';
import { Scope } from '../task/scope.js';
import { Timers } from '../time/timers.js';
export class Runtime {
    constructor(kernel) {
        this.scheduler = new Scheduler(this);
        this.timers = new Timers(this);
        /** The scope of everything that has no other: what `run` starts, and operations awaited outside any task. */
        this.background = new Scope(this.scheduler, null, null);
        /** Invariant: true exactly while `turn` is on the stack. */
        this.inTurn = false;
        /** What has output to flush. Invariant: each only once. */
        this.dirty = [];
        this.kernel = kernel;
        this.reactor = new Reactor(kernel);
        kernel.open((count) => this.turn(count));
    }
    /** Stops taking turns. For a runtime on a kernel of its own, once nothing runs in it any more. */
    close() {
        this.kernel.close();
    }
    now() {
        return this.kernel.now();
    }
    wantTurn() {
        if (!this.inTurn)
            this.kernel.requestTurn();
    }
    /** Has `dirty` flushed at the end of this turn; soon, outside a turn. Call it once per flush. */
    flushLater(dirty) {
        if (this.dirty.push(dirty) === 1)
            this.wantTurn();
    }
    keepAlive(alive) {
        if (alive)
            this.kernel.ref();
        else
            this.kernel.unref();
    }
    /** Where an exception of a callback would end up: the task that failed has nobody who waits for it. */
    uncaught(error) {
        queueMicrotask(() => {
            throw error;
        });
    }
    /** Everything that happens, happens in here. See `Turn` in the kernel for its argument and result. */
    turn(count) {
        this.inTurn = true;
        this.reactor.deliver(count);
        this.timers.expire();
        this.scheduler.runReady();
        this.flush();
        this.inTurn = false;
        return this.scheduler.hasReady ? 0 : this.timers.next;
    }
    flush() {
        if (this.dirty.length === 0)
            return;
        const { dirty } = this;
        this.dirty = [];
        for (const each of dirty)
            each.flush();
    }
}
