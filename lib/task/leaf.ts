/**
 * The operations that really wait. A coroutine parks by yielding from a leaf, and in no other way.
 *
 * A leaf is its own iterator and its own iterator result, so that neither starting, parking nor completing allocates.
 * Subclasses say how to try (`attempt`), how to wait (`arm`) and how to call the wait off (`disarm`).
 */
import { ambientScope, current } from './ambient.js'
import { debug } from './debug.js'
import { CoreactorError } from './errors.js'
import type { Task } from './task.js'
import { CANCEL, PROBE, RESUME, type Op, type Parked, type Signal, type Waiter } from './types.js'

export abstract class Leaf<T> implements Op<T>, Waiter {
  /** IteratorResult. Invariant: true exactly when the operation has completed. */
  done = false
  /** IteratorResult. Invariant: the leaf itself while it is parked, the result once `done`, undefined before. */
  value: unknown = undefined
  /** Invariant: the task that is parked on this leaf; null when none is. */
  task: Task | null = null

  constructor() {
    if (debug !== null) debug.created(this)
  }

  /** Completes if that is possible now: sets the result with `complete` and returns true. May throw. Never waits. */
  protected abstract attempt(): boolean

  /** Arranges for `wake` to be called once another attempt makes sense. May throw, having had no effect. */
  protected abstract arm(): void

  /** Undoes `arm`: nothing will call `wake` any more, and nothing of the operation has happened. */
  abstract disarm(): void

  /**
   * Undoes a wake-up that nobody has acted on yet, so that the operation has not happened. False: it has, and will
   * complete. To be overridden by what is handed something when it is woken.
   */
  retract(): boolean {
    this.disarm()
    return true
  }

  /**
   * Called when the scope of the parked task is cancelled: `disarm`, if that is possible. False: the wait goes on, and
   * cancellation comes with the next operation. To be overridden by what finds out only now whether it can be called off.
   */
  callOff(): boolean {
    if (this.committed) return false
    this.disarm()
    return true
  }

  /**
   * The scope was cancelled before the first attempt, and it will not happen. For what must be done all the same: freeing
   * something.
   */
  refused(): void {}

  /** A wait that cannot be called off: cancellation comes with the next operation. */
  get committed(): boolean {
    return false
  }

  protected complete(value: T): true {
    this.value = value
    return true
  }

  /** Makes the parked task ready; harmless when it is ready already. */
  wake(): void {
    this.task?.wake()
  }

  [Symbol.iterator](): Iterator<Parked, T, unknown> {
    return this as unknown as Iterator<Parked, T, unknown>
  }

  next(signal?: Signal): this {
    if (signal === RESUME) return this.resume()
    if (signal === undefined) return this.start()
    if (signal === CANCEL) {
      const task = this.task as Task
      this.task = null
      throw task.cancellation()
    }
    if (signal === PROBE) (this.task as Task).parkedStack = new Error('parked').stack
    return this
  }

  /** Called by the language when a coroutine is thrown into or closed while it is parked here. */
  throw(error: unknown): never {
    this.leave()
    throw error
  }

  return(value: T): { done: true; value: T } {
    this.leave()
    return { done: true, value }
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    return ambientScope().promise(this).then(onFulfilled, onRejected)
  }

  /** The first `next`. */
  protected start(): this {
    const task = this.driver()
    if (!this.committed) {
      if (task.scope.cancelRequested) {
        this.refused()
        throw task.cancellation()
      }
      // A spent budget parks before the attempt, so that a cancellation that comes meanwhile finds nothing done.
      if (task.scheduler.spend()) return this.yieldTurn(task)
    }
    if (this.attempt()) {
      this.done = true
      return this
    }
    this.arm()
    return this.park(task)
  }

  /** The task that drives it; once only. */
  protected driver(): Task {
    if (this.done || this.value !== undefined) throw reused()
    if (current === null) throw new Error('coreactor: an operation was advanced outside a task')
    if (debug !== null) debug.driven(this)
    return current
  }

  /** `next` of a task that was woken. */
  protected resume(): this {
    const task = this.task as Task
    this.task = null
    if (this.attempt()) {
      this.done = true
      return this
    }
    // Woken in vain (a spurious readiness), and cancelled since: nobody would interrupt the wait that begins now.
    if (task.scope.cancelRequested && !this.committed) {
      this.disarm()
      throw task.cancellation()
    }
    this.arm()
    return this.park(task)
  }

  protected park(task: Task): this {
    this.task = task
    this.value = this
    return this
  }

  /** Parks as ready: the attempt is made in the next turn. */
  private yieldTurn(task: Task): this {
    this.park(task)
    task.yieldTurn()
    return this
  }

  private leave(): void {
    if (this.task === null) return
    this.disarm()
    this.task = null
  }
}

export function reused(): CoreactorError {
  return new CoreactorError(
    'ERR_COREACTOR_OP_REUSED',
    'an operation can be driven once: call the function again for another one'
  )
}
