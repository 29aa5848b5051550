/**
 * The operations that really wait. A coroutine parks by yielding from a leaf, and in no other way.
 *
 * A leaf is its own iterator and its own iterator result, so that neither starting, parking nor completing allocates.
 * Subclasses say how to try (`attempt`), how to wait (`arm`) and how to call the wait off (`disarm`).
 */
import { ambientScope, current } from './ambient.js';
import { CoreactorError } from './errors.js';
import { CANCEL, PROBE, RESUME } from './types.js';
export class Leaf {
    constructor() {
        /** IteratorResult. Invariant: true exactly when the operation has completed. */
        this.done = false;
        /** IteratorResult. Invariant: the leaf itself while it is parked, the result once `done`, undefined before. */
        this.value = undefined;
        /** Invariant: the task that is parked on this leaf; null when none is. */
        this.task = null;
    }
    /** It was driven in a cancelled scope and will not happen. For what must be done all the same: freeing something. */
    refused() { }
    /** A wait that cannot be called off: cancellation comes with the next operation. */
    get committed() {
        return false;
    }
    complete(value) {
        this.value = value;
        return true;
    }
    /** Makes the parked task ready; harmless when it is ready already. */
    wake() {
        this.task?.wake();
    }
    [Symbol.iterator]() {
        return this;
    }
    next(signal) {
        if (signal === RESUME)
            return this.resume();
        if (signal === undefined)
            return this.start();
        if (signal === CANCEL) {
            const task = this.task;
            this.task = null;
            throw task.cancellation();
        }
        if (signal === PROBE)
            this.task.parkedStack = new Error('parked').stack;
        return this;
    }
    /** Called by the language when a coroutine is thrown into or closed while it is parked here. */
    throw(error) {
        this.leave();
        throw error;
    }
    return(value) {
        this.leave();
        return { done: true, value };
    }
    then(onFulfilled, onRejected) {
        return ambientScope().promise(this).then(onFulfilled, onRejected);
    }
    start() {
        if (this.done || this.value !== undefined)
            throw reused();
        const task = current;
        if (task === null)
            throw new Error('coreactor: an operation was advanced outside a task');
        if (!this.committed) {
            if (task.scope.cancelRequested) {
                this.refused();
                throw task.cancellation();
            }
            // A spent budget parks before the attempt, so that a cancellation that comes meanwhile finds nothing done.
            if (task.scheduler.spend())
                return this.yieldTurn(task);
        }
        if (this.attempt()) {
            this.done = true;
            return this;
        }
        this.arm();
        return this.park(task);
    }
    resume() {
        const task = this.task;
        this.task = null;
        if (this.attempt()) {
            this.done = true;
            return this;
        }
        // Woken in vain (a spurious readiness), and cancelled since: nobody would interrupt the wait that begins now.
        if (task.scope.cancelRequested && !this.committed) {
            this.disarm();
            throw task.cancellation();
        }
        this.arm();
        return this.park(task);
    }
    park(task) {
        this.task = task;
        this.value = this;
        return this;
    }
    /** Parks as ready: the attempt is made in the next turn. */
    yieldTurn(task) {
        this.park(task);
        task.yieldTurn();
        return this;
    }
    leave() {
        if (this.task === null)
            return;
        this.disarm();
        this.task = null;
    }
}
export function reused() {
    return new CoreactorError('ERR_COREACTOR_OP_REUSED', 'an operation can be driven once: call the function again for another one');
}
