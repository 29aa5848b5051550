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

/** The same for whoever must not go on before: not cancellable, and the outcome is looked at afterwards. */
export class Ended extends Leaf<void> {
  private readonly awaited: Task

  constructor(awaited: Task) {
    super()
    this.awaited = awaited
  }

  override get committed(): boolean {
    return true
  }

  protected override attempt(): boolean {
    return this.awaited.ended && this.complete(undefined)
  }

  protected override arm(): void {
    this.awaited.addJoiner(this)
  }

  override disarm(): void {
    this.awaited.removeJoiner(this)
  }
}
