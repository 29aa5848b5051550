/**
 * A stream driven by callbacks instead of tasks: what is between a socket in Node's shape and the connection below it.
 * Reads while it is told to, writes at once, and keeps the process alive as a handle of libuv would: while it reads, if it
 * is referenced, and while something is under way in any case. Knows nothing of Node's streams.
 */
import type { AsyncResource } from 'node:async_hooks'
import { ENOTCONN, SystemError } from '../kernel/errno.js'
import { READABLE, SHUT_WRITE } from '../kernel/layout.js'
import { COPY_LIMIT } from '../io/outbox.js'
import { ReadSlab, SLAB_SIZE } from '../io/read-slab.js'
import { receive, WOULD_BLOCK } from '../io/receive.js'
import type { Stream } from '../io/stream.js'
import type { Piece, WriteBuffer } from '../io/write-buffer.js'
import type { Callback, Runtime } from '../runtime/runtime.js'
import { keptContext } from './context.js'

/** Who is told what happens. Each is called in a turn, in the async context in which the wire was made. */
export interface WireUser {
  /** `chunk` is the user's own; of a wire that lends, only if this says that it has been kept. */
  received(chunk: Buffer): boolean
  /** The peer has finished. Nothing will be received any more. */
  ended(): void
  failed(error: Error): void
  /** Somebody else has closed the stream. */
  closed(): void
}

/** A memory of the user's own to receive into. */
export interface ReadTarget {
  buffer(): Uint8Array
  /** False: enough for now. */
  received(count: number, buffer: Uint8Array): boolean
}

export type Written = (error?: Error | null) => void

/** How often one wire reads before it is the others' turn: with 64 KiB each, no less than libuv's sockets get. */
const READS_PER_TURN = 4

/** Chunks that fit are gathered for one system call; more costs more to copy than to pass on as it is. */
const GATHER = COPY_LIMIT

export class Wire implements Callback {
  readonly stream: Stream
  private readonly runtime: Runtime
  private readonly slab: ReadSlab
  private readonly user: WireUser
  /** Null while nobody in this thread uses async contexts. */
  private readonly context: AsyncResource | null
  /**
   * Who reads copies what he gets while he gets it, and who writes makes a buffer for each write and forgets it: so that the
   * same few buffers are used again and again, where otherwise the garbage collector would find them long after.
   */
  lends = false
  /** What is freed when all has been taken. */
  private lent: Uint8Array[] | null = null
  /** Where to receive into; null for a buffer of the library's. */
  target: ReadTarget | null = null
  private output: WriteBuffer | null = null
  /** Whether what comes is wanted. Invariant: false once the peer has finished. */
  private reading = false
  private referenced = true
  /** Who waits for the kernel to take all that was written. */
  private pending: Written | null = null
  /** Invariant: true exactly while this keeps the process alive. */
  private holding = false
  /** Invariant: true exactly while `call` is due. */
  private called = false
  private over = false

  constructor(stream: Stream, user: WireUser) {
    this.stream = stream
    this.user = user
    this.runtime = stream.handle.runtime
    this.slab = ReadSlab.of(this.runtime)
    this.context = keptContext('COREACTOR_SOCKET')
  }

  get isReading(): boolean {
    return this.reading
  }

  /** Bytes that were written and that the kernel has not taken. */
  get unsent(): number {
    return this.stream.bufferedBytes
  }

  startReading(): void {
    if (this.reading || this.over) return
    this.reading = true
    const { stream } = this
    const { handle } = stream
    if (handle.reader !== null && handle.reader !== this) {
      // A task waits in a read: it and this would take each other's bytes.
      this.reading = false
      return
    }
    handle.reader = this
    this.update()
    if ((handle.readiness & READABLE) !== 0 || stream.bufferedInput > 0 || stream.readError !== null) this.wake()
  }

  stopReading(): void {
    if (!this.reading) return
    this.reading = false
    // It stays the reader: so it learns when somebody else closes the stream.
    this.update()
  }

  reference(on: boolean): void {
    this.referenced = on
    this.update()
  }

  /** Writes at once. `done` is called before this returns if the kernel has taken everything. */
  write(data: string | Uint8Array, encoding: BufferEncoding, done: Written): void {
    const output = (this.output ??= this.stream.output)
    if (output.error === null) {
      if (typeof data !== 'string') {
        output.reference(data)
        output.flush()
      } else if (data.length <= COPY_LIMIT) {
        output.sendTextNow(data, encoding)
      } else {
        output.reference(Buffer.from(data, encoding))
        output.flush()
      }
    }
    if (this.lends) this.lend(data)
    this.wrote(output, done)
  }

  /** The same of several chunks, with one system call if the kernel takes them. */
  writeAll(chunks: readonly Piece[], done: Written): void {
    const output = (this.output ??= this.stream.output)
    if (output.error === null) {
      const size = sizeOf(chunks)
      if (size <= GATHER) {
        output.sendNow(chunks, size)
      } else {
        for (const { chunk, encoding } of chunks) {
          output.reference(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
        }
        output.flush()
      }
    }
    if (this.lends) for (const { chunk } of chunks) this.lend(chunk)
    this.wrote(output, done)
  }

  private wrote(output: WriteBuffer, done: Written): void {
    if (output.error !== null) {
      output.errorSeen = true
      return done(output.error)
    }
    if (output.bytes === 0) {
      this.free()
      return done()
    }
    this.pending = done
    output.await(this)
    this.update()
  }

  /** Ends the write side; everything written has been taken. Gives what went wrong. */
  shutdown(): SystemError | null {
    const { stream } = this
    if (stream.writeClosed) return null
    stream.writeClosed = true
    const result = stream.handle.kernel.shutdown(stream.handle.fd, SHUT_WRITE)
    return result < 0 && result !== ENOTCONN ? new SystemError(result, 'shutdown') : null
  }

  /** Closes the stream; with a reset if it is asked for. Nobody is told anything any more. Idempotent. */
  close(reset: boolean): void {
    const { stream } = this
    this.detach()
    if (reset) stream.reset()
    else if (!stream.closed) stream.closeNow()
  }

  /** Leaves the stream as it is, for somebody else. */
  detach(): void {
    if (this.over) return
    this.over = true
    this.reading = false
    this.pending = null
    const { handle } = this.stream
    if (handle.reader === this) handle.reader = null
    this.output?.leave(this)
    this.update()
  }

  /** Something may have happened. */
  wake(): void {
    if (this.called || this.over) return
    this.called = true
    this.runtime.callSoon(this)
  }

  call(): void {
    this.called = false
    if (this.over) return
    if (this.context === null) this.act()
    else this.context.runInAsyncScope(this.act, this)
  }

  private act(): void {
    const { stream } = this
    if (stream.closed) {
      this.detach()
      return this.user.closed()
    }
    try {
      if (this.reading) this.read()
    } finally {
      if (this.pending !== null) this.taken(this.pending)
    }
  }

  /** The kernel may have taken everything, or have refused it. */
  private taken(done: Written): void {
    const output = this.output as WriteBuffer
    if (output.error === null && output.bytes > 0) return
    this.pending = null
    output.leave(this)
    output.errorSeen = true
    this.update()
    if (output.error === null) this.free()
    done(output.error)
  }

  private lend(data: string | Uint8Array): void {
    if (typeof data !== 'string') (this.lent ??= []).push(data)
  }

  /** The kernel has a copy. Parts of something larger are left alone. */
  private free(): void {
    const { lent } = this
    if (lent === null) return
    this.lent = null
    for (const chunk of lent) this.stream.handle.kernel.freeMemory(chunk)
  }

  private read(): void {
    const { stream, user } = this
    const { handle } = stream
    for (let reads = 0; this.reading; reads++) {
      if (reads === READS_PER_TURN) return this.wake()
      let chunk: Buffer | number
      try {
        chunk = this.take()
      } catch (error) {
        this.stopReading()
        return user.failed(error as Error)
      }
      if (chunk === WOULD_BLOCK) return
      if (chunk === 0) {
        this.stopReading()
        return user.ended()
      }
      const more = (handle.readiness & READABLE) !== 0 || stream.bufferedInput > 0
      if (typeof chunk !== 'number') this.handOut(chunk, more)
      if (!more) return
    }
  }

  private handOut(chunk: Buffer, more: boolean): void {
    let returned = false
    try {
      const kept = this.user.received(chunk)
      if (this.lends) this.slab.giveBack(kept)
      returned = true
    } finally {
      // A listener has thrown: what is there is read in the next turn.
      if (!returned && more) this.wake()
    }
  }

  /** What has come: a chunk, or a number of bytes that the target has been told of; 0 = the end. */
  private take(): Buffer | number {
    const { stream, slab, target } = this
    const { input } = stream
    if (target !== null) return this.takeInto(target)
    if (input !== null && input.length > 0) return input.take(Math.min(input.length, SLAB_SIZE))
    if ((stream.handle.readiness & READABLE) === 0 && stream.readError === null) return WOULD_BLOCK
    const received = receive(stream, slab.enter(null), 0, SLAB_SIZE)
    if (received <= 0) return received
    return this.lends ? slab.lend(received) : slab.take(received)
  }

  private takeInto(target: ReadTarget): number {
    const { stream } = this
    const { input } = stream
    const buffer = target.buffer()
    let received: number
    if (input !== null && input.length > 0) received = input.takeInto(buffer)
    else if ((stream.handle.readiness & READABLE) === 0 && stream.readError === null) return WOULD_BLOCK
    else received = receive(stream, buffer, 0, buffer.length)
    if (received > 0 && !target.received(received, buffer)) this.stopReading()
    return received
  }

  private update(): void {
    const hold = !this.over && ((this.reading && this.referenced) || this.pending !== null)
    if (hold === this.holding) return
    this.holding = hold
    if (hold) this.runtime.hold()
    else this.runtime.letGo()
  }
}

/** What they need at most; any encoding makes three bytes of a unit of text, or fewer. */
function sizeOf(chunks: readonly Piece[]): number {
  let size = 0
  for (const { chunk } of chunks) size += typeof chunk === 'string' ? chunk.length * 3 : chunk.length
  return size
}
