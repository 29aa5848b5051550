/** Something every so many milliseconds, without drift. */
import { invalidValue, checkMilliseconds, outOfRange } from '../task/validate.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { now, sleepUntil } from './sleep.js'

/**
 * What happens to ticks that nobody waited for in time. `skip`: they are counted and left out, the next one is on the
 * grid again. `burst`: they follow at once, one by one. `delay`: the grid moves, a full period after the late one.
 */
export type MissedTicks = 'skip' | 'burst' | 'delay'

/** Options of `interval`. */
export interface IntervalOptions {
  /** `skip` by default. */
  missed?: MissedTicks | undefined
}

/** Ticks at equal distances; `interval` makes one. */
export class Interval implements AsyncIterable<number> {
  private readonly period: number
  private readonly missed: MissedTicks
  /** When the next tick is due. */
  private due: number

  /** @internal Use `interval`. */
  constructor(period: number, missed: MissedTicks) {
    this.period = period
    this.missed = missed
    this.due = now() + period
  }

  /**
   * Waits for the next tick, and gives how many periods have passed since the last one that was given: 1, or more if some
   * were skipped. On cancel no tick is lost.
   */
  tick(): Op<number> {
    return op(() => this.next())
  }

  /** Begins again: the next tick is one period from now. */
  reset(): void {
    this.due = now() + this.period
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number, never, undefined> {
    for (;;) yield await this.tick()
  }

  private *next(): Coroutine<number> {
    // Somebody else may have had this tick, or `reset` may have moved it.
    do yield* sleepUntil(this.due)
    while (now() < this.due)
    const { missed, period, due } = this
    if (missed === 'delay') {
      this.due = now() + period
      return 1
    }
    const passed = missed === 'burst' ? 1 : 1 + Math.floor((now() - due) / period)
    this.due = due + passed * period
    return passed
  }
}

/**
 * Ticks every `ms` milliseconds, the first one period from now. Ticks are due at multiples of the period, however long
 * what happens in between takes: they do not drift. It holds nothing while nobody waits, and needs no end.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` (not above 0), `ERR_INVALID_ARG_VALUE`.
 *
 * @example
 * const ticks = interval(1000)
 * for (;;) {
 *   yield* ticks.tick()
 *   report()
 * }
 */
export function interval(ms: number, options: IntervalOptions = {}): Interval {
  checkMilliseconds('ms', ms)
  if (ms <= 0) throw outOfRange('ms', 'above 0', ms)
  const { missed = 'skip' } = options
  if (!['skip', 'burst', 'delay'].includes(missed)) throw invalidValue('options.missed', 'must be skip, burst or delay', missed)
  return new Interval(ms, missed)
}
