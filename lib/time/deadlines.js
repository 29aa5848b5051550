/** Deadlines in the order in which they fall due. Knows times and entries; knows nothing of tasks, scopes or clocks. */
/** Children of a node in the heap: 4 make it half as deep as 2, and they are neighbours in memory. */
const ARITY = 4;
export class Deadlines {
    constructor() {
        /** Invariant: a heap by `when`; `heap[i].index === i`. */
        this.heap = [];
    }
    get size() {
        return this.heap.length;
    }
    /** When the earliest falls due; Infinity when there is none. */
    get next() {
        const { heap } = this;
        return heap.length === 0 ? Infinity : heap[0].when;
    }
    add(deadline) {
        const index = this.heap.length;
        this.heap.push(deadline);
        this.rise(deadline, index);
    }
    /** Takes one out; one that is not in has fired or was never added, and is left alone. */
    remove(deadline) {
        const { index } = deadline;
        if (index < 0)
            return;
        deadline.index = -1;
        const last = this.heap.pop();
        if (last === deadline)
            return;
        if (index > 0 && last.when < this.heap[(index - 1) >> 2].when)
            this.rise(last, index);
        else
            this.sink(last, index);
    }
    /** Fires every deadline that has fallen due at `now`, the earliest first. */
    expire(now) {
        const { heap } = this;
        while (heap.length > 0) {
            const first = heap[0];
            if (first.when > now)
                return;
            this.remove(first);
            first.fire();
        }
    }
    rise(deadline, from) {
        const { heap } = this;
        let index = from;
        while (index > 0) {
            const above = (index - 1) >> 2;
            const parent = heap[above];
            if (parent.when <= deadline.when)
                break;
            heap[index] = parent;
            parent.index = index;
            index = above;
        }
        heap[index] = deadline;
        deadline.index = index;
    }
    sink(deadline, from) {
        const { heap } = this;
        const { length } = heap;
        let index = from;
        for (;;) {
            const begin = index * ARITY + 1;
            if (begin >= length)
                break;
            let least = begin;
            const end = Math.min(begin + ARITY, length);
            for (let child = begin + 1; child < end; child++) {
                if (heap[child].when < heap[least].when)
                    least = child;
            }
            const below = heap[least];
            if (below.when >= deadline.when)
                break;
            heap[index] = below;
            below.index = index;
            index = least;
        }
        heap[index] = deadline;
        deadline.index = index;
    }
}
