/** A body for each of many items, so many at a time. */
import { ambientScope, requireTask } from '../task/ambient.js'
import { delegate, enterScope } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
import type { Body, Coroutine, Op, Parked } from '../task/types.js'
import { until } from '../task/until.js'
import { checkFunction, checkInteger, invalidType } from '../task/validate.js'
import { Deferred } from './deferred.js'
import { Limiter } from './limiter.js'
import type { Permit } from './semaphore.js'

export type Items<T> = Iterable<T> | AsyncIterable<T>
type Puller<T> = () => Coroutine<IteratorResult<T>>

/** What `map` gives: an operation for all results, or a loop over them as they come. Use it once, in one of these ways. */
export class Mapped<T, R> implements Op<R[]>, AsyncIterable<R> {
  private readonly items: Items<T>
  private readonly limit: number
  private readonly body: Body<[item: T, index: number], R>

  /** @internal Use `map`. */
  constructor(items: Items<T>, limit: number, body: Body<[item: T, index: number], R>) {
    this.items = items
    this.limit = limit
    this.body = body
  }

  [Symbol.iterator](): Iterator<Parked, R[], unknown> {
    return this.collect()
  }

  then<A = R[], B = never>(
    onFulfilled?: ((value: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): PromiseLike<A | B> {
    return op(() => this.collect()).then(onFulfilled, onRejected)
  }

  /** The results in the order of the items. At most `limit` bodies run ahead of the loop. Leaving it cancels them. */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    const results = new Results<R>()
    const opened = new Deferred<Scope>()
    const left = new Deferred<void>()
    const host = ambientScope().spawn(function* map() {
      yield* enterScope(function* (scope: Scope) {
        opened.resolve(scope)
        yield* left
        scope.cancel('the loop was left')
      })
    })
    try {
      const scope = await opened
      const { pull, close } = puller(this.items)
      try {
        for (let exhausted = false, index = 0; ; ) {
          while (!exhausted && results.size < this.limit) {
            const next = await op(pull)
            if (next.done === true) exhausted = true
            else results.add(scope, this.body, next.value, index++)
          }
          if (results.size === 0) return
          yield await results.first()
        }
      } finally {
        close()
      }
    } finally {
      left.resolve()
      await host
    }
  }

  private *collect(): Coroutine<R[]> {
    const { items, limit, body } = this
    const { pull, close } = puller(items)
    const slots = new Limiter(limit)
    const results: R[] = []
    const mapper = function* mapper(slot: Permit, item: T, index: number): Coroutine<void> {
      try {
        results[index] = yield* delegate(requireTask('map()'), body, item, index)
      } finally {
        slot.release()
      }
    }
    try {
      yield* enterScope(function* (scope: Scope) {
        for (let index = 0; ; index++) {
          const slot = yield* slots.acquire()
          const next = yield* pull()
          if (next.done === true) return
          scope.spawn(mapper, slot, next.value, index)
        }
      })
    } finally {
      close()
    }
    return results
  }
}

/** Results of bodies that run, in the order in which they were begun. */
class Results<R> {
  private readonly waiting: Deferred<R>[] = []

  get size(): number {
    return this.waiting.length
  }

  add<T>(scope: Scope, body: Body<[T, number], R>, item: T, index: number): void {
    const result = new Deferred<R>()
    this.waiting.push(result)
    scope.spawn(function* mapper() {
      try {
        result.resolve(yield* delegate(requireTask('map()'), body, item, index))
      } catch (error) {
        if (scope.cancelled) throw error
        result.reject(error)
      }
    })
  }

  first(): Deferred<R> {
    return this.waiting.shift() as Deferred<R>
  }
}

/** One way to take the next item, and to say that no more are wanted. */
function puller<T>(items: Items<T>): { pull: Puller<T>; close(): void } {
  let exhausted = false
  const noted = (next: IteratorResult<T>): IteratorResult<T> => {
    exhausted ||= next.done === true
    return next
  }
  if (Symbol.asyncIterator in items) {
    const iterator = items[Symbol.asyncIterator]()
    return {
      *pull() {
        return exhausted ? { done: true, value: undefined } : noted(yield* until(iterator.next()))
      },
      // Its clean-up is its own affair; an error there is an unhandled rejection.
      close: () => void (exhausted || iterator.return?.())
    }
  }
  const iterator = items[Symbol.iterator]()
  return {
    // eslint-disable-next-line require-yield
    *pull() {
      return exhausted ? { done: true, value: undefined } : noted(iterator.next())
    },
    close: () => void (exhausted || iterator.return?.())
  }
}

/**
 * Runs `body` for each of `items`, at most `limit` at a time, and gives the results in the order of the items. Items are
 * taken as they are needed, so there may be infinitely many. The first body that fails cancels the others; a `ScopeError`
 * is thrown when they have ended. As an async iterable (`for await`) it gives the results one by one, and an error of a
 * body as it is; leaving the loop cancels the rest and waits for them.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` for the limit.
 *
 * @example
 * const pages = yield* map(urls, 4, function* (url) {
 *   return yield* until(fetch(url).then((response) => response.text()))
 * })
 */
export function map<T, R>(items: Items<T>, limit: number, body: Body<[item: T, index: number], R>): Mapped<T, R> {
  if (items === null || items === undefined || !(Symbol.iterator in Object(items) || Symbol.asyncIterator in Object(items))) {
    throw invalidType('items', 'iterable', items)
  }
  if (limit !== Infinity) checkInteger('limit', limit, 1, Number.MAX_SAFE_INTEGER)
  checkFunction('body', body)
  return new Mapped(items, limit, body)
}
