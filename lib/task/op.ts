/** Operations that are made of other operations, or of none. */
import { ambientScope } from './ambient.js'
import { debug } from './debug.js'
import { Leaf, reused } from './leaf.js'
import type { Coroutine, Op } from './types.js'

class Composed<T> implements Op<T> {
  /** Null once driven. */
  private body: (() => Coroutine<T>) | null

  constructor(body: () => Coroutine<T>) {
    this.body = body
    if (debug !== null) debug.created(this)
  }

  [Symbol.iterator](): Coroutine<T> {
    const { body } = this
    if (body === null) throw reused()
    if (debug !== null) debug.driven(this)
    this.body = null
    return body()
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    return ambientScope().promise(this).then(onFulfilled, onRejected)
  }
}

/** Makes an operation of a `function*`: lazy, driven once, for `yield*` and for `await`. */
export function op<T>(body: () => Coroutine<T>): Op<T> {
  return new Composed(body)
}

class Immediate<T> extends Leaf<T> {
  private readonly act: () => T

  constructor(act: () => T) {
    super()
    this.act = act
  }

  protected override attempt(): boolean {
    return this.complete(this.act())
  }

  protected override arm(): void {}

  override disarm(): void {}
}

/** Makes an operation of a plain function: it never waits, but it is lazy and does nothing in a cancelled scope. */
export function immediate<T>(act: () => T): Op<T> {
  return new Immediate(act)
}
