/** A coroutine that the scheduler runs: the only place that calls `next()`, and the handle its owner holds. */
import { current, runAsync, setCurrent } from './ambient.js';
import { Cancelled, CoreactorError, TaskCancelledError } from './errors.js';
import { Join } from './join.js';
import { CANCEL, isCoroutineFunction, PROBE, RESUME } from './types.js';
import { Promised } from './until.js';
/** What a task does next. The first five are "ready" or running; exactly one of the last three is its end. */
const FRESH = 0;
const READY = 1;
/** Ready because its budget was spent: nothing has completed, so a cancellation that comes first wins. */
const YIELDED = 2;
const CANCELLING = 3;
const RUNNING = 4;
const PARKED = 5;
const RETURNED = 6;
const FAILED = 7;
const CANCELLED = 8;
/** The body of a task that has not run yet. */
class Start {
    constructor(body, args) {
        this.body = body;
        this.args = args;
    }
    /** Calls the body. What an async function awaits later must find the task again, so it runs in the task's context. */
    begin(task) {
        const { body, args } = this;
        const returned = isCoroutineFunction(body) ? body(...args) : runAsync(task, () => body(...args));
        return stepsOf(returned)[Symbol.iterator]();
    }
}
let lastId = 0;
export class Task {
    /** @internal Use `spawn`. */
    constructor(owner, steps, name) {
        /** Unique in this thread, counted from 1. */
        this.id = ++lastId;
        /** @internal Siblings in the owner's list of children. */
        this.previousSibling = null;
        /** @internal */
        this.nextSibling = null;
        this.phase = FRESH;
        /** PARKED, READY, CANCELLING: the leaf. Ended: the result, the error or the Cancelled. */
        this.held = null;
        /** Who waits for the end: nothing, one waiter, or a list of them. */
        this.joiners = null;
        this.owner = owner;
        this.scope = owner;
        this.steps = steps;
        this.givenName = name;
        owner.adopt(this);
    }
    /** @internal A task that becomes ready now and begins later in the turn. */
    static spawn(owner, body, args) {
        const start = new Start(body, args);
        const task = new Task(owner, start, body.name);
        owner.scheduler.enqueue(task);
        return task;
    }
    /** For people: in reports, dumps and errors. The name of its body unless it is set. */
    get name() {
        return this.givenName === '' ? 'task' : this.givenName;
    }
    set name(name) {
        this.givenName = String(name);
    }
    get state() {
        return this.phase >= RETURNED ? 'ended' : this.phase === PARKED ? 'parked' : 'ready';
    }
    /** @internal */
    get ended() {
        return this.phase >= RETURNED;
    }
    /** @internal */
    get scheduler() {
        return this.owner.scheduler;
    }
    /**
     * Cancels this task and everything it has started; its siblings go on. The operation that it is parked on throws
     * `Cancelled`, and so does every later one. A task that has not begun runs up to its first operation. Idempotent.
     */
    cancel(reason) {
        if (!this.ended)
            this.owner.enclose(this).cancel(reason);
    }
    /** Waits for the end: its result, its error, or `TaskCancelledError`. A cancelled wait leaves the task alone. */
    [Symbol.iterator]() {
        return new Join(this)[Symbol.iterator]();
    }
    then(onFulfilled, onRejected) {
        return new Join(this).then(onFulfilled, onRejected);
    }
    /** The stack of the operation that the task is parked on, or undefined. The task does not notice. */
    stack() {
        if (this.phase !== PARKED)
            return undefined;
        const previous = current;
        setCurrent(this);
        try {
            ;
            this.steps.next(PROBE);
        }
        finally {
            setCurrent(previous);
        }
        const { parkedStack } = this;
        this.parkedStack = undefined;
        return parkedStack;
    }
    /** @internal Makes a parked task ready. Called by the leaf it is parked on. */
    wake() {
        if (this.phase !== PARKED)
            return;
        this.phase = READY;
        this.scheduler.enqueue(this);
    }
    /** @internal Called by the leaf that is about to park although it need not wait. */
    yieldTurn() {
        this.phase = YIELDED;
        this.scheduler.enqueue(this);
    }
    /** @internal The scope it is in was cancelled. What has completed already stays completed. */
    interrupt() {
        if (this.phase !== PARKED)
            return;
        const leaf = this.held;
        if (leaf.committed)
            return;
        leaf.disarm();
        this.phase = CANCELLING;
        this.scheduler.enqueue(this);
    }
    /** @internal The error with which the operation that runs now ends. Made inside it, so that it has its stack. */
    cancellation() {
        return new Cancelled(this.scope.cancelReason);
    }
    /** @internal One step: until the coroutine parks again or ends. `refused` is thrown into it at its bare yield. */
    run(refused) {
        const previous = current;
        setCurrent(this);
        let result;
        try {
            result = refused === undefined ? this.advance() : this.throwInto(refused);
        }
        catch (error) {
            setCurrent(previous);
            this.end(error instanceof Cancelled ? CANCELLED : FAILED, error);
            return;
        }
        setCurrent(previous);
        if (result.done === true)
            this.end(RETURNED, result.value);
        else if (result.value?.task === this)
            this.park(result.value);
        else
            this.run(bareYield(this, result.value));
    }
    /** @internal The result of an ended task; throws its error. */
    result() {
        if (this.phase === RETURNED)
            return this.held;
        if (this.phase === CANCELLED)
            throw new TaskCancelledError(`${this.name}#${this.id}`, this.held);
        throw this.held;
    }
    /** @internal The error of a failed task. */
    get failure() {
        return this.held;
    }
    /** @internal */
    addJoiner(waiter) {
        if (this.joiners === null)
            this.joiners = waiter;
        else if (Array.isArray(this.joiners))
            this.joiners.push(waiter);
        else
            this.joiners = [this.joiners, waiter];
    }
    /** @internal */
    removeJoiner(waiter) {
        if (this.joiners === waiter)
            this.joiners = null;
        else if (Array.isArray(this.joiners))
            this.joiners = this.joiners.filter((joiner) => joiner !== waiter);
    }
    /** Whether its error fails the scope that owns it. */
    get reportsToOwner() {
        return true;
    }
    advance() {
        const { phase, steps } = this;
        this.phase = RUNNING;
        if (phase === READY)
            return steps.next(RESUME);
        if (phase === YIELDED)
            return steps.next(this.scope.cancelRequested ? CANCEL : RESUME);
        if (phase === CANCELLING)
            return steps.next(CANCEL);
        const begun = steps instanceof Start ? steps.begin(this) : steps;
        this.steps = begun;
        return begun.next(undefined);
    }
    throwInto(error) {
        const steps = this.steps;
        if (steps.throw === undefined)
            throw error;
        return steps.throw(error);
    }
    park(leaf) {
        this.held = leaf;
        // Not for a leaf that has parked because the budget was spent: its task is YIELDED, and in the queue already.
        if (this.phase === RUNNING)
            this.phase = PARKED;
    }
    end(phase, held) {
        const { joiners } = this;
        this.phase = phase;
        this.held = held;
        this.steps = null;
        this.joiners = null;
        this.owner.childEnded(this, phase === FAILED && this.reportsToOwner);
        if (joiners === null)
            return;
        if (Array.isArray(joiners))
            for (const joiner of joiners)
                joiner.wake();
        else
            joiners.wake();
    }
}
/** A task that drives an operation for somebody's `await`: its outcome, error or not, is theirs. */
export class AwaitTask extends Task {
    /** It begins at once: an `await` does not wait for the next turn to make its first attempt. */
    constructor(owner, op, resolve, reject) {
        super(owner, op[Symbol.iterator](), 'await');
        this.resolve = resolve;
        this.reject = reject;
        this.addJoiner(this);
        this.run();
    }
    get reportsToOwner() {
        return false;
    }
    wake() {
        if (!this.ended)
            super.wake();
        else if (this.phase === RETURNED)
            this.resolve(this.held);
        else
            this.reject(this.held);
    }
}
function bareYield(task, value) {
    const what = typeof value === 'object' && value !== null && Symbol.iterator in value ? 'an operation' : String(value);
    return new CoreactorError('ERR_COREACTOR_BARE_YIELD', `the coroutine of task ${task.name} yielded ${what} with a bare "yield"; operations are driven with "yield*"`);
}
/** @internal What a body returned, as something a coroutine can delegate to. */
export function stepsOf(returned) {
    if (returned !== null && typeof returned === 'object') {
        if (Symbol.iterator in returned)
            return returned;
        if ('then' in returned)
            return new Promised(returned, false);
    }
    throw new CoreactorError('ERR_COREACTOR_NOT_A_BODY', 'a body must be a function*, an async function or a function that returns an operation');
}
