/** The way into the library: a main body, and a promise of its end. */
import type { Kernel } from '../kernel/kernel.js'
import { checkSignal } from '../task/abort.js'
import { current } from '../task/ambient.js'
import { enterAbortable, enterScope } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
import type { AwaitTask } from '../task/task.js'
import type { Body, Coroutine } from '../task/types.js'
import { randomFrom } from '../task/random.js'
import { checkFunction, checkInteger, invalidValue } from '../task/validate.js'
import { ownRuntime } from './current.js'
import { Runtime } from './runtime.js'
import { checkWatchdog, watchSteps, type WatchdogOptions } from './step-watchdog.js'

/** Options of `run`. */
export interface RunOptions {
  /** Cancels everything when it is aborted; `run` then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Another operating system than this one, for tests: see `coreactor/testing`. */
  kernel?: Kernel | undefined
  /**
   * With `kernel`: tasks that are ready run in a random order, which the seed decides, and not in the order in which they
   * became ready. What must not depend on that order is found out by trying many seeds. The environment variable
   * `COREACTOR_SEED` does the same for everything in the process: a number, or `random`, which prints the one it chose.
   */
  seed?: number | undefined
  /**
   * Has a native thread watch this one until `run` has ended. When a task has been in one step for longer than `ms`, it
   * says so on standard error while the step still lasts, whatever it is stuck in: a loop, a regular expression,
   * `crypto.pbkdf2Sync`, `readFileSync`, `execSync`. It names the task, says where it was spawned, and whether it computes
   * or is kept waiting. When the step has ended, there is a warning of the process with the code `COREACTOR_SLOW_STEP`, or
   * `onBlocked` is called. Of an async function it sees the first part, and each one after an operation of this library.
   *
   * All that runs in the thread is watched, also of other runtimes; of several limits the least counts. Time in which the
   * process was stopped, or the machine slept, does not count. While Node's inspector is open, a step that only waits is
   * not reported: it may stand at a breakpoint. `COREACTOR_DEBUG=1` has 100 ms watched, if no program says otherwise.
   *
   * @example
   * await run(() => serveOne(connection), { watchdog: { ms: 20 } })
   */
  watchdog?: WatchdogOptions | undefined
}

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
export function run<T>(main: Body<[Scope], T>, options: RunOptions = {}): Promise<T> {
  checkFunction('main', main)
  const { signal, kernel, seed, watchdog } = options
  if (seed !== undefined) checkInteger('options.seed', seed, 0, 0xffff_ffff)
  if (seed !== undefined && kernel === undefined) throw invalidValue('options.seed', 'needs a kernel of its own', seed)
  if (signal !== undefined) checkSignal(signal)
  if (watchdog !== undefined) checkWatchdog(watchdog)
  const runtime = kernel === undefined ? ownRuntime() : new Runtime(kernel)
  if (seed !== undefined) runtime.scheduler.random = randomFrom(seed)
  // What is watched is this thread and the system's time, whatever kernel the tasks run on.
  const unwatch = watchdog === undefined ? null : watchSteps(ownRuntime().kernel, watchdog)

  const outcome = runtime.background.promise(
    op(function* () {
      ;(current as AwaitTask<T>).standAlone(main.name || 'main')
      const inRoot = (root: Scope): Coroutine<T> => runMain(main, root)
      return yield* signal === undefined ? enterScope(inRoot) : enterAbortable(inRoot, signal)
    })
  )
  const ended = unwatch === null ? outcome : outcome.finally(unwatch)
  return kernel === undefined ? ended : ended.finally(() => runtime.close())
}

/** The root scope is around that of main, and holds the background tasks, which end when main has. */
function* runMain<T>(main: Body<[Scope], T>, root: Scope): Coroutine<T> {
  const result = yield* enterScope(main)
  root.cancel('main has ended')
  return result
}
