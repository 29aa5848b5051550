/** How long others have to wait for the loop: a task that wants to run every millisecond, and sees when it may. */
import { now, sleep, type Coroutine } from 'coreactor'

const EVERY_MS = 1

export class LatencyProbe {
  private worst = 0
  private total = 0
  private count = 0

  /** What it has seen since it was asked the last time. */
  report(): string {
    const { worst, total, count } = this
    this.worst = 0
    this.total = 0
    this.count = 0
    return count === 0 ? 'the loop has not been free once' : `the loop was late by ${(total / count).toFixed(2)} ms, ${worst.toFixed(2)} at worst`
  }

  *run(): Coroutine<never> {
    for (;;) {
      const due = now() + EVERY_MS
      yield* sleep(EVERY_MS)
      const late = now() - due
      this.worst = Math.max(this.worst, late)
      this.total += late
      this.count++
    }
  }
}
