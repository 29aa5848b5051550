/**
 * A blocking call as an operation: it parks until a thread of the pool has made it. Which calls there are, and what their
 * results mean, is said elsewhere.
 */
import { EAGAIN, EINVAL, SystemError } from '../kernel/errno.js'
import type { Job, Kernel } from '../kernel/kernel.js'
import { Completion } from '../reactor/completion.js'
import { currentRuntime } from '../runtime/current.js'
import { current } from '../task/ambient.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import type { Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { JobLine } from './job-line.js'

/** Options of every call that is made on a thread of the pool. */
export interface BlockingOptions {
  /**
   * On cancel, whether a call that has been begun is let go of at once: it goes on in its thread, and its result is
   * discarded. Otherwise the task stays parked until the call has ended.
   */
  abandon?: boolean | undefined
}

/** What a job has found: see `Kernel.takeResult`. */
export type Take = (into?: Float64Array | readonly Uint8Array[]) => unknown

/** What a job's number means: the operation's result, or an error that it throws. `take` gives what the job has found. */
export type Finish<T> = (result: number, take: Take) => T

/** Takes back what a job has done, of which nobody wants the result any more. */
export type Undo = (result: number, take: Take) => void

class BlockingCall<T> extends Leaf<T> {
  private readonly job: Job
  private readonly finish: Finish<T>
  private readonly abandon: boolean
  private readonly undo: Undo | null
  /** Null until it has been driven. */
  private line: JobLine | null = null
  private readonly completion = new Completion()
  /** Invariant: the kernel's number of the job while it has one, and its end has not been dealt with; -1 otherwise. */
  private id = -1

  constructor(job: Job, finish: Finish<T>, abandon: boolean, undo: Undo | null) {
    super()
    this.job = job
    this.finish = finish
    this.abandon = abandon
    this.undo = undo
  }

  protected override attempt(): boolean {
    if (this.id < 0) {
      this.submit((this.line ??= JobLine.of(currentRuntime())))
      return false
    }
    const { result } = this.completion
    if (result === undefined) return false
    const { id } = this
    const { kernel } = this.forget()
    const take: Take = (into) => kernel.takeResult(id, into)
    if (this.undo !== null && (current as Task).scope.cancelRequested) {
      this.undo(result, take)
      throw (current as Task).cancellation()
    }
    return this.complete(this.finish(result, take))
  }

  protected override arm(): void {
    if (this.id < 0) (this.line as JobLine).join(this)
    else this.completion.waiter = this
  }

  /** Also called for a coroutine that is closed while its call runs, which nothing can prevent. */
  override disarm(): void {
    if (this.id >= 0) this.callOffWith(true)
    else this.line?.leave(this)
  }

  override callOff(): boolean {
    if (this.id >= 0) return this.callOffWith(this.abandon)
    this.disarm()
    return true
  }

  override retract(): boolean {
    return this.callOff()
  }

  /** False: the call has been begun, and will end, or has ended. */
  private callOffWith(abandon: boolean): boolean {
    // It has happened, although nobody has acted on it yet: a lock has been taken, a file renamed.
    if (this.completion.result !== undefined && !abandon) return false
    const { kernel } = (this.line as JobLine).runtime
    if (kernel.cancelJob(this.id, abandon) === 0) return false
    this.forget()
    return true
  }

  private submit(line: JobLine): void {
    // Cancelled between its turn in the line and now: what has been begun could not be called off any more.
    if ((current as Task).scope.cancelRequested) {
      line.leave(this)
      throw (current as Task).cancellation()
    }
    if (!line.admits(this)) return
    const { kernel, reactor } = line.runtime
    reactor.expect(this.completion)
    const { slot } = this.completion
    const id = kernel.submit(this.job, slot, reactor.generation(slot))
    if (id >= 0) {
      this.id = id
      line.running++
      line.leave(this)
      return
    }
    reactor.forget(this.completion)
    // With none of our own under way nobody would say when there is room: the system has no thread to give.
    if (id === EAGAIN && line.running > 0) return
    line.leave(this)
    if (id === EINVAL) throw invalidValue('job', 'is none that there is, or has a wrong part', this.job.kind)
    throw new SystemError(id, id === EAGAIN ? 'pthread_create' : this.job.kind)
  }

  private forget(): { kernel: Kernel } {
    const line = this.line as JobLine
    this.id = -1
    this.completion.waiter = null
    line.running--
    line.runtime.reactor.forget(this.completion)
    line.wakeFirst()
    return line.runtime
  }
}

/**
 * Makes an operation of a job. On cancel a job that is queued is taken out of the queue and has not happened. One that
 * has been begun is not interrupted: the operation completes when it ends, and cancellation comes with the next one;
 * with `abandon` it is let go of at once. With `undo` it is taken back when it has ended, and `Cancelled` is thrown: for
 * what must have an owner, as it may be the last operation of somebody who has lost a race.
 */
export function blockingCall<T>(job: Job, finish: Finish<T>, abandon: boolean, undo: Undo | null = null): Op<T> {
  return new BlockingCall(job, finish, abandon, undo)
}

/** The option `abandon`, checked. */
export function abandonOf(options: BlockingOptions, usually: boolean): boolean {
  const { abandon = usually } = options
  if (typeof abandon !== 'boolean') throw invalidType('options.abandon', 'of type boolean', abandon)
  return abandon
}
