/** Waiting for a foreign promise. The wait can be cancelled, the promise cannot. */
import { Leaf } from './leaf.js'
import type { Op } from './types.js'
import { invalidType } from './validate.js'

type Settled<T> = { value: T } | { error: unknown }

/** The wait for one promise. Not cancellable: the promise of an async body, whose own operations see the cancellation. */
export class Promised<T> extends Leaf<T> {
  private readonly promise: PromiseLike<T>
  private readonly cancellable: boolean
  private settled: Settled<T> | null = null
  private subscribed = false

  constructor(promise: PromiseLike<T>, cancellable: boolean) {
    super()
    this.promise = promise
    this.cancellable = cancellable
  }

  override get committed(): boolean {
    return !this.cancellable
  }

  protected override attempt(): boolean {
    const { settled } = this
    if (settled === null) return false
    if ('error' in settled) throw settled.error
    return this.complete(settled.value)
  }

  /** Subscribes first, even if the wait is refused or put off: a rejection that nobody has subscribed to ends the process. */
  protected override start(): this {
    if (!this.subscribed) {
      this.subscribed = true
      this.promise.then(
        (value) => this.settle({ value }),
        (error: unknown) => this.settle({ error })
      )
    }
    return super.start()
  }

  protected override arm(): void {}

  /** The subscription stays, as promises have no other way; it finds nobody parked. */
  override disarm(): void {}

  private settle(settled: Settled<T>): void {
    this.settled = settled
    this.wake()
  }
}

/**
 * Waits for a promise of somebody else's, and gives its value or throws its error. On cancel the wait ends with
 * `Cancelled`; the promise goes on and its outcome is dropped.
 *
 * @example
 * const answer = yield* until(fetch(url))
 */
export function until<T>(promise: PromiseLike<T>): Op<T> {
  if (typeof (promise as PromiseLike<T> | null | undefined)?.then !== 'function') {
    throw invalidType('promise', 'a promise', promise)
  }
  return new Promised(promise, true)
}
