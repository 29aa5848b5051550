/** A coroutine that the scheduler runs: the only place that calls `next()`, and the handle its owner holds. */
import { ambientTask, contexts, current, runAsync, setCurrent, type Context } from './ambient.js'
import { debug, type Debug } from './debug.js'
import { Cancelled, CoreactorError, TaskCancelledError, type Failure } from './errors.js'
import { Join } from './join.js'
import type { Leaf } from './leaf.js'
import type { Scope } from './scope.js'
import type { Scheduler } from './scheduler.js'
import { CANCEL, isCoroutineFunction, PROBE, RESUME, type Body, type Coroutine, type Op, type Parked, type Signal, type Waiter } from './types.js'
import { stepWatch } from './step-watch.js'
import { Promised } from './until.js'

/** What a task does next. The first five are "ready" or running; exactly one of the last three is its end. */
const FRESH = 0
const READY = 1
/** Ready because its budget was spent: nothing has completed, so a cancellation that comes first wins. */
const YIELDED = 2
const CANCELLING = 3
const RUNNING = 4
const PARKED = 5
const RETURNED = 6
const FAILED = 7
const CANCELLED = 8

/** What `run` and the probe advance. A generator, or an operation that is awaited without one. */
export interface Steps {
  next(signal?: Signal): IteratorResult<unknown, unknown>
  throw?(error: unknown): IteratorResult<unknown, unknown>
}

/** @internal The body of a task that has not run yet. */
export class Start {
  private readonly body: Body<unknown[], unknown>
  private readonly args: unknown[]

  constructor(body: Body<unknown[], unknown>, args: unknown[]) {
    this.body = body
    this.args = args
  }

  /** Calls the body. What an async function awaits later must find the task again, so it runs in the task's context. */
  begin(task: Task): Steps {
    const { body, args } = this
    const returned = isCoroutineFunction(body) ? body(...(args as never[])) : runAsync(task, () => body(...args))
    return stepsOf(returned)[Symbol.iterator]() as Steps
  }
}

let lastId = 0

/**
 * A coroutine or an async function that runs beside others. As an operation it waits for the end and gives what the body returned;
 * the task is not cancelled when that wait is.
 */
export class Task<T = unknown> implements Op<T> {
  /** Unique in this thread, counted from 1. */
  readonly id = ++lastId
  /** @internal Where it was spawned: this scope waits for it and hears of its error. */
  readonly owner: Scope
  /** @internal The innermost scope it is in now. Invariant: `owner`, or a descendant of it. */
  scope: Scope
  /** @internal Siblings in the owner's list of children. */
  previousSibling: Task | null = null
  /** @internal */
  nextSibling: Task | null = null
  private givenName: string
  protected phase = FRESH
  /** FRESH: a Start, or Steps that somebody awaits. Later: Steps. Ended: null. */
  private steps: Start | Steps | null
  /** PARKED, READY, CANCELLING: the leaf. Ended: the result, the error or the Cancelled. */
  protected held: unknown = null
  /** Who waits for the end: nothing, one waiter, or a list of them. */
  private joiners: Waiter | Waiter[] | null = null
  /** @internal Operations that its async functions await in the owner's scope: a list through nextAwait. */
  firstAwait: AwaitTask<unknown> | null = null
  /** @internal Node's async context in which it runs; null while nobody uses any. */
  context: Context | null
  /** @internal The values of task locals: never changed, only replaced. */
  locals: ReadonlyMap<object, unknown> | null
  /** @internal Written by a leaf that is resumed with PROBE. */
  declare parkedStack: string | undefined
  /** @internal The step watch's own; see STEP_WHOSE in kernel/layout.ts. */
  declare watchedAs: number | undefined

  /** @internal Use `spawn`. */
  constructor(owner: Scope, steps: Start | Steps, name: string) {
    this.owner = owner
    this.scope = owner
    this.steps = steps
    this.givenName = name
    this.context = contexts.capture()
    this.locals = ambientTask()?.locals ?? null
    owner.adopt(this)
    if (debug !== null) debug.spawned(this)
  }

  /** @internal A task that becomes ready now and begins later in the turn. */
  static spawn<A extends unknown[], T>(owner: Scope, body: Body<A, T>, args: A): Task<T> {
    const start = new Start(body as unknown as Body<unknown[], unknown>, args)
    return this.advance(owner, start, body as unknown as Body<never[], T>)
  }

  /** @internal The same for steps that are taken in place of `body`, which gives its name. */
  static advance<T>(owner: Scope, steps: Start | Steps, body: Body<never[], T>, name = ''): Task<T> {
    const task = new this<T>(owner, steps, body.name || name)
    if (stepWatch !== null) stepWatch.spawned(task, body)
    owner.scheduler.enqueue(task)
    return task
  }

  /** @internal The same for an operation, without a coroutine around it. */
  static drive<T>(owner: Scope, op: Op<T>): Task<T> {
    const task = new this<T>(owner, op[Symbol.iterator]() as unknown as Steps, '')
    owner.scheduler.enqueue(task)
    return task
  }

  /** For people: in reports, dumps and errors. The name of its body unless it is set. */
  get name(): string {
    return this.givenName === '' ? 'task' : this.givenName
  }

  set name(name: string) {
    this.givenName = String(name)
    if (stepWatch !== null) stepWatch.renamed(this)
  }

  /** `name#id`. */
  get label(): string {
    return `${this.name}#${this.id}`
  }

  /** The task in whose scope it was spawned: it cannot end before this one. Null for those of the root. */
  get parent(): Task | null {
    return this.owner.host
  }

  /** How it has ended; null while it has not. */
  get outcome(): 'returned' | 'failed' | 'cancelled' | null {
    if (this.phase < RETURNED) return null
    return this.phase === RETURNED ? 'returned' : this.phase === FAILED ? 'failed' : 'cancelled'
  }

  get state(): 'ready' | 'parked' | 'ended' {
    return this.phase >= RETURNED ? 'ended' : this.phase === PARKED ? 'parked' : 'ready'
  }

  /** @internal */
  get ended(): boolean {
    return this.phase >= RETURNED
  }

  /** @internal For whom it does what it does: itself, unless it only drives an operation of somebody else's. */
  get principal(): Task | null {
    return this
  }

  /** @internal */
  get scheduler(): Scheduler {
    return this.owner.scheduler
  }

  /**
   * Cancels this task and everything in the scopes that it has entered; its siblings go on. The operation that it is
   * parked on, or that its async function awaits, throws `Cancelled`, and so does every later one. A task that has not
   * begun runs up to its first operation. Idempotent.
   */
  cancel(reason?: unknown): void {
    if (!this.ended) this.owner.enclose(this).cancel(reason)
  }

  /** Waits for the end: its result, its error, or `TaskCancelledError`. A cancelled wait leaves the task alone. */
  [Symbol.iterator](): Iterator<Parked, T, unknown> {
    return new Join<T>(this)[Symbol.iterator]()
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    return new Join<T>(this).then(onFulfilled, onRejected)
  }

  /** The stack of the operation that the task is parked on, or undefined. The task does not notice. */
  stack(): string | undefined {
    if (this.phase !== PARKED) return undefined
    const previous = current
    setCurrent(this)
    try {
      ;(this.steps as Steps).next(PROBE)
    } finally {
      setCurrent(previous)
    }
    const { parkedStack } = this
    this.parkedStack = undefined
    return parkedStack
  }

  /** @internal Makes a parked task ready. Called by the leaf it is parked on. */
  wake(): void {
    if (this.phase !== PARKED) return
    this.phase = READY
    this.scheduler.enqueue(this)
  }

  /** @internal Called by the leaf that is about to park although it need not wait. */
  yieldTurn(): void {
    this.phase = YIELDED
    this.scheduler.enqueue(this)
  }

  /** @internal The scope it is in was cancelled. What has completed already stays completed, unless it is to `retract`. */
  interrupt(retract: boolean): void {
    const leaf = this.held as Leaf<unknown>
    if (this.phase === READY) {
      if (retract && !leaf.committed && leaf.retract()) this.phase = CANCELLING
      return
    }
    if (this.phase !== PARKED) return
    // First: calling a wait off may wake whoever waits there, as closing an fd does.
    this.phase = CANCELLING
    if (leaf.callOff()) this.scheduler.enqueue(this)
    else this.phase = PARKED
  }

  /** @internal The error with which the operation that runs now ends. Made inside it, so that it has its stack. */
  cancellation(): Cancelled {
    return new Cancelled(this.scope.cancelReason, this.scope.cancelOrigin)
  }

  /**
   * @internal One step: until the coroutine parks again or ends. Its caller sets `current`, and puts it right afterwards.
   * `refused` is thrown into the coroutine at its bare yield.
   */
  run(refused?: CoreactorError): void {
    let result: IteratorResult<unknown, unknown>
    try {
      result = refused === undefined ? this.advance() : this.throwInto(refused)
    } catch (error) {
      this.end(error instanceof Cancelled ? CANCELLED : FAILED, error)
      return
    }
    if (result.done === true) this.end(RETURNED, result.value)
    else if ((result.value as Leaf<unknown> | null | undefined)?.task === this) this.park(result.value as Leaf<unknown>)
    else this.run(bareYield(this, result.value))
  }

  /**
   * The result of a task that has ended; throws the error with which it failed, `TaskCancelledError` if it was cancelled,
   * and `ERR_COREACTOR_TASK_NOT_ENDED` if it has not ended. To wait for the end, `yield*` or `await` the task.
   */
  result(): T {
    if (this.phase === RETURNED) return this.held as T
    if (this.phase === CANCELLED) throw new TaskCancelledError(this.label, this.held)
    if (this.phase === FAILED) throw this.held
    throw new CoreactorError('ERR_COREACTOR_TASK_NOT_ENDED', `the task ${this.label} has not ended`)
  }

  /** @internal How it has failed. */
  failure(error = this.held): Failure {
    return { error, task: this.label, spawnedAt: debug?.spawnedAt(this) }
  }

  /** @internal */
  addJoiner(waiter: Waiter): void {
    if (this.joiners === null) this.joiners = waiter
    else if (Array.isArray(this.joiners)) this.joiners.push(waiter)
    else this.joiners = [this.joiners, waiter]
  }

  /** @internal */
  removeJoiner(waiter: Waiter): void {
    if (this.joiners === waiter) this.joiners = null
    else if (Array.isArray(this.joiners)) this.joiners = this.joiners.filter((joiner) => joiner !== waiter)
  }

  /** Whether its error fails the scope that owns it. */
  protected get reportsToOwner(): boolean {
    return true
  }

  private advance(): IteratorResult<unknown, unknown> {
    const { phase, steps } = this
    this.phase = RUNNING
    if (phase === READY) return (steps as Steps).next(RESUME)
    if (phase === YIELDED) {
      if (!this.scope.cancelRequested) return (steps as Steps).next(RESUME)
      ;(this.held as Leaf<unknown>).refused()
      return (steps as Steps).next(CANCEL)
    }
    if (phase === CANCELLING) return (steps as Steps).next(CANCEL)
    const begun = steps instanceof Start ? steps.begin(this) : (steps as Steps)
    this.steps = begun
    return begun.next(undefined)
  }

  private throwInto(error: CoreactorError): IteratorResult<unknown, unknown> {
    const steps = this.steps as Steps
    if (steps.throw === undefined) throw error
    return steps.throw(error)
  }

  private park(leaf: Leaf<unknown>): void {
    this.held = leaf
    // Not for a leaf that has parked because the budget was spent: its task is YIELDED, and in the queue already.
    if (this.phase === RUNNING) this.phase = PARKED
  }

  private end(phase: typeof RETURNED | typeof FAILED | typeof CANCELLED, held: unknown): void {
    const { joiners } = this
    this.phase = phase
    this.held = held
    this.steps = null
    this.joiners = null
    this.context = null
    this.locals = null
    if (debug !== null && phase !== RETURNED) debug.abandoned(this, held)
    this.owner.childEnded(this, phase === FAILED && this.reportsToOwner)
    if (joiners === null) return
    if (Array.isArray(joiners)) for (const joiner of joiners) joiner.wake()
    else joiners.wake()
  }
}

/** @internal A task that drives one of the operations of a combinator, for the task that waits for all of them. */
export class Contender<T = unknown> extends Task<T> {
  override get principal(): Task | null {
    return (this.owner.host as Task).principal
  }
}

/** A task that drives an operation for somebody's `await`: its outcome, error or not, is theirs. */
export class AwaitTask<T> extends Task<T> {
  /** For whom; null outside any task. */
  private awaiting: Task | null
  private readonly resolve: (value: T) => void
  private readonly reject: (error: unknown) => void
  /** Who awaits, if it is a task of the same scope: cancelling that one is to reach this one. */
  private readonly awaiter: Task | null
  private previousAwait: AwaitTask<unknown> | null = null
  /** @internal */
  nextAwait: AwaitTask<unknown> | null = null

  /** It begins at once: an `await` does not wait for the next turn to make its first attempt. */
  constructor(scope: Scope, op: Op<T>, resolve: (value: T) => void, reject: (error: unknown) => void) {
    super(scope.owning, op[Symbol.iterator]() as unknown as Steps, 'await')
    const awaiter = ambientTask()
    this.awaiting = awaiter?.principal ?? null
    const { awaiting } = this
    this.resolve = stepWatch === null || awaiting === null ? resolve : stepWatch.continued(awaiting, resolve)
    this.reject = stepWatch === null || awaiting === null ? reject : stepWatch.continued(awaiting, reject)
    this.awaiter = awaiter?.owner === this.owner ? awaiter : null
    this.link()
    scope.hold(this)
    this.addJoiner(this)
    const previous = current
    setCurrent(this)
    if (debug === null && stepWatch === null) this.run()
    else this.runObserved(op)
    setCurrent(previous)
    // It has begun in that of whoever awaits, and may have changed it.
    if (!this.ended) this.context = contexts.capture()
  }

  override get principal(): Task | null {
    return this.awaiting
  }

  private runObserved(op: Op<T>): void {
    if (debug !== null) debug.awaits(this, op)
    const step = debug === null ? () => this.run() : () => (debug as Debug).step(this, () => this.run())
    if (stepWatch === null) step()
    else stepWatch.within(this, step)
  }

  /** It is more than somebody's operation: a main body. */
  standAlone(name: string): void {
    this.name = name
    this.awaiting = this
  }

  protected override get reportsToOwner(): boolean {
    return false
  }

  override wake(): void {
    if (!this.ended) {
      super.wake()
      return
    }
    this.unlink()
    if (this.phase === RETURNED) this.resolve(this.held as T)
    else this.reject(this.held)
  }

  private link(): void {
    if (this.awaiter === null) return
    const next = this.awaiter.firstAwait
    this.nextAwait = next
    if (next !== null) next.previousAwait = this as AwaitTask<unknown>
    this.awaiter.firstAwait = this as AwaitTask<unknown>
  }

  private unlink(): void {
    const { awaiter, previousAwait, nextAwait } = this
    if (awaiter === null) return
    if (previousAwait === null) awaiter.firstAwait = nextAwait
    else previousAwait.nextAwait = nextAwait
    if (nextAwait !== null) nextAwait.previousAwait = previousAwait
    this.previousAwait = null
    this.nextAwait = null
  }
}

function bareYield(task: Task, value: unknown): CoreactorError {
  return new CoreactorError('ERR_COREACTOR_BARE_YIELD', `the coroutine of task ${task.label} yielded ${withAdvice(value)}`)
}

/** What was yielded, and what to write instead. */
function withAdvice(value: unknown): string {
  const bare = 'with a bare "yield"'
  if (Array.isArray(value)) return `an array ${bare}; several operations are waited for with "yield* all(operations)"`
  if (typeof value === 'object' && value !== null) {
    const iterable = Symbol.iterator in value
    if (iterable && 'then' in value) return `an operation ${bare}; operations are driven with "yield*"`
    if (iterable && 'next' in value) return `a generator ${bare}; "yield*" it`
    if ('then' in value) return `a promise ${bare}; wait for it with "yield* until(promise)"`
  }
  const what = typeof value === 'object' && value !== null ? 'an object' : String(value)
  return `${what} ${bare}; a coroutine yields nothing itself, it drives operations with "yield*"`
}

/** @internal What a body returned, as something a coroutine can delegate to. */
export function stepsOf<T>(returned: Coroutine<T> | PromiseLike<T>): Iterable<Parked, T> {
  if (returned !== null && typeof returned === 'object') {
    if (Symbol.iterator in returned) return returned as Iterable<Parked, T>
    if ('then' in returned) return new Promised(returned, false) as Iterable<Parked, T>
  }
  throw new CoreactorError(
    'ERR_COREACTOR_NOT_A_BODY',
    'a body must be a function*, an async function or a function that returns an operation'
  )
}
