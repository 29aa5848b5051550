/** Closing what has nothing left to send: a listener, a borrowed descriptor. It happens in a cancelled scope, too. */
import { Leaf } from '../task/leaf.js'

export class CloseAtOnce extends Leaf<void> {
  private readonly closed: { close(): void }

  constructor(closed: { close(): void }) {
    super()
    this.closed = closed
  }

  protected override attempt(): boolean {
    this.closed.close()
    return this.complete(undefined)
  }

  protected override arm(): void {}

  /** Cancelled while a spent budget had put it off. */
  override disarm(): void {
    this.closed.close()
  }

  override refused(): void {
    this.closed.close()
  }
}
