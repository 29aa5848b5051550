/**
 * The guard rails of development, which the runtime installs with `COREACTOR_DEBUG=1`. Null otherwise: each of them costs
 * more than what it watches.
 */
import type { Task } from './task.js'

export interface Debug {
  /** An operation was made. It should be driven. */
  created(op: object): void
  driven(op: object): void
  /** No task is left: what has not been driven will not be. */
  idle(): void
  spawned(task: Task): void
  /** The stack of where it was spawned. */
  spawnedAt(task: Task): string | undefined
  /** Runs one step of a task. */
  step(task: Task, step: () => void): void
}

export let debug: Debug | null = null

export function installDebug(installed: Debug | null): void {
  debug = installed
}
