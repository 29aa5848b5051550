/** Waiting, with a lock, for something to become true. */
import { CoreactorError } from '../task/errors.js'
import { op } from '../task/op.js'
import { ambientTask, current } from '../task/ambient.js'
import type { Task } from '../task/task.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkFunction, checkInteger } from '../task/validate.js'
import { Line, type Standing } from './line.js'
import { Mutex } from './mutex.js'
import type { Permit } from './semaphore.js'
import { Waiting } from './waiting.js'

class Notified extends Waiting<void> {
  private readonly condition: Condition

  /** It is in the line before the lock is released, or a notification could come in between and be lost. */
  constructor(condition: Condition, line: Line<Standing>) {
    super(line)
    this.condition = condition
    line.add(this)
  }

  protected override take(): boolean {
    return false
  }

  /** The notification is for somebody: the next one gets it. */
  protected override giveBack(): boolean {
    this.condition.pass()
    return true
  }
}

/**
 * A mutex, and tasks that wait for what it protects to change. `wait` releases the lock while it waits and has it again
 * when it ends, however it ends: also when it is cancelled. Whoever changes the state calls `notify`.
 *
 * @example
 * yield* condition.use(function* () {
 *   yield* condition.waitFor(() => pending.length > 0)
 *   handle(pending.shift())
 * })
 */
export class Condition {
  readonly mutex: Mutex
  private readonly line = new Line<Notified>()

  constructor(mutex: Mutex = new Mutex()) {
    this.mutex = mutex
  }

  /** Tasks that wait to be notified. */
  get waiting(): number {
    return this.line.size
  }

  /** Waits for the lock. The same as `mutex.lock()`. */
  lock(): Op<Permit> {
    return this.mutex.lock()
  }

  /** Runs a body with the lock. The same as `mutex.use(body)`. */
  use: Mutex['use'] = (body) => this.mutex.use(body)

  /**
   * Releases the lock, waits until notified, and takes the lock again. Look at the state again afterwards, or use
   * `waitFor`: somebody may have been quicker. Throws `ERR_COREACTOR_NOT_LOCKED` if the task does not hold the lock. On
   * cancel it holds the lock again, and a notification, if there was one before the lock was had, goes to somebody else.
   */
  wait(): Op<void> {
    return op(() => this.waitOnce())
  }

  /**
   * Waits until `predicate` is true, which is looked at with the lock held: at first, and whenever notified. Throws
   * `ERR_COREACTOR_NOT_LOCKED` if the task does not hold the lock, and what `predicate` throws. On cancel as `wait`.
   */
  waitFor(predicate: () => boolean): Op<void> {
    checkFunction('predicate', predicate)
    return op(() => this.waitUntil(predicate))
  }

  /** Wakes the `count` that have waited longest. Throws `ERR_COREACTOR_NOT_LOCKED` if the lock is not held. */
  notify(count = 1): void {
    checkInteger('count', count, 1, Number.MAX_SAFE_INTEGER)
    if (!this.mutex.locked) throw notLocked('notify')
    for (let i = 0; i < count && this.line.size > 0; i++) this.pass()
  }

  /** Wakes everybody who waits. Throws `ERR_COREACTOR_NOT_LOCKED` if the lock is not held. */
  notifyAll(): void {
    if (!this.mutex.locked) throw notLocked('notifyAll')
    for (let n = this.line.size; n > 0; n--) this.pass()
  }

  /** @internal */
  pass(): void {
    this.line.shift()?.grant(undefined)
  }

  private *waitUntil(predicate: () => boolean): Coroutine<void> {
    this.checkHeld('waitFor')
    while (!predicate()) yield* this.waitOnce()
  }

  private *waitOnce(): Coroutine<void> {
    const { mutex } = this
    this.checkHeld('wait')
    const { holder } = mutex
    const lock = mutex.lockHeld as Permit
    const task = current as Task
    if (task.scope.cancelRequested) throw task.cancellation()
    const notified = new Notified(this, this.line)
    lock.release()
    try {
      yield* notified
    } finally {
      // Cancelled, it may not have begun to wait, or may have been notified all the same.
      if (!notified.done) notified.retract()
      // The same permit holds it again: whoever locked it releases what they have.
      yield* mutex.relock(lock, holder)
    }
    if (!task.scope.cancelRequested) return
    // Cancelled while it waited for the lock. Were it to return all the same, the notification would be lost in a race that
    // another operation has won.
    this.pass()
    throw task.cancellation()
  }

  /** Held by nobody in particular, or by a task that has ended and so has left it to somebody, anybody may have it. */
  private checkHeld(verb: string): void {
    const { locked, owner } = this.mutex
    if (!locked) throw notLocked(verb)
    if (owner !== null && !owner.ended && owner !== ambientTask()?.principal) throw notLocked(verb)
  }
}

function notLocked(verb: string): CoreactorError {
  return new CoreactorError('ERR_COREACTOR_NOT_LOCKED', `${verb}() needs the lock of the condition`)
}
