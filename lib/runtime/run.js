import { enterScope } from '../task/enter-scope.js';
import { op } from '../task/op.js';
import { checkFunction, invalidType } from '../task/validate.js';
import { ownRuntime } from './current.js';
import { Runtime } from './runtime.js';
/**
 * Runs `main` in a scope of its own, and resolves with its result when it and every task spawned in it have ended.
 * Rejects with its error, with a `ScopeError` when tasks have failed, or with the signal's reason. The process stays
 * alive until then. Several may run side by side; they share the thread.
 *
 * @example
 * await run(function* () {
 *   yield* serve({ port: 7000 }, function* (connection) {
 *     for (;;) {
 *       const chunk = yield* connection.readSome()
 *       if (chunk === null) return
 *       yield* connection.write(chunk)
 *     }
 *   })
 * })
 */
export function run(main, options = {}) {
    checkFunction('main', main);
    const { signal, kernel } = options;
    if (signal !== undefined && !(signal instanceof AbortSignal))
        throw invalidType('options.signal', 'an AbortSignal', signal);
    const runtime = kernel === undefined ? ownRuntime() : new Runtime(kernel);
    const ended = runtime.background.promise(op(function* () {
        let abort;
        try {
            return yield* enterScope(main, {
                entered(scope) {
                    abort = () => scope.cancel(signal?.reason);
                    if (signal?.aborted === true)
                        abort();
                    else
                        signal?.addEventListener('abort', abort, { once: true });
                },
                absorbed() {
                    if (signal?.aborted === true)
                        throw signal.reason;
                }
            });
        }
        finally {
            if (abort !== undefined)
                signal?.removeEventListener('abort', abort);
        }
    }));
    return kernel === undefined ? ended : ended.finally(() => runtime.close());
}
