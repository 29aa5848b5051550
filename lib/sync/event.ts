/** A flag that tasks wait for. */
import type { Op } from '../task/types.js'
import { Line, type Standing } from './line.js'
import { Waiting } from './waiting.js'

class WaitForEvent extends Waiting<void> {
  private readonly event: Event

  constructor(event: Event, line: Line<Standing>) {
    super(line)
    this.event = event
  }

  protected override take(): boolean {
    return this.event.isSet && this.complete(undefined)
  }

  protected override giveBack(): boolean {
    return true
  }
}

/**
 * A flag: down until it is set, up until it is cleared. Everybody who waits when it is set goes on, even if it is cleared
 * before they run.
 *
 * @example
 * const stop = new Event()
 * process.once('SIGTERM', () => stop.set())
 * yield* stop.wait()
 */
export class Event {
  private up = false
  private readonly line = new Line<Waiting<void>>()

  get isSet(): boolean {
    return this.up
  }

  /** Tasks that wait. */
  get waiting(): number {
    return this.line.size
  }

  /** Lets everybody go on who waits, and who will. Callable from anywhere. */
  set(): void {
    this.up = true
    for (let first; (first = this.line.shift()) !== undefined; ) first.grant(undefined)
  }

  /** From now on waiting waits again. */
  clear(): void {
    this.up = false
  }

  /** Waits until it is set; at once if it is. On cancel nothing has happened. */
  wait(): Op<void> {
    return new WaitForEvent(this, this.line)
  }
}
