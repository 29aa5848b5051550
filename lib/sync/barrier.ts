/** Waiting until everybody has come. */
import type { Op } from '../task/types.js'
import { checkInteger } from '../task/validate.js'
import { Line, type Standing } from './line.js'
import { Waiting } from './waiting.js'

class Arrival extends Waiting<number> {
  private readonly barrier: Barrier

  constructor(barrier: Barrier, line: Line<Standing>) {
    super(line)
    this.barrier = barrier
  }

  protected override attempt(): boolean {
    return super.attempt() || this.take()
  }

  protected override take(): boolean {
    const { barrier } = this
    if (barrier.waiting + 1 < barrier.parties) return false
    barrier.open()
    return this.complete(barrier.parties - 1)
  }

  /** The others have gone on. */
  protected override giveBack(): boolean {
    return false
  }
}

/**
 * A point that so many tasks reach before any of them goes on. Then it begins anew, for the next so many.
 *
 * @example
 * const ready = new Barrier(3)
 * if ((yield* ready.wait()) === 2) console.log('the last of three is here')
 */
export class Barrier {
  /** How many it takes. */
  readonly parties: number
  private readonly line = new Line<Arrival>()

  constructor(parties: number) {
    checkInteger('parties', parties, 1, Number.MAX_SAFE_INTEGER)
    this.parties = parties
  }

  /** How many have come and wait. */
  get waiting(): number {
    return this.line.size
  }

  /** Waits for the others; gives the place in the order of arrival, from 0. On cancel it has not come. */
  wait(): Op<number> {
    return new Arrival(this, this.line)
  }

  /** @internal The last one has come. */
  open(): void {
    for (let i = 0, first; (first = this.line.shift()) !== undefined; i++) first.grant(i)
  }
}
