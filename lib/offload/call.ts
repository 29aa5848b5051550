/** One job as an operation: parks until its worker has ended it, however that is. */
import { AsyncResource } from 'node:async_hooks'
import { current, runAsync } from '../task/ambient.js'
import { enterScope } from '../task/enter-scope.js'
import { Cancelled } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Scope } from '../task/scope.js'
import { stepsOf, type Task } from '../task/task.js'
import { isCoroutineFunction, type Body, type Coroutine } from '../task/types.js'
import type { Standing } from '../sync/line.js'
import { notCloneable, OffloadError } from './errors.js'
import { EACH, type FromWorker, type Source } from './messages.js'
import type { JobOutcome, PooledJob, PoolWorker, WorkerPool } from './pool.js'
import { fromThrown, toThrown } from './thrown.js'
import { pack, unpack, type AnyFunction, type Packed, type Transferable } from './values.js'

/** What is to be done, and with what. */
export interface Order {
  readonly pool: WorkerPool
  readonly source: Source
  /** `resize of file:///app/work.js`. */
  readonly label: string
  readonly args: readonly unknown[]
  readonly transfer: readonly Transferable[]
  readonly grace: number | undefined
  readonly each: AnyFunction | null
}

type Call = Extract<FromWorker, { did: 'call' }>

export class OffloadCall<T> extends Leaf<T> implements PooledJob {
  ahead: Standing | null = null
  behind: Standing | null = null
  standing = false
  private readonly order: Order
  /** The caller's functions that the job may call. */
  private readonly functions: AnyFunction[] = []
  private packed: Packed | null = null
  private transfer: readonly Transferable[]
  private worker: PoolWorker | null = null
  private outcome: JobOutcome | null = null
  private calledOff = false
  /** Starts a task that answers a call of the worker's; null where there is nothing to call. */
  private answer: ((body: Body<[], void>) => void) | null = null
  /** Errors of the caller's functions, by the number of the call: the job may end with one. */
  private thrown: Map<number, unknown> | null = null

  constructor(order: Order) {
    super()
    this.order = order
    this.transfer = order.transfer
  }

  get label(): string {
    return this.order.label
  }

  get grace(): number | undefined {
    return this.order.grace
  }

  /** The whole operation, for an order with functions: they run as tasks of a scope that ends with it. */
  *withCalls(): Coroutine<T> {
    const host = current as Task
    // The functions find what their author has stored, although it is a message that has them called.
    const resource = new AsyncResource('coreactor.offload')
    const { locals } = host
    return yield* enterScope((scope: Scope): Coroutine<T> => {
      this.answer = (body) => {
        resource.runInAsyncScope(() => {
          scope.spawn(body).locals = locals
        })
      }
      return this.asCoroutine()
    })
  }

  begin(worker: PoolWorker): void {
    const { source, each } = this.order
    const { packed: args, transfer } = this
    try {
      worker.post({ do: 'job', id: worker.id, source, args: args as Packed, each: each !== null }, transfer)
    } catch (error) {
      throw notCloneable(`an argument of ${this.label}`, error)
    }
    this.worker = worker
    // They belong to the job from here on.
    this.packed = null
    this.transfer = []
  }

  settle(outcome: JobOutcome): void {
    this.outcome = outcome
    this.worker = null
    this.wake()
  }

  called({ call, to, args }: Call, worker: PoolWorker): void {
    const { id } = worker
    const called = to === EACH ? this.order.each : this.functions[to]
    if (this.answer === null || called == null) return
    const answers = (): boolean => worker.id === id
    const { thrown } = this
    const refuse = (error: unknown): void => {
      thrown?.set(call, error)
      if (answers()) worker.post({ do: 'refuse', call, error: toThrown(error) }, [])
    }
    this.answer(function* calledByWorker() {
      try {
        const value = yield* answerOf(called, unpack(args, null))
        const result = pack([value], [], null, () => 'the answer')
        try {
          if (answers()) worker.post({ do: 'answer', call, result }, [])
        } catch (error) {
          throw notCloneable('what the function that the job called returned', error)
        }
      } catch (error) {
        refuse(error)
        if (error instanceof Cancelled) throw error
      }
    })
  }

  protected override attempt(): boolean {
    const { outcome } = this
    if (outcome === null) {
      if (this.worker === null && !this.standing) this.tryToSubmit()
      return false
    }
    if (this.calledOff) throw (current as Task).cancellation()
    if ('error' in outcome) throw this.local(outcome.error)
    const { message } = outcome
    if (message.did === 'return') return this.complete(unpack(message.result, null)[0] as T)
    throw this.remote(message)
  }

  protected override arm(): void {}

  /** Also called for a coroutine that is closed while its job runs: nobody waits for its end then. */
  override disarm(): void {
    // The scope of its functions is being left.
    this.answer = null
    this.callOffFor('nobody waits for it any more')
  }

  override callOff(): boolean {
    return this.callOffFor((this.task as Task).scope.cancelReason)
  }

  /** Its result is in nobody's hands yet, and may be dropped. */
  override retract(): boolean {
    return true
  }

  private tryToSubmit(): void {
    try {
      this.submit()
    } catch (error) {
      // Of no interest is where in here it was noticed, and a stack has room for ten frames.
      if (error instanceof OffloadError) Error.captureStackTrace(error, this.next)
      throw error
    }
  }

  private submit(): void {
    const { pool, args, label } = this.order
    this.packed = pack(args, this.transfer, this.functions, (i) => `argument ${i} of ${label}`)
    if (this.order.each !== null || this.functions.length > 0) this.thrown = new Map()
    // It is to wait: what becomes of the arguments meanwhile is not to matter.
    if (!pool.admits(this)) this.keepArguments(this.packed)
    pool.submit(this)
  }

  private keepArguments({ values, marks }: Packed): void {
    try {
      const [kept, transfer] = structuredClone([values, this.transfer], { transfer: [...this.transfer] as never })
      this.packed = { values: kept as unknown[], marks }
      this.transfer = transfer as Transferable[]
    } catch (error) {
      throw notCloneable(`an argument of ${this.label}`, error)
    }
  }

  /** False: it runs, and will end. */
  private callOffFor(reason: unknown): boolean {
    const { pool } = this.order
    if (this.worker === null) {
      if (this.outcome !== null) return false
      pool.withdraw(this)
      return true
    }
    this.calledOff = true
    pool.cancel(this.worker, this, reason)
    return false
  }

  private *asCoroutine(): Coroutine<T> {
    return yield* this
  }

  private remote({ error, problem }: Extract<FromWorker, { did: 'throw' }>): unknown {
    const original = error.call === undefined ? undefined : this.thrown?.get(error.call)
    if (original !== undefined) return original
    const thrown = fromThrown(error)
    if (problem === null) return this.local(thrown)
    const cause = thrown instanceof Error && problem.code === (thrown as { code?: string }).code ? thrown.cause : thrown
    return this.local(new OffloadError(problem.code, problem.message, { cause }))
  }

  /** Where the job went wrong, and below that who had it done: the stack of this operation's coroutine. */
  private local(error: unknown): unknown {
    if (!(error instanceof Error)) return error
    const here: { stack?: string } = {}
    Error.captureStackTrace(here, this.next)
    const frames = here.stack?.split('\n').slice(1) ?? []
    const stack = [error.stack ?? String(error), `    at offload (${this.label})`, ...frames].join('\n')
    Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true, enumerable: false })
    return error
  }
}

/** What a function of the caller's gives, whatever kind of function it is. */
function* answerOf(called: AnyFunction, args: unknown[]): Coroutine<unknown> {
  if (isCoroutineFunction(called)) return yield* called(...(args as never[])) as Coroutine<unknown>
  const returned = runAsync(current as Task, () => called(...args))
  if (typeof returned !== 'object' || returned === null) return returned
  const drivable = 'then' in returned || (Symbol.iterator in returned && 'next' in returned)
  return drivable ? yield* stepsOf(returned as Coroutine<unknown>) : returned
}
