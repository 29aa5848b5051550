/** A byte stream over one socket. What kind of socket, and what else it can do, is for `net/`. */
import { EAGAIN, EINTR, SystemError, type SystemError as SystemErrorType } from '../kernel/errno.js'
import { dispose } from '../task/dispose.js'
import { checkSignal } from '../task/abort.js'
import { enterAbortable } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkInteger, checkMilliseconds, invalidType, invalidValue } from '../task/validate.js'
import { chunksOf } from './chunks.js'
import { Close, free } from './close.js'
import { ClosedError } from './errors.js'
import type { Handle } from './handle.js'
import { pipeTo } from './pipe-to.js'
import { pipeToSink, Sink, type ChunkSource } from './sink.js'
import {
  peek,
  readExactly,
  readLine,
  readUntil,
  skipUntil,
  unread,
  type LimitOptions,
  type ReadableState,
  type ReadLineOptions
} from './read.js'
import { ReadBuffer } from './read-buffer.js'
import { ReadSlab } from './read-slab.js'
import { checkReader, MAX_READ, Receive, receive, receiveSome, WOULD_BLOCK } from './receive.js'
import { fdOf, SendFile, type FileLike } from './send-file.js'
import { CloseWrite, Flush, write, type WritableState, type WriteData } from './write.js'
import { WriteBuffer } from './write-buffer.js'

/** Options of `close`. */
export interface StreamCloseOptions {
  /**
   * Milliseconds that closing may take, after everything has been sent, to take in and throw away what the peer is still
   * sending. 0 closes at once. Given, the peer's end is waited for in any case; by default only a peer is waited for, for
   * 2,000 ms, of whose input something is unread although something was written to it.
   */
  linger?: number | undefined
}

/** Options of `pipeTo`. */
export interface PipeToOptions {
  /** Whether the target's end follows the source's, as `closeWrite` sends it. True by default. */
  end?: boolean | undefined
  /** Cancels it when it is aborted; the signal's reason is thrown then. */
  signal?: AbortSignal | undefined
}

/** What `pipeTo` can write to: a connection, the end of a pipe that is written to, or a file. */
export type PipeTarget =
  | Pick<Stream, 'fd' | 'closed' | 'bufferedBytes' | 'write' | 'tryWrite' | 'flush' | 'closeWrite'>
  | Sink

export class Stream implements WritableState, ReadableState {
  /** @internal */
  readonly handle: Handle
  /** @internal */
  readError: SystemErrorType | null = null
  /** @internal */
  readEnded = false
  /** @internal */
  taken = 0
  /** @internal */
  closing = false
  /** @internal */
  writeClosed = false
  /** @internal */
  written: WriteBuffer | null = null
  /** @internal */
  input: ReadBuffer | null = null

  /** @internal */
  constructor(handle: Handle) {
    this.handle = handle
  }

  /** @internal Made at the first write: a connection that only reads has none. */
  get output(): WriteBuffer {
    return (this.written ??= new WriteBuffer(this.handle))
  }

  /** @internal Made at the first read that may leave something over. */
  get received(): ReadBuffer {
    return (this.input ??= new ReadBuffer(ReadSlab.of(this.handle.runtime)))
  }

  /** @internal */
  unseenWriteError(): Error | null {
    const { written } = this
    if (written === null || written.error === null || written.errorSeen) return null
    written.errorSeen = true
    return written.error
  }

  /** The file descriptor, -1 once it is closed. It stays this object's: do not close it, and do not read from it. */
  get fd(): number {
    return this.handle.toldFd
  }

  /** Whether `close` or `reset` has been called. */
  get closed(): boolean {
    return this.closing || this.handle.closed
  }

  /** Bytes that have been received, ever: read, or kept until they are. */
  get bytesRead(): number {
    return this.taken
  }

  /** Bytes that the kernel has taken of what was written, ever. */
  get bytesWritten(): number {
    return this.written === null ? 0 : this.written.taken
  }

  /** Bytes that were written and are not in the kernel's hands yet. */
  get bufferedBytes(): number {
    return this.written === null ? 0 : this.written.bytes
  }

  /** Bytes that have come and are kept until they are read: what the last read of a frame left over, or `unread`. */
  get bufferedInput(): number {
    return this.input === null ? 0 : this.input.length
  }

  /**
   * Waits for data and reads some into `into`, as much as is there and fits; what is buffered comes first. Gives the number of
   * bytes; 0 means that the peer has finished. On cancel nothing has been read.
   *
   * Errors: `ClosedError`, `BusyError` (a second reader), system errors such as `ECONNRESET`; `ERR_INVALID_ARG_TYPE`, and
   * `ERR_INVALID_ARG_VALUE` for an empty `into`, for which 0 would mean two things.
   *
   * @example
   * const buffer = Buffer.alloc(4096)
   * const n = yield* connection.read(buffer)
   */
  read(into: Uint8Array): Op<number> {
    checkBuffer(into)
    return new Receive(this, into)
  }

  /**
   * Waits for data and gives what is there, at most `max` bytes (up to 64 KiB at a time), in a buffer of its own; null
   * means that the peer has finished. On cancel nothing has been read. Errors as for `read`.
   *
   * @example
   * for (let chunk; (chunk = yield* connection.readSome()) !== null; ) total += chunk.length
   */
  readSome(max = MAX_READ): Op<Buffer | null> {
    return receiveSome(this, max)
  }

  /** One system call now: bytes read, 0 = the peer has finished, null = nothing is there. Errors as for `read`. */
  tryRead(into: Uint8Array): number | null {
    checkBuffer(into)
    checkReader(this, null)
    if (this.bufferedInput > 0) return this.received.takeInto(into)
    const received = receive(this, into, 0, into.length)
    return received === WOULD_BLOCK ? null : received
  }

  /**
   * Waits for `n` bytes and gives them, in a buffer of its own. On cancel nothing is lost: what has come is read next.
   *
   * Errors: `UnexpectedEndError` (`ERR_COREACTOR_UNEXPECTED_END`) when the peer has finished before; what has come can
   * still be read. `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; otherwise as for `read`.
   *
   * @example
   * const header = yield* connection.readExactly(4)
   * const body = yield* connection.readExactly(header.readUInt32BE())
   */
  readExactly(n: number): Op<Buffer> {
    return readExactly(this, n)
  }

  /**
   * Waits for `delimiter` (text as UTF-8, bytes, or one byte) and gives everything up to it and with it, in a buffer of
   * its own; null when the peer has finished and nothing is left. On cancel nothing is lost.
   *
   * Errors: `LimitError` (`ERR_COREACTOR_LIMIT`) when more than `limit` bytes come before it: nothing has been taken, so
   * read on with a higher limit, take what is there with `readSome`, or drop it with `skipUntil`. `UnexpectedEndError`
   * when the peer has finished in the middle; what has come can still be read. Otherwise as for `readExactly`.
   *
   * @example
   * const head = yield* connection.readUntil('\r\n\r\n', { limit: 8192 })
   */
  readUntil(delimiter: string | Uint8Array | number, options?: LimitOptions): Op<Buffer | null> {
    return readUntil(this, delimiter, options)
  }

  /**
   * Waits for a line and gives it as text, without its `\n` or `\r\n`; the last line needs none. Null when the peer has
   * finished and nothing is left. `limit` counts the bytes of the line without its end. On cancel nothing is lost.
   *
   * Errors: `LimitError`, as for `readUntil`; `ERR_INVALID_ARG_VALUE` for another encoding; otherwise as for `read`.
   *
   * @example
   * for (let line; (line = yield* connection.readLine()) !== null; ) handle(line)
   */
  readLine(options?: ReadLineOptions): Op<string | null> {
    return readLine(this, options)
  }

  /**
   * Drops everything up to `delimiter` and with it, however long that is, holding none of it; true when it was found,
   * false when the peer has finished before. On cancel what has been dropped is gone: called again, it goes on.
   * Errors as for `read`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for an empty one.
   *
   * @example
   * yield* connection.skipUntil('\n')
   */
  skipUntil(delimiter: string | Uint8Array | number): Op<boolean> {
    return skipUntil(this, delimiter)
  }

  /**
   * Waits for `n` bytes and gives them, and they will be read again; fewer only when the peer has finished. Errors as for
   * `readExactly`, but for the end.
   *
   * @example
   * const secure = (yield* connection.peek(1))[0] === 0x16
   */
  peek(n: number): Op<Buffer> {
    return peek(this, n)
  }

  /**
   * Puts `bytes`, a copy of them, before everything that is read next: what was read too much, or was never received.
   * Errors: `ClosedError`, `BusyError` (a task waits in a read), `ERR_INVALID_ARG_TYPE`.
   *
   * @example
   * const chunk = yield* connection.readSome()
   * if (chunk !== null) connection.unread(chunk.subarray(1))
   */
  unread(bytes: Uint8Array): void {
    unread(this, bytes)
  }

  /**
   * Writes all of `data`; a string as UTF-8. Up to 16 KiB are copied and go out when the turn ends, together with what
   * else was written in it, and this completes at once unless 64 KiB are waiting already: awaiting it is back-pressure.
   * A larger `data` is not copied: leave it alone until this completes, which is when the kernel has all of it.
   *
   * On cancel: nothing has been written; or, of a large `data`, the `Cancelled` has `bytesWritten`, the write side is
   * closed, and closing resets the connection, so that the peer does not take a part for the whole. Errors: `ClosedError`, `BusyError` (another write is waiting), the system error that ended writing, such as
   * `EPIPE` (also one that an earlier write met after it had completed); `ERR_INVALID_ARG_TYPE`.
   *
   * @example
   * yield* connection.write('HTTP/1.1 204 No Content\r\n\r\n')
   */
  write(data: WriteData): Op<void> {
    checkData(data)
    return write(this, data)
  }

  /**
   * One system call now, past the buffer but never past what is in it: bytes taken, null = it would have to wait.
   * Errors as for `write`.
   */
  tryWrite(data: string | Uint8Array): number | null {
    checkData(data)
    const { handle, output } = this
    if (this.closed) throw new ClosedError(`the ${handle.noun}`)
    if (this.writeClosed) throw new ClosedError('the write side')
    output.check(NOBODY)
    if (output.bytes > 0) {
      output.flush()
      output.check(NOBODY)
      if (output.bytes > 0) return null
    }
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (bytes.length === 0) return 0
    let taken = handle.transfer.send(handle.fd, bytes, 0, bytes.length)
    while (taken === EINTR) taken = handle.transfer.send(handle.fd, bytes, 0, bytes.length)
    if (taken === EAGAIN) return null
    if (taken >= 0) {
      output.taken += taken
      return taken
    }
    output.fail(new SystemError(taken, 'write'))
    return output.check(NOBODY) as never
  }

  /**
   * Moves everything that comes to `target`, as fast as that takes it, until the peer has finished; then the target's write
   * side is ended, too, unless `end` is false. Gives the number of bytes. What is buffered here comes first, and what was
   * written to the target before goes before it. Where the kernel can, a flood does not pass through this process
   * (splice(2) of Linux); at most 1 MiB of it is in a pipe then. Both directions at once make a proxy.
   *
   * Meanwhile it is the reader here and the writer there: for others that is `BusyError`. On cancel what the target has not
   * taken is read here next, and both go on; `bytesWritten` of the `Cancelled` says how much it has taken. So it is after an
   * error of the target, as long as this end is open.
   *
   * Errors: as for `read` and `write`: the `syscall` of a system error is `'read'` if it is this stream's, and `'write'` if
   * it is the target's, and a `ClosedError` says in words which is closed. `ERR_INVALID_ARG_TYPE`.
   *
   * @example
   * yield* all([client.pipeTo(server), server.pipeTo(client)])
   */
  pipeTo(target: PipeTarget, { end = true, signal }: PipeToOptions = {}): Op<number> {
    return pipe(this, target, end, signal)
  }

  /**
   * Sends `length` bytes of an open regular file from `offset` on, everything by default, without copying them into this
   * process (sendfile(2)); what was written before goes first. Gives the number of bytes, fewer than `length` if the file
   * ends before. Where the file is read by others does not change. Keep it open and as it is until this completes.
   *
   * What is not in the page cache is read by a thread of the pool first, 256 KiB at a time. (macOS and FreeBSD do not say
   * what is: there this thread waits for the disk, and everything with it.) Cut off in the middle, by a cancellation or
   * an error of the file, it is as with a large `write`: `bytesWritten` of the error, the write side is closed, and
   * closing resets the connection.
   *
   * Errors: as for `write`; of the file with `syscall` `'sendfile'`, such as `EBADF`, and `EINVAL` for what is no regular
   * file; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   *
   * @example
   * await using file = await open('index.html')
   * await connection.sendFile(file)
   */
  sendFile(file: FileLike, offset = 0, length?: number): Op<number> {
    const fd = fdOf(file)
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    if (length !== undefined) checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    return new SendFile(this, fd, offset, length ?? Infinity)
  }

  /** Waits until everything written is in the kernel's hands. On cancel it stays buffered. Errors as for `write`. */
  flush(): Op<void> {
    return new Flush(this)
  }

  /**
   * Sends what was written, and then the end; reading goes on. Once is enough, twice does no harm. On cancel the write
   * side is still open. Errors as for `write`.
   */
  closeWrite(): Op<void> {
    return new CloseWrite(this)
  }

  /**
   * Sends what was written, then closes. Who is waiting on this stream gets `ClosedError`. Idempotent.
   *
   * A socket that is closed while the peer is still sending answers with a reset, which can destroy the reply that is on
   * its way. So if something is unread by then, and something was written, the write side is ended first, and what comes
   * is thrown away until the peer ends, too: for at most 2 seconds, and at most 16 MiB. What has not come yet cannot be
   * seen: where a peer may still be sending, as after an error in the middle of an upload, give `linger`.
   *
   * On cancel, and in a cancelled scope, the fd is freed all the same, with a reset if the peer would miss some of what
   * was written; then `Cancelled` is thrown. Errors: a write error that nobody has seen yet; `ERR_INVALID_ARG_TYPE`,
   * `ERR_OUT_OF_RANGE` (NaN).
   *
   * @example
   * yield* connection.write('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n')
   * yield* connection.close({ linger: 5000 })
   */
  close(options?: StreamCloseOptions): Op<void> {
    const linger = options?.linger
    if (linger !== undefined) checkMilliseconds('options.linger', linger)
    return new Close(this, linger)
  }

  /** Closes at once: what was written is dropped, and a TCP peer gets a reset. Idempotent. */
  reset(): void {
    if (this.handle.closed) return
    this.closing = true
    this.written?.fail(new ClosedError(`the ${this.handle.noun}`))
    free(this, true)
  }

  /** @internal Its owner is gone: sends what the kernel takes at once, and resets if that is not everything. */
  abandon(): void {
    if (this.handle.closed) return
    this.written?.flush()
    free(this, this.bufferedBytes > 0 || this.written?.cutOff === true)
  }

  /** @internal Closes the fd and nothing else, as close(2) does: what the kernel has is sent, what is buffered here is not. */
  closeNow(): void {
    if (this.handle.closed) return
    this.written?.fail(new ClosedError(`the ${this.handle.noun}`))
    free(this, false)
  }

  /** The chunks that arrive, until the peer has finished; leaving the loop early does not close the stream. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    return chunksOf(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await dispose(this.close())
  }
}

/** `pipeTo` of any source: into another stream with as few copies as can be, into a sink chunk by chunk. */
export function pipe(source: ReadableState & ChunkSource, target: PipeTarget, end: unknown, signal: AbortSignal | undefined): Op<number> {
  const isSink = target instanceof Sink
  if (!isSink && !(target instanceof Stream)) {
    throw invalidType('target', 'a connection, the writer of a pipe or a file', target)
  }
  if (typeof end !== 'boolean') throw invalidType('options.end', 'a boolean', end)
  if (signal !== undefined) checkSignal(signal)
  const moving = (): Coroutine<number> => (isSink ? pipeToSink(source, target, end) : pipeTo(source, target, end))
  if (signal === undefined) return op(moving)
  return op(() => enterAbortable(function* () {
    return yield* moving()
  }, signal))
}

/** Never parked: a call that is no operation, and has to know whether one is. */
const NOBODY = { wake() {} }

function checkBuffer(into: Uint8Array): void {
  if (!(into instanceof Uint8Array)) throw invalidType('into', 'a Uint8Array', into)
  if (into.length === 0) throw invalidValue('into', 'must not be empty', into)
}

function checkData(data: WriteData): void {
  if (typeof data === 'string' || data instanceof Uint8Array) return
  if (!Array.isArray(data) || !data.every((chunk) => chunk instanceof Uint8Array)) {
    throw invalidType('data', 'a string, a Uint8Array or an array of Uint8Arrays', data)
  }
}
