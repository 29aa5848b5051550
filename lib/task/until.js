/** Waiting for a foreign promise. The wait can be cancelled, the promise cannot. */
import { Leaf } from './leaf.js';
import { invalidType } from './validate.js';
/** The wait for one promise. Not cancellable: the promise of an async body, whose own operations see the cancellation. */
export class Promised extends Leaf {
    constructor(promise, cancellable) {
        super();
        this.settled = null;
        this.subscribed = false;
        this.promise = promise;
        this.cancellable = cancellable;
    }
    get committed() {
        return !this.cancellable;
    }
    attempt() {
        const { settled } = this;
        if (settled === null)
            return false;
        if ('error' in settled)
            throw settled.error;
        return this.complete(settled.value);
    }
    arm() {
        if (this.subscribed)
            return;
        this.subscribed = true;
        this.promise.then((value) => this.settle({ value }), (error) => this.settle({ error }));
    }
    /** The subscription stays, as promises have no other way; it finds nobody parked. */
    disarm() { }
    settle(settled) {
        this.settled = settled;
        this.wake();
    }
}
/**
 * Waits for a promise of somebody else's, and gives its value or throws its error. On cancel the wait ends with
 * `Cancelled`; the promise goes on and its outcome is dropped.
 *
 * @example
 * const answer = yield* until(fetch(url))
 */
export function until(promise) {
    if (typeof promise?.then !== 'function') {
        throw invalidType('promise', 'a promise', promise);
    }
    return new Promised(promise, true);
}
