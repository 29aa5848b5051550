/** Closing a stream: what was written goes first, then what the peer is still sending is drained, then the fd is freed. */
import { EAGAIN, EINTR } from '../kernel/errno.js'
import { READABLE, SHUT_WRITE, SocketOption } from '../kernel/layout.js'
import { current } from '../task/ambient.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import type { Deadline } from '../time/deadlines.js'
import { ReadSlab } from './read-slab.js'
import type { WritableState } from './write.js'

/**
 * How long a close drains by default. In two seconds a peer that reads has seen the end and stopped; web servers wait as
 * long for one more packet. More would let peers that never end hold connections.
 */
const LINGER_MS = 2000

/** How much it drains at most: a peer that has sent so much after the end is not reading. Costs some 10 ms of CPU. */
const LINGER_BYTES = 16 * 1024 * 1024

/** Frees the fd now. A peer that would take a cut-off stream for a whole one gets a reset instead of an end. */
export function free(stream: WritableState, reset: boolean): void {
  const { handle } = stream
  if (handle.closed) return
  stream.closing = true
  stream.input?.clear()
  if (reset) {
    // Failing only leaves an ordinary close: the peer is gone then, or the kind of socket has no reset.
    handle.kernel.setOption(handle.fd, SocketOption.LINGER, 0)
  }
  handle.close()
}

/** `close()`. */
export class Close extends Leaf<void> implements Deadline {
  private readonly stream: WritableState
  /** Milliseconds to wait for the peer's end; undefined to wait only if it seems to be sending. */
  private readonly linger: number | undefined
  private begun = false
  /** Everything of ours has gone, our end too, and what comes is thrown away. */
  private draining = false
  private drained = 0
  /** It could go on, but has had its share of the turn. */
  private paused = false
  index = -1

  constructor(stream: WritableState, linger: number | undefined) {
    super()
    this.stream = stream
    this.linger = linger
  }

  protected override attempt(): boolean {
    const { stream } = this
    const { handle, written } = stream
    if (!this.begun) {
      if (stream.closing || handle.closed) return this.complete(undefined)
      this.begin()
    }
    if (written !== null) {
      written.leave(this)
      if (!handle.closed && written.bytes > 0 && written.error === null) written.flush()
      if (!handle.closed && written.bytes > 0) return false
    }
    if (!handle.closed && !this.drain()) return false
    this.stopClock()
    free(stream, written?.cutOff === true)
    // Draining, everything has been sent: an error since then is that of a `reset`, which is no news.
    if (!this.draining) {
      const error = stream.unseenWriteError()
      if (error !== null) throw error
    }
    return this.complete(undefined)
  }

  protected override arm(): void {
    if (this.draining) this.stream.handle.reader = this
    else this.stream.written?.await(this)
  }

  /** Cancelled while the peer was not reading, or went on sending: the fd is freed all the same. */
  override disarm(): void {
    this.stream.written?.leave(this)
    this.stopClock()
    this.stream.abandon()
  }

  /** In a cancelled scope: what the kernel takes at once is sent, the rest is not waited for; nor is it after a pause. */
  override refused(): void {
    if (!this.begun) {
      if (this.stream.closing || this.stream.handle.closed) return
      this.begin()
    }
    this.disarm()
  }

  /** The peer has not ended in time. */
  fire(): void {
    this.drained = Infinity
    this.wake()
  }

  protected override park(task: Task): this {
    super.park(task)
    if (this.paused) task.yieldTurn()
    this.paused = false
    return this
  }

  private begin(): void {
    const { stream } = this
    this.begun = true
    stream.closing = true
    stream.written?.evict()
    stream.handle.reader?.wake()
  }

  /** Whether the fd can be closed without destroying what the peer has still to read. */
  private drain(): boolean {
    const { handle, written, readEnded, readError } = this.stream
    if (readEnded || readError !== null || (written !== null && written.error !== null)) return true
    if (!this.draining && !this.worthDraining) return true
    const slab = ReadSlab.of(handle.runtime)
    while (this.drained <= LINGER_BYTES) {
      if (this.draining && (handle.readiness & READABLE) === 0) return false
      const into = slab.enter(null)
      const received = handle.transfer.receive(handle.fd, into, 0, into.length)
      if (received === EINTR) continue
      if (received === EAGAIN) handle.exhausted(READABLE)
      // The peer has finished, or is gone.
      else if (received <= 0) return true
      else this.drained += received
      if (!this.draining && !this.beginDraining(received > 0)) return true
      if ((current as Task).scheduler.spend()) {
        this.paused = true
        return false
      }
    }
    return true
  }

  private get worthDraining(): boolean {
    const { linger, stream } = this
    return linger === undefined ? stream.bytesWritten > 0 : linger > 0
  }

  /** False if the peer does not seem to be sending. */
  private beginDraining(unread: boolean): boolean {
    const { handle, input } = this.stream
    const { linger } = this
    if (linger === undefined && !unread && (input === null || input.length === 0)) return false
    // Failing says that the peer is gone, which the next system call finds out.
    handle.kernel.shutdown(handle.fd, SHUT_WRITE)
    this.draining = true
    this.startClock(linger ?? LINGER_MS)
    return true
  }

  private startClock(ms: number): void {
    const { timers } = this.stream.handle.runtime
    timers.start(this, timers.now() + ms)
  }

  private stopClock(): void {
    this.stream.handle.runtime.timers.stop(this)
  }
}
