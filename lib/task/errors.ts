/** The errors of the scheduler itself. All carry a stable `code` that begins with `ERR_COREACTOR_`. */
import type { Task } from './task.js'

/** Base of the library's own errors, so that one `instanceof` tells them from system errors. */
export class CoreactorError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  override get name(): string {
    return this.constructor.name
  }
}

/**
 * Thrown by every operation inside a cancelled scope, until the scope is left. The scope that was cancelled absorbs it;
 * catch it only to clean up, and throw it again.
 */
export class Cancelled extends CoreactorError {
  /** What `cancel` was called with. */
  readonly reason: unknown
  /** Behind a getter: whoever prints the error does not want the whole tree of tasks. */
  readonly #origin: Task | null

  constructor(reason: unknown, origin: Task | null = null) {
    super('ERR_COREACTOR_CANCELLED', reason === undefined ? 'cancelled' : `cancelled: ${describe(reason)}`)
    this.reason = reason
    this.#origin = origin
  }

  /** The task that called `cancel`, or whose error did; null if it was no task: a deadline, a signal, code outside tasks. */
  get origin(): Task | null {
    return this.#origin
  }
}

/** Joining a task that was cancelled. Not a `Cancelled`: the one who joins was not. */
export class TaskCancelledError extends CoreactorError {
  constructor(task: string, cause: unknown) {
    super('ERR_COREACTOR_TASK_CANCELLED', `the task ${task} was cancelled`, { cause })
  }
}

/** One task of those that failed. */
export interface Failure {
  readonly error: unknown
  /** Name and id of the task: `reader#12`. */
  readonly task: string
  /** The stack of where it was spawned; only with `COREACTOR_DEBUG=1`, because a stack costs ten times a task. */
  readonly spawnedAt: string | undefined
}

/** The errors of a scope's children, and of its body if that failed too. Never holds a `Cancelled`. */
export class ScopeError extends AggregateError {
  readonly code = 'ERR_COREACTOR_SCOPE'
  /** Whose each of `errors` is, in the same order: that in which they happened, the body's first. */
  readonly failures: readonly Failure[]

  constructor(failures: readonly Failure[]) {
    const count = failures.length === 1 ? '1 task failed' : `${failures.length} tasks failed`
    const each = failures.map(({ task, error }) => `${task}: ${describe(error)}`)
    super(
      failures.map(({ error }) => error),
      `${count}: ${each.join('; ')}`
    )
    this.failures = failures
    this.cause = this.errors[0]
  }

  override get name(): string {
    return 'ScopeError'
  }
}

export function describe(value: unknown): string {
  if (!(value instanceof Error)) return String(value)
  return value.message === '' ? value.name : value.message
}
