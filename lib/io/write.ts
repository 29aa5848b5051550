/** Writing to a stream socket: small data, large data, and waiting until everything is in the kernel's hands. */
import { SHUT_WRITE } from '../kernel/layout.js'
import { check, ENOTCONN } from '../kernel/errno.js'
import { Cancelled } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Signal } from '../task/types.js'
import { ClosedError } from './errors.js'
import { COPY_LIMIT } from './outbox.js'
import type { StreamState } from './receive.js'
import { HIGH_WATER, type WriteBuffer } from './write-buffer.js'

/** A stream that can be written to. */
export interface WritableState extends StreamState {
  /** Made when it is asked for. */
  readonly output: WriteBuffer
  /** The same; null as long as nobody has asked for it. */
  readonly written: WriteBuffer | null
  /** Bytes that the kernel has taken, ever. */
  readonly bytesWritten: number
  /** The write side has been shut down. */
  writeClosed: boolean
  /** Frees the fd without waiting for the rest of what was written; a peer that misses some of it gets a reset. */
  abandon(): void
}

/** What can be written: text, as UTF-8, bytes, or several pieces of bytes one after the other. */
export type WriteData = string | Uint8Array | readonly Uint8Array[]

/** A cancelled write that was cut off in the middle: says how much of it the kernel had taken. */
export interface CutOff {
  /** Bytes of this write that have gone. The write side is closed: what follows would not be where it belongs. */
  bytesWritten: number
}

/** The wait that all kinds of write share. */
export abstract class Writing<T> extends Leaf<T> {
  protected readonly stream: WritableState

  constructor(stream: WritableState) {
    super()
    this.stream = stream
  }

  protected override attempt(): boolean {
    const { stream } = this
    if (stream.closing || stream.handle.closed) throw new ClosedError(`the ${stream.handle.noun}`)
    stream.output.check(this)
    stream.output.leave(this)
    return this.write(stream.output)
  }

  protected abstract write(output: WriteBuffer): boolean

  protected override arm(): void {
    this.stream.output.await(this)
  }

  override disarm(): void {
    this.stream.output.leave(this)
  }
}

/** `write` of what is small enough to be copied. Waiting for room, it has written nothing. */
class WriteSmall extends Writing<void> {
  private readonly data: string | Uint8Array | readonly Uint8Array[]

  constructor(stream: WritableState, data: WriteData) {
    super(stream)
    this.data = data
  }

  protected override write(output: WriteBuffer): boolean {
    if (this.stream.writeClosed) throw new ClosedError('the write side')
    if (output.bytes >= HIGH_WATER) {
      output.flush()
      if (output.bytes >= HIGH_WATER) return false
      output.check(this)
    }
    const { data } = this
    if (typeof data === 'string' || data instanceof Uint8Array) output.append(data)
    else for (const chunk of data) output.append(chunk)
    return this.complete(undefined)
  }
}

/** `write` of what is sent from where it is. Completes when the kernel has all of it. */
class WriteLarge extends Writing<void> {
  private readonly chunks: readonly Uint8Array[]
  private readonly size: number
  /** How many bytes must have been taken, ever, when this write is done; -1 until it has begun. */
  private mark = -1
  private cutOff = 0

  constructor(stream: WritableState, chunks: readonly Uint8Array[], size: number) {
    super(stream)
    this.chunks = chunks
    this.size = size
  }

  protected override write(output: WriteBuffer): boolean {
    if (this.mark < 0) {
      if (this.stream.writeClosed) throw new ClosedError('the write side')
      for (const chunk of this.chunks) output.reference(chunk)
      this.mark = output.taken + output.bytes
      output.flush()
      output.check(this)
    }
    return output.taken >= this.mark && this.complete(undefined)
  }

  /** All of it has gone: then it has been written, and cannot be called off. */
  override retract(): boolean {
    if (this.mark >= 0 && this.stream.output.taken >= this.mark) return false
    return super.retract()
  }

  override disarm(): void {
    super.disarm()
    const { output } = this.stream
    if (this.mark < 0 || output.error !== null) return
    const gone = this.size - (this.mark - output.taken)
    if (gone <= 0) {
      output.dropLast(this.chunks)
      return
    }
    this.cutOff = gone
    output.fail(new ClosedError(`the write side, after ${gone} of ${this.size} bytes of a cancelled write,`))
  }

  override next(signal?: Signal): this {
    try {
      return super.next(signal)
    } catch (error) {
      if (this.cutOff > 0 && error instanceof Cancelled) Object.assign(error, { bytesWritten: this.cutOff } satisfies CutOff)
      throw error
    }
  }
}

/** `flush()`. */
export class Flush extends Writing<void> {
  protected override write(output: WriteBuffer): boolean {
    if (output.bytes > 0) {
      output.flush()
      output.check(this)
    }
    return output.bytes === 0 && this.complete(undefined)
  }
}

/** `closeWrite()`. Everything written first, then the end. */
export class CloseWrite extends Flush {
  private begun = false

  protected override write(output: WriteBuffer): boolean {
    const { stream } = this
    if (!this.begun) {
      if (stream.writeClosed) return this.complete(undefined)
      stream.writeClosed = this.begun = true
    }
    if (!super.write(output)) return false
    const result = stream.handle.kernel.shutdown(stream.handle.fd, SHUT_WRITE)
    // ENOTCONN: the peer has reset the connection, so there is no side left to close. The reader finds out.
    if (result !== ENOTCONN) check(result, 'shutdown')
    return true
  }

  /** Cancelled while it waited for what had been written: the side is still open. */
  override disarm(): void {
    super.disarm()
    this.stream.writeClosed = false
  }
}

/** The right kind of `write` for `data`, whose type has been checked. */
export function write(stream: WritableState, data: WriteData): Leaf<void> {
  if (typeof data === 'string') {
    if (data.length <= COPY_LIMIT) return new WriteSmall(stream, data)
    const bytes = Buffer.from(data)
    return new WriteLarge(stream, [bytes], bytes.length)
  }
  if (data instanceof Uint8Array) {
    return data.length <= COPY_LIMIT ? new WriteSmall(stream, data) : new WriteLarge(stream, [data], data.length)
  }
  let size = 0
  for (const chunk of data) size += chunk.length
  return size <= COPY_LIMIT ? new WriteSmall(stream, data) : new WriteLarge(stream, data, size)
}
