/** Waiting for a task to end. */
import { current } from './ambient.js';
import { CoreactorError } from './errors.js';
import { Leaf } from './leaf.js';
export class Join extends Leaf {
    constructor(joined) {
        super();
        this.joined = joined;
    }
    attempt() {
        return this.joined.ended && this.complete(this.joined.result());
    }
    arm() {
        if (this.joined === current)
            throw new CoreactorError('ERR_COREACTOR_SELF_JOIN', 'a task cannot wait for its own end');
        this.joined.addJoiner(this);
    }
    disarm() {
        this.joined.removeJoiner(this);
    }
}
