/**
 * A blocking call as an operation: it parks until a thread of the pool has made it. Which calls there are, and what their
 * results mean, is said elsewhere.
 */
import { EAGAIN, SystemError } from '../kernel/errno.js'
import type { Job, Kernel } from '../kernel/kernel.js'
import { Completion } from '../reactor/completion.js'
import { currentRuntime } from '../runtime/current.js'
import type { Runtime } from '../runtime/runtime.js'
import { current } from '../task/ambient.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import type { Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'

export interface BlockingOptions {
  /**
   * On cancel, whether a call that has been begun is let go of at once: it goes on in its thread, and its result is
   * discarded. Otherwise the task stays parked until the call has ended.
   */
  abandon?: boolean | undefined
}

/** What a job's number means: the operation's result, or an error that it throws. `take` gives what the job has found. */
export type Finish<T> = (result: number, take: (into?: Float64Array) => unknown) => T

/** The jobs of one runtime. */
class Pool {
  private static readonly pools = new WeakMap<Runtime, Pool>()
  readonly runtime: Runtime
  /** Those that have been submitted and not ended, abandoned ones not counted. */
  running = 0
  /** Those that the kernel had no room for, in the order in which they came. */
  private readonly line = new Set<BlockingCall<unknown>>()

  private constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  static of(runtime: Runtime): Pool {
    let pool = Pool.pools.get(runtime)
    if (pool === undefined) Pool.pools.set(runtime, (pool = new Pool(runtime)))
    return pool
  }

  /** Whether it is the turn of `call`: nobody waits who came before. */
  admits(call: BlockingCall<unknown>): boolean {
    for (const first of this.line) return first === call
    return true
  }

  join(call: BlockingCall<unknown>): void {
    this.line.add(call)
  }

  leave(call: BlockingCall<unknown>): void {
    if (this.line.delete(call)) this.wakeFirst()
  }

  /** There may be room. */
  wakeFirst(): void {
    for (const first of this.line) return first.wake()
  }
}

class BlockingCall<T> extends Leaf<T> {
  private readonly job: Job
  private readonly finish: Finish<T>
  private readonly abandon: boolean
  /** Null until it has been driven. */
  private pool: Pool | null = null
  private readonly completion = new Completion()
  /** Invariant: the kernel's number of the job while it has one, and its end has not been dealt with; -1 otherwise. */
  private id = -1

  constructor(job: Job, finish: Finish<T>, abandon: boolean) {
    super()
    this.job = job
    this.finish = finish
    this.abandon = abandon
  }

  protected override attempt(): boolean {
    if (this.id < 0) {
      this.submit((this.pool ??= Pool.of(currentRuntime())))
      return false
    }
    const { result } = this.completion
    if (result === undefined) return false
    const { id } = this
    const { kernel } = this.forget()
    return this.complete(this.finish(result, (into) => kernel.takeResult(id, into)))
  }

  protected override arm(): void {
    if (this.id < 0) (this.pool as Pool).join(this)
    else this.completion.waiter = this
  }

  /** Also called for a coroutine that is closed while its call runs, which nothing can prevent. */
  override disarm(): void {
    if (this.id >= 0) this.callOffWith(true)
    else this.pool?.leave(this)
  }

  override callOff(): boolean {
    if (this.id >= 0) return this.callOffWith(this.abandon)
    this.disarm()
    return true
  }

  override retract(): boolean {
    return this.callOff()
  }

  /** False: the call has been begun, and will end. */
  private callOffWith(abandon: boolean): boolean {
    const { kernel } = (this.pool as Pool).runtime
    if (kernel.cancelJob(this.id, abandon) === 0) return false
    this.forget()
    return true
  }

  private submit(pool: Pool): void {
    // Cancelled between its turn in the line and now: what has been begun could not be called off any more.
    if ((current as Task).scope.cancelRequested) {
      pool.leave(this)
      throw (current as Task).cancellation()
    }
    if (!pool.admits(this)) return
    const { kernel, reactor } = pool.runtime
    reactor.expect(this.completion)
    const { slot } = this.completion
    const id = kernel.submit(this.job, slot, reactor.generation(slot))
    if (id >= 0) {
      this.id = id
      pool.running++
      pool.leave(this)
      return
    }
    reactor.forget(this.completion)
    // With none of our own under way nobody would say when there is room: the system has no thread to give.
    if (id === EAGAIN && pool.running > 0) return
    pool.leave(this)
    throw new SystemError(id, id === EAGAIN ? 'pthread_create' : this.job.kind)
  }

  private forget(): { kernel: Kernel } {
    const pool = this.pool as Pool
    this.id = -1
    this.completion.waiter = null
    pool.running--
    pool.runtime.reactor.forget(this.completion)
    pool.wakeFirst()
    return pool.runtime
  }
}

/**
 * Makes an operation of a job. On cancel a job that is queued is taken out of the queue and has not happened. One that
 * has been begun is not interrupted: the operation completes when it ends, and cancellation comes with the next one;
 * with `abandon` it is let go of at once.
 */
export function blockingCall<T>(job: Job, finish: Finish<T>, abandon: boolean): Op<T> {
  return new BlockingCall(job, finish, abandon)
}

/** The option `abandon`, checked. */
export function abandonOf(options: BlockingOptions, usually: boolean): boolean {
  const { abandon = usually } = options
  if (typeof abandon !== 'boolean') throw invalidType('options.abandon', 'of type boolean', abandon)
  return abandon
}
