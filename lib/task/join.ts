/** Waiting for a task to end. */
import { current } from './ambient.js'
import { CoreactorError } from './errors.js'
import { Leaf } from './leaf.js'
import type { Task } from './task.js'

export class Join<T> extends Leaf<T> {
  private readonly joined: Task<T>

  constructor(joined: Task<T>) {
    super()
    this.joined = joined
  }

  protected override attempt(): boolean {
    return this.joined.ended && this.complete(this.joined.result())
  }

  protected override arm(): void {
    if (this.joined === current) throw new CoreactorError('ERR_COREACTOR_SELF_JOIN', 'a task cannot wait for its own end')
    this.joined.addJoiner(this)
  }

  override disarm(): void {
    this.joined.removeJoiner(this)
  }
}
