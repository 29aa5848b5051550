/** Starting a task in the scope that is open here, or in the outermost one. */
import { requireTask } from './ambient.js'
import type { StartBody } from './start.js'
import type { Task } from './task.js'
import type { Body, Op } from './types.js'

/**
 * Starts a task in the current scope, which waits for it. It first runs later in the turn, never inside this call. Its
 * error cancels the scope. Throws `ERR_COREACTOR_NO_TASK` outside `run`.
 *
 * @example
 * const task = spawn(function* (name: string) { yield* sleep(10); return name }, 'a')
 * const name = yield* task
 */
export function spawn<A extends unknown[], T>(body: Body<A, T>, ...args: A): Task<T> {
  return requireTask('spawn()').scope.spawn(body, ...args)
}

/**
 * Starts a task in the current scope, and completes with the value that it reports by calling its first argument. See
 * `Scope.start`.
 *
 * @example
 * const port = yield* start(function* (started: (port: number) => void) {
 *   const listener = yield* listen({ port: 0 })
 *   started(listener.address.port)
 *   for (;;) yield* (yield* listener.accept()).close()
 * })
 */
export function start<V, A extends unknown[]>(body: StartBody<V, A>, ...args: A): Op<V> {
  return requireTask('start()').scope.start(body, ...args)
}

/**
 * Starts a task that belongs to nobody in particular: it outlives the scope that is open here, and is cancelled when the
 * main body of `run` and all other tasks have ended. Its error cancels the whole run, which rejects with it in a
 * `ScopeError`. Throws `ERR_COREACTOR_NO_TASK` outside `run`.
 *
 * @example
 * spawnBackground(function* refresh() { for (;;) { yield* sleep(60_000); cache.clear() } })
 */
export function spawnBackground<A extends unknown[], T>(body: Body<A, T>, ...args: A): Task<T> {
  return requireTask('spawnBackground()').scope.root.spawn(body, ...args)
}

/** The running task, or null outside any. */
export { ambientTask as currentTask } from './ambient.js'
