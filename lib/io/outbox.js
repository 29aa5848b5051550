/** Fits the second-level cache; when it is full in mid-turn, what is in it is flushed early. */
const SIZE = 64 * 1024;
/** The longest write that is copied; a longer one is handed to the kernel from where it is. */
export const COPY_LIMIT = 16 * 1024;
export class Outbox {
    static { this.outboxes = new WeakMap(); }
    constructor(runtime) {
        this.buffer = Buffer.allocUnsafeSlow(SIZE);
        /** How much of `buffer` is taken. */
        this.used = 0;
        /** Invariant: everyone with bytes in `buffer`, and each only once. */
        this.writers = [];
        this.runtime = runtime;
    }
    static of(runtime) {
        let outbox = Outbox.outboxes.get(runtime);
        if (outbox === undefined)
            Outbox.outboxes.set(runtime, (outbox = new Outbox(runtime)));
        return outbox;
    }
    /** Has `writer` flushed when the turn ends. */
    enlist(writer) {
        if (this.writers.push(writer) === 1)
            this.runtime.flushLater(this);
    }
    /** Makes room for `length` <= COPY_LIMIT * 3 bytes at `used`. */
    reserve(length) {
        if (this.used + length > SIZE)
            this.flush();
    }
    flush() {
        const { writers } = this;
        this.writers = [];
        for (const writer of writers)
            writer.flush();
        this.used = 0;
    }
}
