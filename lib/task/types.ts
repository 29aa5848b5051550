/** The types that every operation and every body of a task share. */

declare const parked: unique symbol

/**
 * What a coroutine yields when it parks: for the scheduler only. `yield*` of an operation has it among the types that the
 * coroutine yields, and nothing else does; so a bare `yield`, where the star was forgotten, does not compile as a body.
 */
export interface Parked {
  readonly [parked]: true
}

/**
 * An operation: lazy, driven once. `yield* op` inside a coroutine, `await op` anywhere else; both give its result or
 * throw its error. Until then it has done nothing.
 */
export interface Op<T> extends PromiseLike<T> {
  [Symbol.iterator](): Iterator<Parked, T, unknown>
}

/** What a `function*` returns: a suspended computation that yields only from the operations it delegates to. */
export type Coroutine<T> = Generator<Parked, T, unknown>

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
