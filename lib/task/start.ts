/** Starting a task that says when it is ready: the handshake of `start`. */
import { Cancelled, CoreactorError } from './errors.js'
import { Ended } from './join.js'
import { Leaf } from './leaf.js'
import { op } from './op.js'
import type { Scope } from './scope.js'
import { Start, Task } from './task.js'
import type { Body, Op, Waiter } from './types.js'

/** The body of a task that reports when it is ready, by calling its first argument once. */
export type StartBody<V, A extends unknown[]> = Body<[started: (value: V) => void, ...args: A], unknown>

export class StartingTask<V> extends Task<unknown> {
  /** What it has reported; null before. */
  report: { value: V } | null = null
  /** Who waits for the report. */
  starter: Waiter | null = null

  constructor(owner: Scope, body: StartBody<V, never>, args: unknown[]) {
    super(owner, new Start(body as unknown as Body<unknown[], unknown>, [(value: V) => this.started(value), ...args]), body.name)
    owner.scheduler.enqueue(this)
  }

  /** Before the report its error belongs to whoever called `start`. */
  protected override get reportsToOwner(): boolean {
    return this.report !== null
  }

  private started(value: V): void {
    if (this.report !== null) {
      throw new CoreactorError('ERR_COREACTOR_STARTED_TWICE', `the task ${this.label} has reported already that it has started`)
    }
    this.report = { value }
    this.starter?.wake()
  }
}

/** Waits for the report, or for an end without one. */
class Reported<V> extends Leaf<V> {
  private readonly starting: StartingTask<V>

  constructor(starting: StartingTask<V>) {
    super()
    this.starting = starting
  }

  protected override attempt(): boolean {
    const { starting } = this
    if (starting.report !== null) return this.complete(starting.report.value)
    if (!starting.ended) return false
    starting.result()
    throw new CoreactorError('ERR_COREACTOR_NOT_STARTED', `the task ${starting.label} has ended without calling started()`)
  }

  protected override arm(): void {
    this.starting.starter = this
    this.starting.addJoiner(this)
  }

  override disarm(): void {
    this.starting.starter = null
    this.starting.removeJoiner(this)
  }
}

/** @internal Makes the task when it is driven, and waits for its report. */
export function start<V>(make: () => StartingTask<V>): Op<V> {
  return op(function* () {
    const starting = make()
    const reported = new Reported(starting)
    try {
      return yield* reported
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error
      // Nobody will ever know of it, although it may have reported meanwhile: it goes. Its last error goes to whoever called
      // start, unless it had reported.
      starting.cancel(error.reason)
      yield* new Ended(starting)
      if (starting.report === null && starting.outcome === 'failed') starting.result()
      throw error
    } finally {
      reported.disarm()
    }
  })
}
