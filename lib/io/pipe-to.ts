/**
 * Moving everything that comes on one stream to another, with back-pressure. Small pieces are copied; a flood goes through
 * the kernel by splice(2), where it can. What was taken from the source and not by the target goes back to the source.
 */
import { EAGAIN, EINTR, EINVAL, ENOSYS, EPIPE, SystemError } from '../kernel/errno.js'
import { ERROR, READABLE, WRITABLE } from '../kernel/layout.js'
import { current } from '../task/ambient.js'
import { Cancelled } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Task } from '../task/task.js'
import { CANCEL, type Coroutine, type Op, type Signal } from '../task/types.js'
import { ClosedError } from './errors.js'
import type { ReadableState } from './read.js'
import { SLAB_SIZE } from './read-slab.js'
import { checkReader, concluded, receive, WOULD_BLOCK } from './receive.js'
import { SparePipe, type PipeFds } from './spare-pipe.js'
import type { CutOff, WritableState } from './write.js'

/** What the pipe in between has room for. */
const SPLICE_SIZE = 1024 * 1024

/** Moves until the source has ended. Gives the number of bytes. */
class Move extends Leaf<number> {
  /** Bytes that the target has taken. */
  moved = 0
  private readonly source: ReadableState
  private readonly target: WritableState
  private readonly spare: SparePipe
  /** Whether it has joined the users of `spare`. */
  private joined = false
  /** What bytes are in on their way from socket to socket, and how many. Null exactly while there are none. */
  private pipe: PipeFds | null = null
  private held = 0
  /** What comes, comes in floods: the last read has filled the slab. */
  private flood = false
  private splices: boolean
  /** It could go on, but has had its share of the turn. */
  private paused = false

  constructor(source: ReadableState, target: WritableState) {
    super()
    this.source = source
    this.target = target
    this.spare = SparePipe.of(source.handle.runtime)
    this.splices = source.handle.transfer.copies !== true && target.handle.transfer.copies !== true
  }

  protected override attempt(): boolean {
    try {
      this.check()
      if (!this.move()) return false
      this.end()
      return true
    } catch (error) {
      this.end()
      throw error
    }
  }

  private check(): void {
    const { source, target } = this
    if (source.closing || source.handle.closed) throw new ClosedError('the source')
    if (target.closing || target.handle.closed) throw new ClosedError('the target')
    checkReader(source, this)
    target.output.check(this)
    if (target.writeClosed) throw new ClosedError('the write side of the target')
    this.letGo()
    if (this.joined) return
    this.joined = true
    this.spare.join()
  }

  private move(): boolean {
    const { source, target } = this
    const { output } = target
    for (;;) {
      if (output.bytes > 0) {
        output.flush()
        output.check(this)
        if (output.bytes > 0) return false
      }
      const writable = (target.handle.readiness & WRITABLE) !== 0
      if (this.held > 0) {
        if (!writable) return false
        this.spliceOut()
      } else if (source.received.length > 0) {
        if (!writable) return false
        this.send()
      } else {
        const { readiness } = source.handle
        if ((readiness & READABLE) === 0 && source.readError === null) return false
        // What waits at the source stays there while the target takes nothing, unless the source is gone.
        if (!writable && (readiness & ERROR) === 0) return false
        if (!this.fill()) return this.complete(this.moved)
      }
      if ((current as Task).scheduler.spend()) {
        this.paused = true
        return false
      }
    }
  }

  /** One system call that takes from the source, if something is there. False: its end. */
  private fill(): boolean {
    if (!this.flood || !this.splices) return this.receive()
    const { source, target } = this
    if (source.readError !== null) throw source.readError
    return source.handle.transfer.isPipe || target.handle.transfer.isPipe ? this.spliceThrough() : this.spliceIn()
  }

  private receive(): boolean {
    const { source } = this
    const input = source.received
    const into = input.room(SLAB_SIZE)
    const space = into.length - input.from
    const count = receive(source, into, input.from, space)
    if (count === WOULD_BLOCK) return true
    if (count === 0) return false
    input.added(count)
    this.flood = count === space
    return true
  }

  private send(): void {
    const { handle } = this.target
    const input = this.source.received
    const taken = handle.transfer.send(handle.fd, input.bytes, input.first, input.length)
    if (taken > 0) input.skip(taken)
    this.took(taken)
  }

  /** From a socket into a pipe. */
  private spliceIn(): boolean {
    const { source, spare } = this
    const { kernel, fd } = source.handle
    const pipe = spare.take()
    // No fd is left, for one: it can be done without.
    if (typeof pipe === 'number') return this.copyFromNowOn()
    const count = kernel.splice(fd, pipe[1], SPLICE_SIZE)
    if (count > 0) {
      this.pipe = pipe
      this.held = count
      source.taken += count
      return true
    }
    spare.give(pipe)
    if (isUnsupported(count)) return this.copyFromNowOn()
    if (count === EINTR) return true
    if (count === EAGAIN) this.flood = false
    return concluded(source, count) !== 0
  }

  /** From there to the other socket. */
  private spliceOut(): void {
    const { kernel, fd } = this.target.handle
    const pipe = this.pipe as PipeFds
    const count = kernel.splice(pipe[0], fd, this.held)
    if (isUnsupported(count)) {
      this.giveBack()
      this.copyFromNowOn()
      return
    }
    if (count > 0) this.held -= count
    if (this.held === 0) {
      this.pipe = null
      this.spare.give(pipe)
    }
    this.took(count)
  }

  /** In one call, as one of the two is a pipe. */
  private spliceThrough(): boolean {
    const { source, target } = this
    const { kernel, fd } = source.handle
    const count = kernel.splice(fd, target.handle.fd, SPLICE_SIZE)
    if (count > 0) {
      source.taken += count
      this.took(count)
      return true
    }
    if (isUnsupported(count)) return this.copyFromNowOn()
    if (count === EINTR) return true
    if (count === EAGAIN) {
      // One of the two, and which is not said. What changes from now on is reported.
      const empty = (kernel.poll(fd, READABLE) & READABLE) === 0
      const full = (kernel.poll(target.handle.fd, WRITABLE) & WRITABLE) === 0
      if (empty) source.handle.exhausted(READABLE)
      if (full) target.handle.exhausted(WRITABLE)
      this.flood = !empty && full
      return true
    }
    // A pipe that is read from has no errors.
    if (count === EPIPE || (count < 0 && source.handle.transfer.isPipe)) this.took(count)
    return concluded(source, count) !== 0
  }

  private copyFromNowOn(): true {
    this.splices = false
    return true
  }

  /** What the target has answered. */
  private took(count: number): void {
    const { output, handle } = this.target
    if (count > 0) {
      this.moved += count
      output.taken += count
    } else if (count === EAGAIN) {
      handle.exhausted(WRITABLE)
    } else if (count < 0 && count !== EINTR) {
      output.fail(new SystemError(count, 'write'))
      output.check(this)
    }
  }

  /** What the target has not taken is read from the source next. */
  private giveBack(): void {
    const { source, held, pipe } = this
    if (pipe === null) return
    const bytes = Buffer.allocUnsafeSlow(held)
    let count = 0
    while (count < held) {
      const read = source.handle.kernel.read(pipe[0], bytes, count, held - count)
      // The bytes are there, and nobody else has the pipe.
      if (read === EINTR || read === EAGAIN) continue
      // Never seen.
      if (read <= 0) break
      count += read
    }
    this.pipe = null
    this.held = 0
    this.spare.give(pipe)
    if (!source.closing && !source.handle.closed) source.received.unread(bytes.subarray(0, count))
  }

  /** Stays the reader and the writer until it has ended, whichever of the two it waits for. */
  protected override arm(): void {
    const { source, target } = this
    const { output } = target
    source.handle.reader = this
    output.await(this)
    // Which wakes who awaits it, although it has nothing to send.
    target.handle.writer = output
  }

  override disarm(): void {
    this.end()
  }

  private letGo(): void {
    const { source, target } = this
    if (source.handle.reader === this) source.handle.reader = null
    target.output.leave(this)
  }

  private end(): void {
    this.letGo()
    if (!this.joined) return
    this.giveBack()
    this.joined = false
    this.spare.leave()
  }

  protected override park(task: Task): this {
    super.park(task)
    if (this.paused) task.yieldTurn()
    this.paused = false
    return this
  }

  override next(signal?: Signal): this {
    // A task that has paused is not parked, so that nobody has called the wait off.
    if (signal === CANCEL) this.disarm()
    return super.next(signal)
  }
}

function isUnsupported(result: number): boolean {
  return result === EINVAL || result === ENOSYS
}

/** `pipeTo`. With `end`, the target's end follows the source's. */
export function* pipeTo(
  source: ReadableState,
  target: WritableState & { closeWrite(): Op<void> },
  end: boolean
): Coroutine<number> {
  const move = new Move(source, target)
  try {
    const moved = yield* move
    if (end) yield* target.closeWrite()
    return moved
  } catch (error) {
    if (error instanceof Cancelled) Object.assign(error, { bytesWritten: move.moved } satisfies CutOff)
    throw error
  }
}
