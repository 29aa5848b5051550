/**
 * One fd that is watched, both directions, edge-triggered, for its life.
 *
 * Readiness is sticky: what the kernel has reported stays true until a system call answers EAGAIN (or a short count) and
 * its caller says so with `exhausted`. No edge can be lost in between: the kernel is only asked inside a turn.
 */
import { READABLE, WRITABLE } from '../kernel/layout.js'

/** What waits on a registration. Waking twice is waking once. */
export interface ReadinessWaiter {
  wake(): void
}

export class Registration {
  /** Bits of `layout.ts`. Hints all of them: the system call has the truth. */
  readiness = 0
  /** Who is told of READABLE. */
  reader: ReadinessWaiter | null = null
  /** Who is told of WRITABLE. */
  writer: ReadinessWaiter | null = null
  /** @internal The place in the reactor's table; -1 while not registered. */
  slot = -1

  /** @internal The kernel has reported something. */
  deliver(bits: number): void {
    this.readiness |= bits
    if ((bits & READABLE) !== 0 && this.reader !== null) this.reader.wake()
    if ((bits & WRITABLE) !== 0 && this.writer !== null) this.writer.wake()
  }

  /**
   * @internal The fd was closed by somebody else, and its number is another's now. No event will come any more; the fd is
   * not to be touched.
   */
  lost(): void {}

  /** The fd has no more to give in this direction until the kernel reports it again. */
  exhausted(direction: number): void {
    this.readiness &= ~direction
  }
}
