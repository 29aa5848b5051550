/** A body for each of many items, so many at a time. */
import { ambientScope, requireTask } from '../task/ambient.js'
import { debug } from '../task/debug.js'
import { delegate, enterScope } from '../task/enter-scope.js'
import { Cancelled, TaskCancelledError } from '../task/errors.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
import type { Body, Coroutine, Op, Parked } from '../task/types.js'
import { until } from '../task/until.js'
import { checkFunction, checkInteger, invalidType } from '../task/validate.js'
import { Channel } from './channel.js'
import { Deferred } from './deferred.js'
import { Limiter } from './limiter.js'
import type { Permit } from './semaphore.js'

/** What `map` takes: anything that can be iterated over, at once or by and by. */
export type Items<T> = Iterable<T> | AsyncIterable<T>
type Puller<T> = () => Coroutine<IteratorResult<T>> | Op<IteratorResult<T, undefined>>

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
    if (debug !== null) debug.created(this)
  }

  [Symbol.iterator](): Iterator<Parked, R[], unknown> {
    if (debug !== null) debug.driven(this)
    return this.collect()
  }

  then<A = R[], B = never>(
    onFulfilled?: ((value: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): PromiseLike<A | B> {
    if (debug !== null) debug.driven(this)
    return op(() => this.collect()).then(onFulfilled, onRejected)
  }

  /**
   * The results in the order of the items, each as soon as it and those before it are there. At most `limit` bodies run
   * ahead of the loop. Leaving it cancels the rest and waits for them. What became of those that the loop did not get to
   * is dropped, also an error; one of their clean-up is thrown.
   */
  [Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    if (debug !== null) debug.driven(this)
    return this.loop()
  }

  private async *loop(): AsyncGenerator<R, void, undefined> {
    const { items, limit, body } = this
    const ahead = new Channel<Ahead<R>>(Infinity)
    let bodies: Scope | undefined
    // A task for this loop alone: its errors are thrown here, and do not fail the scope around the loop as well.
    const ended = ambientScope().promise(
      op(() =>
        enterScope((scope: Scope) => {
          bodies = scope
          return feed(scope, items, new Limiter(limit), body, ahead)
        })
      )
    )
    // It may fail while the loop is busy elsewhere: that shows when the loop is left.
    ended.catch(() => {})
    let failure: unknown
    try {
      for (let next; (next = await ahead.next()).done !== true; ) {
        const result = await next.value.result
        next.value.slot.release()
        yield result
      }
    } catch (error) {
      failure = error
      throw error
    } finally {
      bodies?.cancel('the loop was left')
      try {
        await ended
      } catch (error) {
        // That a body was cancelled is never the whole story.
        // eslint-disable-next-line no-unsafe-finally
        if (failure === undefined || failure instanceof Cancelled || failure instanceof TaskCancelledError) throw error
      }
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

/** A body that runs ahead of the loop. */
interface Ahead<R> {
  readonly result: Deferred<R>
  /** Its place among those that may; free again when the loop has its result. */
  readonly slot: Permit
}

/** Begins bodies while there are slots, until there are no more items. An error of theirs comes after the results. */
function* feed<T, R>(
  scope: Scope,
  items: Items<T>,
  slots: Limiter,
  body: Body<[T, number], R>,
  ahead: Channel<Ahead<R>>
): Coroutine<void> {
  const { pull, close } = puller(items)
  try {
    for (let index = 0; ; index++) {
      const slot = yield* slots.acquire()
      const next = yield* pull()
      if (next.done === true) return
      ahead.trySend({ result: begin(scope, body, next.value, index), slot })
    }
  } catch (error) {
    if (error instanceof Cancelled) throw error
    ahead.close(error)
  } finally {
    ahead.close()
    close()
  }
}

function begin<T, R>(scope: Scope, body: Body<[T, number], R>, item: T, index: number): Deferred<R> {
  const result = new Deferred<R>()
  scope.spawn(function* mapper() {
    const task = requireTask('map()')
    try {
      result.resolve(yield* delegate(task, body, item, index))
    } catch (error) {
      const cancelled = error instanceof Cancelled
      result.reject(cancelled ? new TaskCancelledError(task.label, error) : error)
      // Of a body that was told to end, it is an error of its clean-up.
      if (cancelled || scope.cancelled) throw error
    }
  })
  return result
}

/** One way to take the next item, and to say that no more are wanted. */
function puller<T>(items: Items<T>): { pull: Puller<T>; close(): void } {
  // By its own means: a value that was handed over is not lost in a promise that nobody waits for any more.
  if (items instanceof Channel) return { pull: () => items.next(), close() {} }
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
