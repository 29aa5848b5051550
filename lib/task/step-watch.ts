/**
 * The watch on steps that take too long, which the runtime installs while somebody asks for it. Null otherwise: then the
 * scheduler looks here once a turn. See `runtime/step-watchdog.ts`.
 */
import type { Task } from './task.js'

export interface StepWatch {
  /** A task was spawned that runs `body`. */
  spawned(task: Task, body: object): void
  renamed(task: Task): void
  /** A step of the task begins: the first one, or the one after another. */
  begin(task: Task): void
  /** It has ended. Another follows at once, or `rest`. */
  end(): void
  /** No step follows. */
  rest(): void
  /** Runs a step inside another one, or outside any turn. */
  within(task: Task, step: () => void): void
  /** What settles the promise that a part of the task awaits. The next part runs in a microtask, and is a step, too. */
  continued<A>(task: Task, settle: (value: A) => void): (value: A) => void
}

export let stepWatch: StepWatch | null = null

export function installStepWatch(installed: StepWatch | null): void {
  stepWatch = installed
}
