/** As much as one system call reasonably gives; a socket's receive buffer begins at 128 KiB on Linux. */
const SIZE = 64 * 1024;
export class ReadSlab {
    constructor() {
        this.buffer = Buffer.allocUnsafeSlow(SIZE);
    }
    static { this.slabs = new WeakMap(); }
    static of(runtime) {
        let slab = ReadSlab.slabs.get(runtime);
        if (slab === undefined)
            ReadSlab.slabs.set(runtime, (slab = new ReadSlab()));
        return slab;
    }
    /** The first `length` bytes, as a buffer that is the caller's own. */
    take(length) {
        const { buffer } = this;
        if (length >= SIZE / 2) {
            this.buffer = Buffer.allocUnsafeSlow(SIZE);
            return buffer.subarray(0, length);
        }
        // Copied, so that a few bytes that somebody keeps do not keep 64 KiB.
        const own = Buffer.allocUnsafe(length);
        buffer.copy(own, 0, 0, length);
        return own;
    }
}
