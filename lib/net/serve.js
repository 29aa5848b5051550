/** A TCP server: accepts, and runs a handler in a task of its own for every connection. */
import { SystemError } from '../kernel/errno.js';
import { ambientScope, requireTask } from '../task/ambient.js';
import { delegate, enterScope } from '../task/enter-scope.js';
import { Cancelled } from '../task/errors.js';
import { Leaf } from '../task/leaf.js';
import { op } from '../task/op.js';
import { checkFunction, checkInteger, checkMilliseconds, invalidType } from '../task/validate.js';
import { timeout, TimeoutError } from '../time/timeout.js';
import { acceptPatiently } from './accept-policy.js';
import { listen } from './listener.js';
/** Waits until one more connection is allowed. */
class BelowLimit extends Leaf {
    constructor(server) {
        super();
        this.server = server;
    }
    attempt() {
        return !this.server.full && this.complete(undefined);
    }
    arm() {
        this.server.whenBelowLimit = this;
    }
    disarm() {
        this.server.whenBelowLimit = null;
    }
}
export class Server {
    /** @internal Use `serve`. */
    constructor(listener, handler, options, owner) {
        /** @internal */
        this.whenBelowLimit = null;
        this.open = 0;
        /** The scope of the handlers; null before and after it. */
        this.handlers = null;
        this.listener = listener;
        this.address = listener.address;
        this.handler = handler;
        this.limit = options.limit ?? Infinity;
        this.onError = options.onError ?? printError;
        this.task = owner.spawn(this.run.bind(this), options.signal);
        this.task.name = `serve :${this.address.port}`;
    }
    /** Connections whose handler has not ended. */
    get connections() {
        return this.open;
    }
    /** @internal */
    get full() {
        return this.open >= this.limit;
    }
    /**
     * Stops accepting, gives the handlers `grace` milliseconds to end, cancels those that have not, and resets what they
     * leave unsent. Completes when the listener and all handlers are gone; from inside a handler it cancels that one, too.
     * Idempotent. On cancel of this wait the handlers are cancelled at once.
     */
    close(options = {}) {
        const { grace = 0 } = options;
        checkMilliseconds('options.grace', grace);
        return op(() => this.shutDown(grace));
    }
    async [Symbol.asyncDispose]() {
        await this.close();
    }
    *shutDown(grace) {
        const { task } = this;
        this.listener.handle.close();
        try {
            if (grace > 0) {
                yield* timeout(grace, function* () {
                    yield* task;
                });
            }
        }
        catch (error) {
            if (!(error instanceof TimeoutError))
                throw error;
        }
        finally {
            this.handlers?.cancel('the server is closing');
        }
        yield* task;
    }
    /** The server's own task: a scope that holds the acceptor and the handlers. */
    *run(signal) {
        let abort;
        try {
            yield* enterScope(this.acceptAll.bind(this), {
                entered: (handlers) => {
                    this.handlers = handlers;
                    abort = () => handlers.cancel(signal?.reason);
                    if (signal?.aborted === true)
                        abort();
                    else
                        signal?.addEventListener('abort', abort, { once: true });
                }
            });
        }
        finally {
            if (abort !== undefined)
                signal?.removeEventListener('abort', abort);
            this.handlers = null;
            this.listener.handle.close();
        }
    }
    *acceptAll(handlers) {
        const accept = acceptPatiently(this.listener);
        const handle = this.handle.bind(this);
        for (;;) {
            if (this.full)
                yield* new BelowLimit(this);
            const connection = yield* accept();
            if (connection === null)
                return;
            this.open++;
            handlers.spawn(handle, connection);
        }
    }
    *handle(connection) {
        try {
            yield* delegate(requireTask('a handler'), this.handler, connection);
            yield* connection.close();
        }
        catch (error) {
            if (error instanceof Cancelled)
                throw error;
            this.onError(error, connection);
        }
        finally {
            connection.abandon();
            this.open--;
            this.whenBelowLimit?.wake();
        }
    }
}
/** Errors that only say that the peer went away. */
const DISCONNECTS = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);
function printError(error) {
    if (error instanceof SystemError && DISCONNECTS.has(error.code))
        return;
    console.error('coreactor: a connection handler failed:', error);
}
/**
 * Listens, and runs `handler` for every connection in a task of its own; completes as soon as it listens. The server
 * is a task of the current scope, which therefore waits for it: until `close`, or until the scope is cancelled. When a
 * handler ends, its connection is closed, after what it wrote has been sent. A handler that fails is reported to
 * `onError`, and the server lives; an `onError` that throws ends the server with that error.
 *
 * Out of fds or memory, accepting pauses (100 ms doubling to 1 s) with one warning. Errors: those of `listen`.
 *
 * @example
 * const server = yield* serve({ port: 7000, host: '127.0.0.1' }, function* (connection) {
 *   for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
 * })
 */
export function serve(options, handler) {
    checkFunction('handler', handler);
    const listening = listen(options);
    const { limit, onError, signal } = options;
    if (limit !== undefined && limit !== Infinity)
        checkInteger('options.limit', limit, 1, Number.MAX_SAFE_INTEGER);
    if (onError !== undefined)
        checkFunction('options.onError', onError);
    if (signal !== undefined && !(signal instanceof AbortSignal))
        throw invalidType('options.signal', 'an AbortSignal', signal);
    return op(function* () {
        const listener = yield* listening;
        return new Server(listener, handler, options, ambientScope());
    });
}
