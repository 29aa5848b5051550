/** Closing a stream: what was written goes first, then the fd. */
import { SocketOption } from '../kernel/layout.js'
import { Leaf } from '../task/leaf.js'
import type { WritableState } from './write.js'

/** Frees the fd now. A peer that would take a cut-off stream for a whole one gets a reset instead of an end. */
export function free(stream: WritableState, reset: boolean): void {
  const { handle } = stream
  if (handle.closed) return
  stream.closing = true
  if (reset) {
    // Failing only leaves an ordinary close: the peer is gone then, or the kind of socket has no reset.
    handle.kernel.setOption(handle.fd, SocketOption.LINGER, 0)
  }
  handle.close()
}

/** `close()`. */
export class Close extends Leaf<void> {
  private readonly stream: WritableState
  private begun = false

  constructor(stream: WritableState) {
    super()
    this.stream = stream
  }

  protected override attempt(): boolean {
    const { stream } = this
    const { handle, output } = stream
    if (!this.begun) {
      if (stream.closing || handle.closed) return this.complete(undefined)
      this.begin()
    }
    output.leave(this)
    if (!handle.closed && output.bytes > 0 && output.error === null) output.flush()
    if (!handle.closed && output.bytes > 0) return false
    free(stream, output.cutOff)
    if (output.error !== null && !output.errorSeen) {
      output.errorSeen = true
      throw output.error
    }
    return this.complete(undefined)
  }

  protected override arm(): void {
    this.stream.output.await(this)
  }

  /** Cancelled while the peer was not reading: the fd is freed all the same. */
  override disarm(): void {
    this.stream.output.leave(this)
    this.stream.abandon()
  }

  /** In a cancelled scope: what the kernel takes at once is sent, the rest is not waited for. */
  override refused(): void {
    if (this.stream.closing || this.stream.handle.closed) return
    this.begin()
    this.stream.abandon()
  }

  private begin(): void {
    const { stream } = this
    this.begun = true
    stream.closing = true
    stream.output.evict()
    stream.handle.reader?.wake()
  }
}
