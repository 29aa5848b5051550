/** Sending a part of a file to a socket without its coming here. Opening files is for `node:fs`. */
import { EAGAIN, EBADF, EINTR, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE, SystemError } from '../kernel/errno.js'
import { WRITABLE } from '../kernel/layout.js'
import { current } from '../task/ambient.js'
import { Cancelled } from '../task/errors.js'
import type { Task } from '../task/task.js'
import { CANCEL, type Signal } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { BackgroundCall } from '../jobs/background-call.js'
import { ClosedError } from './errors.js'
import type { WriteBuffer } from './write-buffer.js'
import { Writing, type CutOff, type WritableState } from './write.js'

/** An open file: its fd, or an object that has one, such as a `FileHandle` of `node:fs/promises`. */
export type FileLike = number | { readonly fd: number }

/** What one call is asked for, and what is read from a disk at a time. */
const CHUNK = 256 * 1024

/** What is wrong with the file, and not with the connection. */
const FILE_ERRORS = new Set([EBADF, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE])

/** `sendFile`. */
export class SendFile extends Writing<number> {
  private readonly file: number
  private readonly offset: number
  private readonly length: number
  private sent = 0
  /** Up to where the file was in memory when it was last asked, or has been read by a thread. */
  private atHand = 0
  /** The thread's reading, while it does. */
  private fetching: BackgroundCall | null = null
  private cutOff = false
  /** It could go on, but has had its share of the turn. */
  private paused = false

  constructor(stream: WritableState, file: number, offset: number, length: number) {
    super(stream)
    this.file = file
    this.offset = offset
    this.length = length
  }

  protected override write(output: WriteBuffer): boolean {
    const { stream, length } = this
    const { handle } = stream
    if (stream.writeClosed) throw new ClosedError('the write side')
    if (output.bytes > 0) {
      output.flush()
      output.check(this)
      if (output.bytes > 0) return false
    }
    while (this.sent < length) {
      if ((handle.readiness & WRITABLE) === 0) return false
      const piece = Math.min(CHUNK, length - this.sent)
      if (!this.hasAtHand(piece)) return false
      const count = handle.kernel.sendFile(handle.fd, this.file, this.offset + this.sent, piece)
      if (count === 0) break
      if (count === EAGAIN) {
        handle.exhausted(WRITABLE)
        return false
      }
      if (count === EINTR) continue
      if (count < 0) this.fail(count, output)
      this.sent += count
      output.taken += count
      // Each further system call counts as an operation: a large file stops nobody else.
      if (this.sent < length && (current as Task).scheduler.spend()) {
        this.paused = true
        return false
      }
    }
    return this.complete(this.sent)
  }

  /**
   * Whether the next bytes can be sent without waiting for a disk. If not, a thread reads them, into the page cache, and
   * wakes this. It does so once: where they are thrown out again at once, sending waits.
   */
  private hasAtHand(length: number): boolean {
    if (this.fetching !== null) return false
    if (this.sent < this.atHand) return true
    const { file, offset, sent } = this
    const { kernel, runtime } = this.stream.handle
    this.atHand = sent + length
    if (kernel.isCached(file, offset + sent, length) !== 0) return true
    // What it finds, and whether it fails, shows when it is sent.
    this.fetching = new BackgroundCall(runtime, { kind: 'read', fd: file, length, position: offset + sent, waits: false }, () => {
      this.stopFetching()
      this.wake()
    })
    return false
  }

  private stopFetching(): void {
    this.fetching?.drop()
    this.fetching = null
  }

  private fail(errno: number, output: WriteBuffer): never {
    if (!FILE_ERRORS.has(errno)) {
      output.fail(new SystemError(errno, 'write'))
      output.check(this)
    }
    const error = new SystemError(errno, 'sendfile')
    this.cut(output)
    throw this.cutOff ? Object.assign(error, { bytesWritten: this.sent } satisfies CutOff) : error
  }

  /** The rest will not follow: then nothing else may. */
  private cut(output: WriteBuffer): void {
    if (this.sent === 0 || output.error !== null) return
    this.cutOff = true
    output.cutOff = true
    output.fail(new ClosedError(`the write side, after ${this.sent} bytes of a file that was cut off,`))
  }

  protected override arm(): void {
    super.arm()
    // Which wakes who awaits it, although it has nothing to send.
    this.stream.handle.writer = this.stream.output
  }

  override disarm(): void {
    super.disarm()
    this.stopFetching()
    this.cut(this.stream.output)
  }

  protected override park(task: Task): this {
    super.park(task)
    if (this.paused) task.yieldTurn()
    this.paused = false
    return this
  }

  override next(signal?: Signal): this {
    try {
      // A task that has paused is not parked, so that nobody has called the wait off.
      if (signal === CANCEL) this.disarm()
      return super.next(signal)
    } catch (error) {
      if (this.cutOff && error instanceof Cancelled) Object.assign(error, { bytesWritten: this.sent } satisfies CutOff)
      throw error
    }
  }
}

/** The fd of it. Throws what is wrong with the argument. */
export function fdOf(file: FileLike): number {
  const fd: unknown = typeof file === 'object' && file !== null ? file.fd : file
  if (typeof fd !== 'number') throw invalidType('file', 'an fd, or an object with one', file)
  checkInteger('file', fd, 0, 0x7fff_ffff)
  return fd
}
