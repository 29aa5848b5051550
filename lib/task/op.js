/** Operations that are made of other operations, or of none. */
import { ambientScope } from './ambient.js';
import { Leaf, reused } from './leaf.js';
class Composed {
    constructor(body) {
        this.body = body;
    }
    [Symbol.iterator]() {
        const { body } = this;
        if (body === null)
            throw reused();
        this.body = null;
        return body();
    }
    then(onFulfilled, onRejected) {
        return ambientScope().promise(this).then(onFulfilled, onRejected);
    }
}
/** Makes an operation of a `function*`: lazy, driven once, for `yield*` and for `await`. */
export function op(body) {
    return new Composed(body);
}
class Immediate extends Leaf {
    constructor(act) {
        super();
        this.act = act;
    }
    attempt() {
        return this.complete(this.act());
    }
    arm() { }
    disarm() { }
}
/** Makes an operation of a plain function: it never waits, but it is lazy and does nothing in a cancelled scope. */
export function immediate(act) {
    return new Immediate(act);
}
