/** The fd of a UDP socket: besides a reader and a writer, one may wait for what the network says of datagrams that were sent. */
import { ERROR } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import type { ReadinessWaiter } from '../reactor/registration.js'

export class DatagramHandle extends Handle {
  /** Who is told of ERROR. */
  errorReader: ReadinessWaiter | null = null

  override deliver(bits: number): void {
    super.deliver(bits)
    if ((bits & ERROR) !== 0) this.errorReader?.wake()
  }

  override close(): void {
    const { errorReader } = this
    super.close()
    this.errorReader = null
    errorReader?.wake()
  }

  override lost(): void {
    const { errorReader } = this
    super.lost()
    this.errorReader = null
    errorReader?.wake()
  }
}
