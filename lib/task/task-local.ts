/** A value that a task has for itself, and that the tasks it spawns begin with. */
import { ambientTask, requireTask } from './ambient.js'
import { delegate } from './enter-scope.js'
import { op } from './op.js'
import type { Body, Coroutine, Op } from './types.js'
import { checkFunction } from './validate.js'

/**
 * A variable with a value of its own in every task: a request's id, a user, a deadline's budget. A task begins with the
 * values that whoever spawned it had at that moment; what it sets is seen by itself and by the tasks it spawns later,
 * and by nobody else. The cost of a spawn does not depend on how many there are.
 *
 * @example
 * const requestId = new TaskLocal('requestId', '-')
 * yield* requestId.run('a1', function* () {
 *   yield* spawn(function* () { console.log(requestId.get()) })
 * })
 */
export class TaskLocal<T> {
  /** For people. */
  readonly name: string
  private readonly initial: T

  constructor(name: string, initial: T) {
    this.name = String(name)
    this.initial = initial
  }

  /** The value in the running task; the initial one if none was set, and outside any task. */
  get(): T {
    const locals = ambientTask()?.locals
    return locals?.has(this) === true ? (locals.get(this) as T) : this.initial
  }

  /** Sets it in the running task. Throws `ERR_COREACTOR_NO_TASK` outside any. */
  set(value: T): void {
    const task = requireTask('TaskLocal.set()')
    task.locals = new Map(task.locals).set(this, value)
  }

  /** Runs `body` with `value`, in the same task; what it was before is back afterwards, however `body` ends. */
  run<R>(value: T, body: Body<[], R>): Op<R> {
    checkFunction('body', body)
    return op(() => this.runBody(value, body))
  }

  private *runBody<R>(value: T, body: Body<[], R>): Coroutine<R> {
    const task = requireTask('TaskLocal.run()')
    const before = task.locals
    this.set(value)
    try {
      return yield* delegate(task, body)
    } finally {
      const after = new Map(task.locals)
      if (before?.has(this) === true) after.set(this, before.get(this))
      else after.delete(this)
      task.locals = after
    }
  }
}
