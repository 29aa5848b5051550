/** JavaScript on other cores: a function of a module, run by a thread or a process, as an operation like any other. */
import { enterAbortable } from '../task/enter-scope.js'
import { checkSignal } from '../task/abort.js'
import { op } from '../task/op.js'
import type { Body, Coroutine, Op } from '../task/types.js'
import { checkFunction, checkMilliseconds, invalidType, invalidValue } from '../task/validate.js'
import { timeout as within } from '../time/timeout.js'
import { OffloadCall, type Order } from './call.js'
import { WorkerPool, sharedPool, type WorkerKind } from './pool.js'
import { inlineSource, moduleSource } from './source.js'
import { holdsFunction, type AnyFunction, type Transferable } from './values.js'

/** Where a function runs, for how long, and what is moved to it. For `offload`. */
export interface OffloadOptions {
  /** Threads by default. There is one pool of each kind; a `WorkerPool` of your own has limits of its own. */
  pool?: WorkerKind | WorkerPool | undefined
  /** Milliseconds, from the beginning of the operation; then it is cancelled and throws `TimeoutError`. */
  timeout?: number | undefined
  /** Milliseconds that the job has to end when it is cancelled, before its thread or process is terminated. */
  grace?: number | undefined
  /** What of the arguments is moved and not copied: it is detached here when the operation begins. Processes copy. */
  transfer?: readonly Transferable[] | undefined
  /** Takes what the job gives while it runs: the values of an async generator, or of `job.emit`. The job waits for it. */
  each?: Body<[value: never], unknown> | ((value: never) => unknown) | undefined
  /** What relative paths and names of packages are resolved from: `import.meta.url`. By default the working directory. */
  from?: string | URL | undefined
  /** Cancels it when it is aborted; the signal's reason is thrown then. */
  signal?: AbortSignal | undefined
}

/** For a function that is written where it is called, and sent as its text. For `offload`. */
export interface InlineOptions extends OffloadOptions {
  /** The function uses nothing but its arguments and what is global. */
  inline: true
}

/** What a function gives that was driven to its end. */
export type Returned<R> =
  R extends Generator<infer _, infer T, infer _> ? T : R extends AsyncGenerator<infer _, infer T, infer _> ? T : Awaited<R>

/** The result of `offload<T>`: T itself, or what a function of type T returns. */
export type Offloaded<T> = T extends (...args: never[]) => infer R ? Returned<R> : T

/**
 * Runs the function that `module` exports as `name` in another thread or process, and gives its result. Arguments and
 * results are copied (structured clone), or moved where `transfer` says so. A function among the arguments, or a member of an
 * argument that is a plain object, can be called there, and is run here, as a task of this operation; to the job it is an
 * async function. The job may be of any kind: a plain function, an async one, a coroutine, which gets a runtime of its own,
 * or an async generator, whose values go to `each`. `job` is what it can ask and say.
 *
 * On cancel, a job that has not begun never will. One that runs is told (`job.signal`, `job.cancelled`), and terminated with
 * its thread or process after its grace; in no case does the operation end before the job has. No other job is in the
 * same one. What the job has done outside stays done.
 *
 * Errors: what the job throws, with its own stack above that of the caller; `OffloadError`; `TimeoutError`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const hash = yield* offload<Uint8Array>('node:crypto', 'scryptSync', ['secret', 'salt', 32], { timeout: 5000 })
 * const sum = yield* offload((a: number, b: number) => a + b, [1, 2], { inline: true })
 */
export function offload<T = unknown>(
  module: string | URL,
  name: string,
  args?: readonly unknown[],
  options?: OffloadOptions
): Op<Offloaded<T>>
export function offload<A extends unknown[], R>(
  inline: (...args: A) => R,
  args: NoInfer<A>,
  options: InlineOptions
): Op<Returned<R>>
export function offload(...given: unknown[]): Op<unknown> {
  const [first, second, third, fourth] = given
  if (typeof first === 'function' && (third as Partial<InlineOptions> | undefined)?.inline === true) {
    const options = third as InlineOptions
    const inline = first as (...args: never[]) => unknown
    const label = `the inline function ${inline.name === '' ? '(anonymous)' : inline.name}`
    return operation(second, options, label, () => inlineSource(inline))
  }
  const args = third === undefined ? [] : third
  const options = fourth === undefined ? {} : fourth
  const source = moduleSource(first, second, (options as OffloadOptions | null)?.from)
  return operation(args, options, `${second as string} of ${source.module}`, () => source)
}

function operation(args: unknown, options: unknown, label: string, source: () => Order['source']): Op<unknown> {
  if (!Array.isArray(args)) throw invalidType('args', 'an array of arguments', args)
  if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
  const { pool = 'threads', timeout, grace, transfer = [], each, signal } = options as OffloadOptions
  if (timeout !== undefined) checkMilliseconds('options.timeout', timeout)
  if (grace !== undefined) checkMilliseconds('options.grace', grace)
  if (!Array.isArray(transfer)) throw invalidType('options.transfer', 'an array', transfer)
  if (each !== undefined) checkFunction('options.each', each)
  if (signal !== undefined) checkSignal(signal)
  const order: Order = {
    pool: poolOf(pool),
    source: source(),
    label,
    args: [...(args as unknown[])],
    transfer,
    grace,
    each: (each as AnyFunction | undefined) ?? null
  }
  const calls = each !== undefined || order.args.some(holdsFunction)
  if (!calls && timeout === undefined && signal === undefined) return new OffloadCall(order)

  let body: Body<[], unknown> = function* (): Coroutine<unknown> {
    const call = new OffloadCall(order)
    return yield* calls ? call.withCalls() : call
  }
  if (timeout !== undefined) {
    const timed = body
    body = () => within(timeout, timed)
  }
  const whole = body
  return op(function* () {
    return yield* signal === undefined ? (whole() as Op<unknown>) : enterAbortable(whole, signal)
  })
}

function poolOf(pool: unknown): WorkerPool {
  if (pool instanceof WorkerPool) return pool
  if (pool === 'threads' || pool === 'processes') return sharedPool(pool)
  throw invalidValue('options.pool', 'must be "threads", "processes" or a WorkerPool', pool)
}
