/** The types that every operation and every body of a task share. */

/**
 * An operation: lazy, driven once. `yield* op` inside a coroutine, `await op` anywhere else; both give its result or
 * throw its error. Until then it has done nothing.
 */
export interface Op<T> extends PromiseLike<T> {
  // `any` for what is yielded: a coroutine may delegate to operations of every kind. The result type is exact.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  [Symbol.iterator](): Iterator<any, T, any>
}

/** What a `function*` returns: a suspended computation that yields only from the operations it delegates to. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Coroutine<T> = Generator<any, T, any>

/** The body of a task or a scope: a `function*`, an async function, or a function that returns an operation. */
export type Body<A extends unknown[], T> = (...args: A) => Coroutine<T> | PromiseLike<T>

/**
 * How a parked operation is resumed. It was started with `undefined`, which is what `yield*` passes.
 * RESUME: it may be able to complete, try. CANCEL: throw `Cancelled` from inside. PROBE: record a stack, stay parked.
 */
export type Signal = typeof RESUME | typeof CANCEL | typeof PROBE
export const RESUME = 1
export const CANCEL = 2
export const PROBE = 3

/** Something that waits in a list of waiters and can be told that its time has come. Waking twice is waking once. */
export interface Waiter {
  wake(): void
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object

/** Whether calling it runs none of it, and what it runs later needs no async context. Bound ones count, too. */
export function isCoroutineFunction(body: unknown): body is (...args: never[]) => Coroutine<never> {
  return Object.getPrototypeOf(body) === GeneratorFunction
}
