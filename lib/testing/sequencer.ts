/** Having tasks do things in an order that the test says. */
import { requireTask } from '../task/ambient.js'
import { delegate } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Body, Coroutine, Op } from '../task/types.js'
import { checkFunction, checkInteger, invalidValue } from '../task/validate.js'
import { Event } from '../sync/event.js'

/**
 * Positions from 0, each of which is taken once. Who takes one waits until the one before it has been left.
 *
 * @example
 * const sequencer = new Sequencer()
 * spawn(function* () { yield* sequencer.at(1, () => second.close()) })
 * spawn(function* () { yield* sequencer.at(0, () => first.close()) })
 */
export class Sequencer {
  private readonly left: Event[] = []
  private readonly taken = new Set<number>()

  /**
   * Waits for `position`, runs `body`, and lets the next position go on when it has ended, however it has. Errors:
   * `ERR_INVALID_ARG_VALUE` for a position that was taken before.
   */
  at<T = void>(position: number, body: Body<[], T> = nothing as Body<[], T>): Op<T> {
    checkInteger('position', position, 0, Number.MAX_SAFE_INTEGER)
    checkFunction('body', body)
    if (this.taken.has(position)) throw invalidValue('position', 'was taken before', position)
    this.taken.add(position)
    const mine = this.event(position)
    const before = position === 0 ? null : this.event(position - 1)
    return op(function* () {
      try {
        if (before !== null) yield* before.wait()
        return yield* delegate(requireTask('Sequencer.at()'), body)
      } finally {
        mine.set()
      }
    })
  }

  private event(position: number): Event {
    return (this.left[position] ??= new Event())
  }
}

// eslint-disable-next-line require-yield
function* nothing(): Coroutine<void> {}
