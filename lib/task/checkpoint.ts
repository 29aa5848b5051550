/** Letting the others run. */
import { current } from './ambient.js'
import { Leaf } from './leaf.js'
import type { Task } from './task.js'
import type { Op } from './types.js'

class Checkpoint extends Leaf<void> {
  private passed = false

  protected override attempt(): boolean {
    if (this.passed) return this.complete(undefined)
    this.passed = true
    return false
  }

  /** At the end of the queue: whoever came before runs, and the kernel is asked for events, first. */
  protected override arm(): void {
    ;(current as Task).yieldTurn()
  }

  override disarm(): void {}
}

/**
 * Ends the task's step: every other ready task runs, and events are taken in, before it goes on. Throws `Cancelled` in a
 * cancelled scope. Worth a call in a long computation.
 */
export function checkpoint(): Op<void> {
  return new Checkpoint()
}
