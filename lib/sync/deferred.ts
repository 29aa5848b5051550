/** A result that somebody will provide. */
import { debug } from '../task/debug.js'
import { Cancelled, CoreactorError } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Op, Parked, Waiter } from '../task/types.js'

type Outcome<T> = { value: T } | { error: unknown }

class WaitForOutcome<T> extends Leaf<T> {
  private readonly deferred: Deferred<T>

  constructor(deferred: Deferred<T>) {
    super()
    this.deferred = deferred
  }

  protected override attempt(): boolean {
    return this.deferred.settled && this.complete(this.deferred.result())
  }

  protected override arm(): void {
    this.deferred.waiters.add(this)
  }

  override disarm(): void {
    this.deferred.waiters.delete(this)
  }
}

/**
 * A result that is provided from outside, once: what asyncio calls a future. `yield*` or `await` it as often as you like;
 * everybody gets the same. Make one with `deferred`.
 */
export class Deferred<T> implements Op<T> {
  private outcome: Outcome<T> | null = null
  /** @internal */
  readonly waiters = new Set<Waiter>()

  /** Whether there is a result, or an error. */
  get settled(): boolean {
    return this.outcome !== null
  }

  /** Provides the result. False if there was one already, which stays. Callable from anywhere. */
  resolve(value: T): boolean {
    return this.settle({ value })
  }

  /** Provides an error, which everybody who waits is thrown. False if it was settled already. */
  reject(error: unknown): boolean {
    if (error instanceof Cancelled) {
      throw new CoreactorError('ERR_COREACTOR_REJECT_CANCELLED', 'Cancelled belongs to a scope: it cannot be passed on', {
        cause: error
      })
    }
    return this.settle({ error })
  }

  /** The result; throws the error, and `ERR_COREACTOR_NOT_SETTLED` before there is either. */
  result(): T {
    if (debug !== null) debug.collected(this)
    if (this.outcome === null) throw new CoreactorError('ERR_COREACTOR_NOT_SETTLED', 'the deferred has no result yet')
    if ('error' in this.outcome) throw this.outcome.error
    return this.outcome.value
  }

  /** Waits for the result. On cancel it stays as it is. */
  [Symbol.iterator](): Iterator<Parked, T, unknown> {
    if (debug !== null) debug.collected(this)
    return new WaitForOutcome(this)[Symbol.iterator]()
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    if (debug !== null) debug.collected(this)
    return new WaitForOutcome(this).then(onFulfilled, onRejected)
  }

  private settle(outcome: Outcome<T>): boolean {
    if (this.outcome !== null) return false
    this.outcome = outcome
    if (debug !== null && 'error' in outcome) debug.rejected(this, outcome.error)
    for (const waiter of this.waiters) waiter.wake()
    this.waiters.clear()
    return true
  }
}

/**
 * A result that is to be provided later, by whoever has it. With `COREACTOR_DEBUG=1` one that was rejected, and that
 * nobody has waited for, is reported.
 *
 * @example
 * const answer = deferred<number>()
 * emitter.once('answer', (value) => answer.resolve(value))
 * const value = yield* answer
 */
export function deferred<T = void>(): Deferred<T> {
  const made = new Deferred<T>()
  if (debug !== null) debug.promised(made)
  return made
}
