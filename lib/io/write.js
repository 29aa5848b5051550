/** Writing to a stream socket: small data, large data, and waiting until everything is in the kernel's hands. */
import { SHUT_WRITE } from '../kernel/layout.js';
import { check, ENOTCONN } from '../kernel/errno.js';
import { Cancelled } from '../task/errors.js';
import { Leaf } from '../task/leaf.js';
import { ClosedError } from './errors.js';
import { COPY_LIMIT } from './outbox.js';
import { HIGH_WATER } from './write-buffer.js';
class Writing extends Leaf {
    constructor(stream) {
        super();
        this.stream = stream;
    }
    attempt() {
        const { stream } = this;
        if (stream.closing || stream.handle.closed)
            throw new ClosedError('the connection');
        stream.output.check(this);
        stream.output.leave(this);
        return this.write(stream.output);
    }
    arm() {
        this.stream.output.await(this);
    }
    disarm() {
        this.stream.output.leave(this);
    }
}
/** `write` of what is small enough to be copied. Waiting for room, it has written nothing. */
class WriteSmall extends Writing {
    constructor(stream, data) {
        super(stream);
        this.data = data;
    }
    write(output) {
        if (this.stream.writeClosed)
            throw new ClosedError('the write side');
        if (output.bytes >= HIGH_WATER) {
            output.flush();
            if (output.bytes >= HIGH_WATER)
                return false;
            output.check(this);
        }
        const { data } = this;
        if (typeof data === 'string' || data instanceof Uint8Array)
            output.append(data);
        else
            for (const chunk of data)
                output.append(chunk);
        return this.complete(undefined);
    }
}
/** `write` of what is sent from where it is. Completes when the kernel has all of it. */
class WriteLarge extends Writing {
    constructor(stream, chunks, size) {
        super(stream);
        /** How many bytes must have been taken, ever, when this write is done; -1 until it has begun. */
        this.mark = -1;
        this.cutOff = 0;
        this.chunks = chunks;
        this.size = size;
    }
    write(output) {
        if (this.mark < 0) {
            if (this.stream.writeClosed)
                throw new ClosedError('the write side');
            for (const chunk of this.chunks)
                output.reference(chunk);
            this.mark = output.taken + output.bytes;
            output.flush();
            output.check(this);
        }
        return output.taken >= this.mark && this.complete(undefined);
    }
    disarm() {
        super.disarm();
        const { output } = this.stream;
        if (this.mark < 0 || output.error !== null)
            return;
        const gone = this.size - (this.mark - output.taken);
        if (gone <= 0) {
            output.dropLast(this.chunks);
            return;
        }
        this.cutOff = gone;
        output.fail(new ClosedError(`the write side, after ${gone} of ${this.size} bytes of a cancelled write,`));
    }
    next(signal) {
        try {
            return super.next(signal);
        }
        catch (error) {
            if (this.cutOff > 0 && error instanceof Cancelled)
                Object.assign(error, { bytesWritten: this.cutOff });
            throw error;
        }
    }
}
/** `flush()`. */
export class Flush extends Writing {
    write(output) {
        if (output.bytes > 0) {
            output.flush();
            output.check(this);
        }
        return output.bytes === 0 && this.complete(undefined);
    }
}
/** `closeWrite()`. Everything written first, then the end. */
export class CloseWrite extends Flush {
    constructor() {
        super(...arguments);
        this.begun = false;
    }
    write(output) {
        const { stream } = this;
        if (!this.begun) {
            if (stream.writeClosed)
                return this.complete(undefined);
            stream.writeClosed = this.begun = true;
        }
        if (!super.write(output))
            return false;
        const result = stream.handle.kernel.shutdown(stream.handle.fd, SHUT_WRITE);
        // ENOTCONN: the peer has reset the connection, so there is no side left to close. The reader finds out.
        if (result !== ENOTCONN)
            check(result, 'shutdown');
        return true;
    }
    /** Cancelled while it waited for what had been written: the side is still open. */
    disarm() {
        super.disarm();
        this.stream.writeClosed = false;
    }
}
/** The right kind of `write` for `data`, whose type has been checked. */
export function write(stream, data) {
    if (typeof data === 'string') {
        if (data.length <= COPY_LIMIT)
            return new WriteSmall(stream, data);
        const bytes = Buffer.from(data);
        return new WriteLarge(stream, [bytes], bytes.length);
    }
    if (data instanceof Uint8Array) {
        return data.length <= COPY_LIMIT ? new WriteSmall(stream, data) : new WriteLarge(stream, [data], data.length);
    }
    let size = 0;
    for (const chunk of data)
        size += chunk.length;
    return size <= COPY_LIMIT ? new WriteSmall(stream, data) : new WriteLarge(stream, data, size);
}
