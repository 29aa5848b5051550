/**
 * A Duplex of Node's behind the interface of a handle, so that a `Stream` reads and writes it like a socket: what has come is
 * "readable", room for more is "writable", and there is no fd.
 */
import type { Duplex } from 'node:stream'
import { EAGAIN, ECONNRESET, EINVAL, EPIPE } from '../kernel/errno.js'
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

/** Who is told what the duplex has failed with, when the error's turn has come. Each may be told more than once. */
export interface DuplexUser {
  /** Everything that came before has been read. */
  readingFailed(error: Error): void
  writingFailed(error: Error): void
}

/** Moves bytes between the duplex and the stream, in no more steps than are there. */
class DuplexTransfer implements Transfer {
  readonly copies = true
  /** The peer has finished, and everything has been read. */
  ended = false
  /** What has ended both directions, if it was not the peer's end and ours. */
  error: Error | null = null
  /** Writes of which the duplex has not said yet that it is done with them. */
  unsettled = 0
  readonly settled = new Event()
  private readonly duplex: Duplex
  private readonly user: DuplexUser

  constructor(duplex: Duplex, user: DuplexUser) {
    this.duplex = duplex
    this.user = user
  }

  receive(_fd: number, into: Uint8Array, offset: number, length: number): number {
    const { duplex } = this
    let taken = 0
    // Until nothing is left, or there is no room: 'readable' is emitted only to who has read everything, and more may have
    // come in the course of a read. Asking for nothing makes the duplex look for more, and finds the end.
    while (taken < length) {
      if (duplex.readableLength === 0) duplex.read(0)
      const there = duplex.readableLength
      const chunk = there === 0 ? null : (duplex.read(Math.min(there, length - taken)) as Uint8Array | null)
      if (chunk === null) break
      into.set(chunk, offset + taken)
      taken += chunk.length
    }
    if (taken > 0 || this.ended) return taken
    if (this.error === null) return EAGAIN
    this.user.readingFailed(this.error)
    return ECONNRESET
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
    if (this.error !== null) this.user.writingFailed(this.error)
    if (this.error !== null || duplex.destroyed || duplex.writableEnded) return EPIPE
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
  private readonly user: DuplexUser
  private readonly listeners: readonly (readonly [event: string, listener: (...args: any[]) => void])[]

  constructor(runtime: Runtime, duplex: Duplex, user: DuplexUser) {
    const moves = new DuplexTransfer(duplex, user)
    super(runtime, NO_FD, moves)
    this.duplex = duplex
    this.moves = moves
    this.user = user
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
    if (this.hard) return destroyWithReset(duplex)
    if (duplex.destroyed || duplex.writableFinished) {
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
    const { moves } = this
    moves.error ??= error
    // What was handed to the duplex has not gone. Otherwise the next write finds out, or the next read.
    if (moves.unsettled > 0) this.user.writingFailed(moves.error)
    moves.settled.set()
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

/** Tells the peer, if the duplex is a socket that can. */
function destroyWithReset(duplex: Duplex & { connecting?: boolean; resetAndDestroy?(): void }): void {
  // libuv refuses to reset what is sending its end, and Node loses the socket then.
  const ending = duplex.writableEnded && !duplex.writableFinished
  if (typeof duplex.resetAndDestroy !== 'function' || duplex.connecting === true || ending) {
    duplex.destroy()
    return
  }
  try {
    duplex.resetAndDestroy()
  } catch (error) {
    // A Unix socket, or one of TLS, which have no reset.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_HANDLE_TYPE') throw error
    duplex.destroy()
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
