/** A TCP connection: a byte stream with two addresses and the options of its protocol. */
import { check } from '../kernel/errno.js';
import { SocketOption } from '../kernel/layout.js';
import { ClosedError } from '../io/errors.js';
import { Stream } from '../io/stream.js';
import { checkInteger } from '../task/validate.js';
export class Connection extends Stream {
    /** This side's address; undefined once the connection is closed, unless it was asked for before. */
    get localAddress() {
        return (this.local ??= known(this.closed ? -1 : this.handle.kernel.localAddress(this.fd)));
    }
    /** The peer's address; undefined once the connection is gone, unless it was asked for before. */
    get remoteAddress() {
        return (this.remote ??= known(this.closed ? -1 : this.handle.kernel.remoteAddress(this.fd)));
    }
    /** Whether small segments go out at once (the default here) or are held back while others are unacknowledged. */
    setNoDelay(on = true) {
        this.setOption(SocketOption.NO_DELAY, on ? 1 : 0);
        return this;
    }
    /** Whether the system probes a silent peer. */
    setKeepAlive(on = true, options = {}) {
        const { idle, interval, count } = options;
        if (idle !== undefined)
            checkInteger('options.idle', idle, 1, 32767);
        if (interval !== undefined)
            checkInteger('options.interval', interval, 1, 32767);
        if (count !== undefined)
            checkInteger('options.count', count, 1, 127);
        this.setOption(SocketOption.KEEP_ALIVE, on ? 1 : 0);
        if (idle !== undefined)
            this.setOption(SocketOption.KEEP_ALIVE_IDLE, idle);
        if (interval !== undefined)
            this.setOption(SocketOption.KEEP_ALIVE_INTERVAL, interval);
        if (count !== undefined)
            this.setOption(SocketOption.KEEP_ALIVE_COUNT, count);
        return this;
    }
    setOption(option, value) {
        if (this.closed)
            throw new ClosedError('the connection');
        check(this.handle.kernel.setOption(this.fd, option, value), 'setsockopt');
    }
}
function known(address) {
    return typeof address === 'number' ? undefined : address;
}
