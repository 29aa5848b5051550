/** Who is there: every task, for people to look at. */
import { ambientScope } from './ambient.js'
import type { Scope } from './scope.js'
import type { Task } from './task.js'

/**
 * Every task of this thread that has not ended, in the order in which they were spawned; among them those that drive an
 * operation that somebody awaits. Each knows its `name`, its `state`, its `parent` and the `stack()` of what it waits
 * for. The cost grows with their number. Inside a run on another kernel: the tasks of that run.
 *
 * @example
 * for (const task of allTasks()) console.log(task.label, task.state, task.stack())
 */
export function allTasks(): Task[] {
  let outermost: Scope = ambientScope()
  while (outermost.parent !== null) outermost = outermost.parent
  return [...outermost.tasks()].sort((a, b) => a.id - b.id)
}
