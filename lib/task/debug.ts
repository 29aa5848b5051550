/**
 * The guard rails of development, which the runtime installs with `COREACTOR_DEBUG=1`. Null otherwise: each of them costs
 * more than what it watches.
 */
import type { Failure } from './errors.js'
import type { Scheduler } from './scheduler.js'
import type { Scope } from './scope.js'
import type { Task } from './task.js'

export interface Debug {
  /** An operation was made. It should be driven. */
  created(op: object): void
  /** It is driven, or belongs to another operation from now on. */
  driven(op: object): void
  /** A deferred was made. If it is rejected, somebody should wait for it. */
  promised(deferred: object): void
  rejected(deferred: object, error: unknown): void
  /** Somebody waits for it, or has asked for its outcome. */
  collected(deferred: object): void
  /** A task has ended, or a scope was left, with this error: what it has made and not come to is not its fault. */
  abandoned(by: Task | Scope, error: unknown): void
  /** No task is left: what has not been driven will not be. */
  idle(scheduler: Scheduler): void
  spawned(task: Task): void
  /** The task drives `op` for somebody's `await`: it was spawned where that was made. */
  awaits(task: Task, op: object): void
  /** A task has failed whose error nobody waits for. */
  uncaught(failure: Failure): void
  /** The stack of where it was spawned. */
  spawnedAt(task: Task): string | undefined
  /** Runs one step of a task. */
  step(task: Task, step: () => void): void
}

export let debug: Debug | null = null

export function installDebug(installed: Debug | null): void {
  debug = installed
}
