/** Having tasks do things in an order that the test says. */
import { requireTask } from '../task/ambient.js'
import { delegate } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Body, Coroutine, Op } from '../task/types.js'
import { checkFunction, checkInteger, invalidValue } from '../task/validate.js'
import { Event } from '../sync/event.js'

/**
 * Positions from 0, each of which is taken once. Who takes one waits until all before it have been left. One whose wait is
 * cancelled is left out, and the others keep their order.
 *
 * @example
 * const sequencer = new Sequencer()
 * spawn(function* () { yield* sequencer.at(1, () => second.close()) })
 * spawn(function* () { yield* sequencer.at(0, () => first.close()) })
 */
export class Sequencer {
  /** Set when the position, and all before it, have been left. */
  private readonly passed: Event[] = []
  private readonly left = new Set<number>()
  /** Invariant: the first position that has not been left. */
  private next = 0
  private readonly taken = new Set<number>()

  /**
   * Waits for `position`, runs `body`, and lets the next position go on when it has ended, however it has: also when it
   * failed, or was cancelled before its turn had come. Gives what `body` does. Errors: `ERR_INVALID_ARG_VALUE` for a
   * position that was taken before; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  at<T = void>(position: number, body: Body<[], T> = nothing as Body<[], T>): Op<T> {
    checkInteger('position', position, 0, Number.MAX_SAFE_INTEGER)
    checkFunction('body', body)
    if (this.taken.has(position)) throw invalidValue('position', 'was taken before', position)
    this.taken.add(position)
    return op(() => this.take(position, body))
  }

  private *take<T>(position: number, body: Body<[], T>): Coroutine<T> {
    try {
      if (position > 0) yield* this.event(position - 1).wait()
      return yield* delegate(requireTask('Sequencer.at()'), body)
    } finally {
      this.leave(position)
    }
  }

  private leave(position: number): void {
    this.left.add(position)
    while (this.left.has(this.next)) this.event(this.next++).set()
  }

  private event(position: number): Event {
    return (this.passed[position] ??= new Event())
  }
}

// eslint-disable-next-line require-yield
function* nothing(): Coroutine<void> {}
