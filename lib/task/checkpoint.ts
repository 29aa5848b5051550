/** Letting the others run. */
import { Leaf } from './leaf.js'
import type { Op } from './types.js'

class Checkpoint extends Leaf<void> {
  /** Always parks, at the end of the queue: whoever came before runs, and the kernel is asked for events, first. */
  protected override start(): this {
    const task = this.driver()
    if (task.scope.cancelRequested) throw task.cancellation()
    task.yieldTurn()
    return this.park(task)
  }

  protected override attempt(): boolean {
    return this.complete(undefined)
  }

  protected override arm(): void {}

  override disarm(): void {}
}

/**
 * Ends the task's step: every other ready task runs, and events are taken in, before it goes on. Throws `Cancelled` in a
 * cancelled scope. Worth a call in a long computation.
 */
export function checkpoint(): Op<void> {
  return new Checkpoint()
}
