/**
 * What has been written to one stream socket and is not in the kernel's hands yet.
 *
 * Small data is copied into the runtime's outbox and sent when the turn ends; sixteen replies of one turn are one system
 * call. A large chunk is referenced, sent at once, and its writer waits for it. Order is kept throughout. What the kernel
 * does not take becomes this buffer's own, and goes on when the socket turns writable.
 */
import { EAGAIN, EINTR, SystemError } from '../kernel/errno.js'
import { WRITABLE } from '../kernel/layout.js'
import type { ReadinessWaiter } from '../reactor/registration.js'
import type { Dirty } from '../runtime/runtime.js'
import type { Waiter } from '../task/types.js'
import { BusyError } from './errors.js'
import type { Handle } from './handle.js'
import { Outbox } from './outbox.js'

/** A writer waits while this much is buffered: back-pressure. */
export const HIGH_WATER = 64 * 1024

/** The most chunks one call passes on; POSIX guarantees 16, Linux and the BSDs have 1024. */
const VECTOR_MAX = 1024

/** Something to write, as Node's streams hand it on. */
export interface Piece {
  readonly chunk: string | Uint8Array
  readonly encoding: BufferEncoding
}

export class WriteBuffer implements Dirty, ReadinessWaiter {
  readonly handle: Handle
  private readonly outbox: Outbox
  /** What comes before the outbox's part, in order. */
  private chunks: Uint8Array[] = []
  /** How much of `chunks[0]` has gone. */
  private skip = 0
  /** The part of the outbox that comes last: [start, end). Invariant: empty between turns. */
  private start = 0
  private end = 0
  /** Bytes that are in `chunks` and in the outbox's part. */
  bytes = 0
  /** Bytes the kernel has taken, ever. */
  taken = 0
  /** What ended writing. Everything buffered has been dropped then. */
  error: Error | null = null
  /** Invariant: true once somebody has been thrown `error`. */
  errorSeen = false
  /** What was to be written will not all go: the peer must not take what it gets for the whole. Set with `error`. */
  cutOff = false
  private enlisted = false
  /** Who waits for room, or for all to be taken. */
  private waiter: Waiter | null = null

  constructor(handle: Handle) {
    this.handle = handle
    this.outbox = Outbox.of(handle.runtime)
  }

  /** Throws what a writer must know before it does anything. */
  check(writer: Waiter): void {
    if (this.error !== null) {
      this.errorSeen = true
      throw this.error
    }
    if (this.waiter !== null && this.waiter !== writer) throw new BusyError(`writing to this ${this.handle.noun}`)
  }

  /** Copies `data`. At most COPY_LIMIT bytes; a string counts three for each of its UTF-16 units. */
  append(data: string | Uint8Array): void {
    const { outbox } = this
    outbox.reserve(typeof data === 'string' ? data.length * 3 : data.length)
    this.openPart()
    this.place(data, 'utf8')
    if (!this.enlisted) {
      this.enlisted = true
      outbox.enlist(this)
    }
  }

  /**
   * Sends what is buffered and then `pieces`, with one call at once; what the kernel does not take is kept. They are
   * copied: `size`, three bytes for each unit of a text, is at most COPY_LIMIT * 3. Never throws: see `error`.
   */
  sendNow(pieces: readonly Piece[], size: number): void {
    const { outbox } = this
    outbox.reserve(size)
    const at = this.openPart()
    for (const { chunk, encoding } of pieces) this.place(chunk, encoding)
    this.flush()
    // All of it has gone, or was moved out.
    outbox.used = at
  }

  /** The same for one text. */
  sendTextNow(text: string, encoding: BufferEncoding): void {
    const { outbox } = this
    outbox.reserve(text.length * 3)
    const at = this.openPart()
    this.place(text, encoding)
    this.flush()
    outbox.used = at
  }

  /** Queues `data` where it is. It must not change until it has been taken. */
  reference(data: Uint8Array): void {
    if (data.length === 0) return
    this.closePart()
    this.chunks.push(data)
    this.bytes += data.length
  }

  /** Takes back what was referenced last, of which nothing has gone. */
  dropLast(chunks: readonly Uint8Array[]): void {
    for (const { length } of chunks) {
      if (length === 0) continue
      this.chunks.pop()
      this.bytes -= length
    }
  }

  /** One system call, if there is something to send and the socket may take it. Never throws: see `error`. */
  flush(): void {
    this.enlisted = false
    const { handle } = this
    while (this.bytes > 0 && (handle.readiness & WRITABLE) !== 0 && !handle.closed) {
      const offered = this.chunks.length === 0 ? this.end - this.start : this.offered()
      const taken = this.send()
      if (taken === EINTR) continue
      if (taken < 0 && taken !== EAGAIN) {
        this.fail(new SystemError(taken, 'write'))
        return
      }
      if (taken > 0) this.remove(taken)
      if (taken < offered) handle.exhausted(WRITABLE)
    }
    this.keep()
    handle.writer = this.bytes > 0 ? this : null
    this.waiter?.wake()
  }

  /** The socket has turned writable. */
  wake(): void {
    this.flush()
  }

  await(waiter: Waiter): void {
    this.waiter = waiter
  }

  leave(waiter: Waiter): void {
    if (this.waiter === waiter) this.waiter = null
  }

  /** Ends writing with `error`: what is buffered is dropped, whoever waits is woken to find out. */
  fail(error: Error): void {
    this.error ??= error
    this.cutOff = true
    this.chunks = []
    this.skip = this.start = this.end = this.bytes = 0
    this.handle.writer = null
    this.waiter?.wake()
  }

  /** Lets go of whoever waits, who will find the connection closing. */
  evict(): void {
    const { waiter } = this
    this.waiter = null
    waiter?.wake()
  }

  private send(): number {
    const { handle, outbox } = this
    if (this.chunks.length === 0) return handle.transfer.send(handle.fd, outbox.buffer, this.start, this.end - this.start)
    if (this.chunks.length === 1 && this.start === this.end) {
      const chunk = this.chunks[0] as Uint8Array
      return handle.transfer.send(handle.fd, chunk, this.skip, chunk.length - this.skip)
    }
    this.closePart()
    const chunks = this.chunks.length > VECTOR_MAX ? this.chunks.slice(0, VECTOR_MAX) : this.chunks
    return handle.transfer.sendVector(handle.fd, chunks, this.skip)
  }

  /** Goes on with the part if nobody else has written since, or begins a new one: at the place that is given back. */
  private openPart(): number {
    const { used } = this.outbox
    if (this.end !== used || this.start === this.end) {
      this.closePart()
      this.start = this.end = used
    }
    return used
  }

  /** Copies `data` to the end of the open part; there is room. */
  private place(data: string | Uint8Array, encoding: BufferEncoding): void {
    const { outbox } = this
    let size = data.length
    if (typeof data !== 'string') outbox.buffer.set(data, outbox.used)
    else if (encoding === 'utf8') size = writeText(outbox.buffer, data, outbox.used)
    else size = outbox.buffer.write(data, outbox.used, encoding)
    outbox.used += size
    this.end = outbox.used
    this.bytes += size
  }

  /** How many bytes the next call offers. */
  private offered(): number {
    if (this.chunks.length < VECTOR_MAX) return this.bytes
    let offered = -this.skip
    for (let i = 0; i < VECTOR_MAX; i++) offered += (this.chunks[i] as Uint8Array).length
    return offered
  }

  private remove(taken: number): void {
    this.taken += taken
    this.bytes -= taken
    let left = taken
    let gone = 0
    const { chunks } = this
    while (gone < chunks.length) {
      const size = (chunks[gone] as Uint8Array).length - this.skip
      if (left < size) break
      left -= size
      this.skip = 0
      gone++
    }
    if (gone > 0) chunks.splice(0, gone)
    if (chunks.length > 0) this.skip += left
    else this.start += left
  }

  /** Turns the outbox's part into a chunk, so that something can come after it. */
  private closePart(): void {
    if (this.start < this.end) this.chunks.push(this.outbox.buffer.subarray(this.start, this.end))
    this.start = this.end = 0
  }

  /** Moves what is left out of the outbox, which is about to be used for others. */
  private keep(): void {
    this.closePart()
    const shared = this.outbox.buffer.buffer
    for (let i = this.chunks.length - 1; i >= 0; i--) {
      const chunk = this.chunks[i] as Uint8Array
      if (chunk.buffer !== shared) continue
      this.chunks[i] = i === 0 ? Uint8Array.prototype.slice.call(chunk, this.skip) : Uint8Array.prototype.slice.call(chunk)
      if (i === 0) this.skip = 0
    }
  }
}

/** Short ASCII is copied here: a call into C++ costs more than some twenty characters do. */
const SHORT_TEXT = 24

function writeText(into: Buffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_TEXT) return into.write(text, at)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return into.write(text, at)
    into[at + i] = unit
  }
  return length
}
