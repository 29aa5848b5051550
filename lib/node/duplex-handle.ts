/**
 * A Duplex of Node's behind the interface of a handle, so that a `Stream` reads and writes it like a socket: what has come is
 * "readable", room for more is "writable", and there is no fd.
 */
import type { Duplex } from 'node:stream'
import { EAGAIN, EINVAL, EPIPE } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { READABLE, READ_CLOSED, SocketOption, WRITABLE, WRITE_CLOSED } from '../kernel/layout.js'
import { Handle, type Transfer } from '../io/handle.js'
import type { Runtime } from '../runtime/runtime.js'
import { Event } from '../sync/event.js'
import type { Deadline } from '../time/deadlines.js'

/** Of no system call's interest; below 0 would mean closed. */
const NO_FD = 0x7fff_ffff

/** How long a duplex may take to send what it has been given, as long as a close drains a socket. */
const FINISH_MS = 2000

/** Moves bytes between the duplex and the stream, in no more steps than are there. */
class DuplexTransfer implements Transfer {
  readonly copies = true
  /** The peer has finished, and everything has been read. */
  ended = false
  /** Writes of which the duplex has not said yet that it is done with them. */
  unsettled = 0
  readonly settled = new Event()
  private readonly duplex: Duplex

  constructor(duplex: Duplex) {
    this.duplex = duplex
  }

  receive(_fd: number, into: Uint8Array, offset: number, length: number): number {
    const { duplex } = this
    const there = duplex.readableLength
    const chunk = duplex.read(there > 0 ? Math.min(there, length) : undefined) as Uint8Array | null
    if (chunk === null) return this.ended ? 0 : EAGAIN
    into.set(chunk, offset)
    // A read of exactly what is there does not find the end behind it.
    if (duplex.readableLength === 0) duplex.read(0)
    return chunk.length
  }

  send(_fd: number, from: Uint8Array, offset: number, length: number): number {
    return this.write([from.subarray(offset, offset + length)], 0)
  }

  sendVector(_fd: number, chunks: readonly Uint8Array[], skip: number): number {
    return this.write(chunks, skip)
  }

  /** Takes a copy of as much as the duplex has room for: then it says when it has more. */
  private write(chunks: readonly Uint8Array[], skip: number): number {
    const { duplex } = this
    if (duplex.destroyed || duplex.writableEnded) return EPIPE
    if (duplex.writableNeedDrain) return EAGAIN
    const room = Math.max(duplex.writableHighWaterMark, 1) - duplex.writableLength
    if (room <= 0) return EAGAIN
    let taken = 0
    duplex.cork()
    for (const [i, chunk] of chunks.entries()) {
      const first = i === 0 ? skip : 0
      const piece = Buffer.from(chunk.subarray(first, first + room - taken))
      taken += piece.length
      this.begin()
      duplex.write(piece, () => this.end())
      if (taken === room) break
    }
    duplex.uncork()
    return taken
  }

  begin(): void {
    this.unsettled++
    this.settled.clear()
  }

  end(): void {
    if (--this.unsettled === 0) this.settled.set()
  }
}

export class DuplexHandle extends Handle implements Deadline {
  index = -1
  override readonly kernel: Kernel
  /** Closing is to be a reset. */
  private hard = false
  private readonly duplex: Duplex
  private readonly moves: DuplexTransfer
  private readonly failed: (error: Error) => void
  private readonly listeners: readonly (readonly [event: string, listener: (...args: any[]) => void])[]

  /** `failed` is told of the first error, also of an end that came too early. */
  constructor(runtime: Runtime, duplex: Duplex, failed: (error: Error) => void) {
    const moves = new DuplexTransfer(duplex)
    super(runtime, NO_FD, moves)
    this.duplex = duplex
    this.moves = moves
    this.failed = failed
    this.kernel = kernelOver(runtime.kernel, duplex, () => (this.hard = true))
    this.readiness = READABLE | WRITABLE
    this.listeners = [
      ['readable', () => this.deliver(READABLE)],
      ['drain', () => this.deliver(WRITABLE)],
      ['end', () => this.ended()],
      ['error', (error: Error) => this.fail(error)],
      ['close', () => this.closedByItself()]
    ]
    for (const [event, listener] of this.listeners) duplex.on(event, listener)
  }

  /** Set while every write has been called back. */
  get settled(): Event {
    if (this.moves.unsettled === 0) this.moves.settled.set()
    return this.moves.settled
  }

  /** Ends the duplex, and destroys it when it has finished writing; at once if that is asked for, or there is no more to it. */
  override close(): void {
    const { fd, reader, writer, duplex } = this
    if (fd < 0) return
    this.fd = -1
    this.reader = null
    this.writer = null
    reader?.wake()
    writer?.wake()
    if (this.hard || duplex.destroyed || duplex.writableFinished) {
      duplex.destroy()
      return
    }
    const { timers } = this.runtime
    duplex.once('finish', () => this.fire())
    duplex.end()
    timers.start(this, timers.now() + FINISH_MS)
  }

  /** It has finished, or has had time enough to. */
  fire(): void {
    this.runtime.timers.stop(this)
    this.duplex.destroy()
  }

  override release(): number {
    this.close()
    return -1
  }

  override deliver(bits: number): void {
    if (this.fd >= 0) super.deliver(bits)
  }

  private ended(): void {
    this.moves.ended = true
    this.deliver(READABLE | READ_CLOSED)
  }

  private fail(error: Error): void {
    if (this.fd >= 0) this.failed(error)
    this.moves.settled.set()
    this.deliver(READABLE | READ_CLOSED | WRITABLE | WRITE_CLOSED)
  }

  private closedByItself(): void {
    const { duplex, moves } = this
    const early = !moves.ended || !duplex.writableFinished
    if (early && this.fd >= 0) {
      const error = new Error('Premature close')
      this.fail(Object.assign(error, { code: 'ERR_STREAM_PREMATURE_CLOSE' }))
    }
    this.runtime.timers.stop(this)
    // The listener of errors stays: one that comes late is nobody's.
    for (const [event, listener] of this.listeners) if (event !== 'error') duplex.off(event, listener)
  }
}

/** What a stream asks of the system besides moving bytes. */
function kernelOver(kernel: Kernel, duplex: Duplex, harden: () => void): Kernel {
  const own: Partial<Kernel> = {
    shutdown() {
      duplex.end()
      return 0
    },
    setOption(_fd, option) {
      if (option !== SocketOption.LINGER) return EINVAL
      harden()
      return 0
    },
    getOption: () => EINVAL,
    sendFile: () => EINVAL
  }
  return Object.assign(Object.create(kernel) as Kernel, own)
}
