/**
 * An open file, with what a stream has. Reading goes through a `Handle` that no kernel watches: its system call is a job,
 * and it is ready when that has ended. Writing is one job, or a few, for each `write`.
 */
import { EBADF, SystemError, type FilePaths } from '../kernel/errno.js'
import type { PathBytes } from '../kernel/kernel.js'
import { READABLE, READ_CLOSED } from '../kernel/layout.js'
import { ClosedError } from '../io/errors.js'
import { Handle } from '../io/handle.js'
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
} from '../io/read.js'
import { ReadBuffer } from '../io/read-buffer.js'
import { ReadSlab } from '../io/read-slab.js'
import { MAX_READ, Receive, receiveSome } from '../io/receive.js'
import { Sink } from '../io/sink.js'
import { pipe, type PipeTarget, type PipeToOptions } from '../io/stream.js'
import type { WriteData } from '../io/write.js'
import { BackgroundCall } from '../jobs/background-call.js'
import { abandonOf, type BlockingOptions, type Take, type Undo } from '../jobs/blocking-call.js'
import { JobReader } from '../jobs/job-reader.js'
import { readOnce, writeAll, type Chunks } from '../jobs/transfer.js'
import { currentRuntime } from '../runtime/current.js'
import type { Runtime } from '../runtime/runtime.js'
import { dispose } from '../task/dispose.js'
import { Leaf } from '../task/leaf.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkInto, chunksOf } from './bytes.js'
import { fdatasync, fsync, positionOf, truncate, type PositionOptions, type WriteOptions } from './file-calls.js'
import { lockOf, waitForLock, type FileLock, type LockOptions } from './lock.js'
import { opening } from './opening.js'
import { flagsOf, modeOf, pathOf, where, type OpenFlags, type PathLike } from './path.js'
import { fstat, type FileStatus } from './status.js'

/** Options of `blocking.open`. */
export interface OpenOptions extends BlockingOptions {
  /** Of a new file: 0o666 by default; the umask takes its bits away. */
  mode?: number | undefined
}

/** The reading side: readable until a system call has been asked for, and again when it has ended. */
class FileHandle extends Handle {
  readonly reading: JobReader

  constructor(runtime: Runtime, fd: number, waits: boolean) {
    const reading = new JobReader(runtime, waits, () => this.deliver(READABLE))
    super(runtime, fd, {
      copies: true,
      receive: (which, into, offset, length) => reading.receive(which, into, offset, length),
      send: () => EBADF,
      sendVector: () => EBADF
    })
    this.reading = reading
    // A short count does not say that there is nothing more.
    this.readiness = READABLE | READ_CLOSED
  }

  /** Lets go of the fd, without closing it. */
  letGo(): number {
    const { fd, reader } = this
    this.fd = -1
    this.reader = null
    this.reading.close()
    reader?.wake()
    return fd
  }
}

/** `close()`. Waits for what others have begun, and then for close(2); called off, both happen without it. */
class Close extends Leaf<void> {
  private readonly file: FileCloser
  private begun = false

  constructor(file: FileCloser) {
    super()
    this.file = file
  }

  protected override attempt(): boolean {
    const { file } = this
    if (!this.begun && file.closing) return this.complete(undefined)
    this.begun = true
    const result = file.close(this)
    if (result === null) return false
    if (result < 0) throw new SystemError(result, 'close', file.where)
    return this.complete(undefined)
  }

  protected override arm(): void {}

  override disarm(): void {
    this.file.close(null)
  }

  override refused(): void {
    this.disarm()
  }
}

/** The fd's way to its end: when nobody uses it any more, by a job of its own. */
class FileCloser {
  readonly where: FilePaths | undefined
  closing = false
  private readonly handle: FileHandle
  /** Calls on the fd that are under way. */
  private users = 0
  private result: number | null = null
  private waiter: Leaf<void> | null = null
  /** Invariant: -1 unless it has been let go of and its job has not begun. */
  private fd = -1

  constructor(handle: FileHandle, at: FilePaths | undefined) {
    this.handle = handle
    this.where = at
  }

  enter(): void {
    this.users++
  }

  leave(): void {
    this.users--
    this.go()
  }

  /** Has it closed, and tells `waiter`. What close(2) has said; null as long as it has not. */
  close(waiter: Leaf<void> | null): number | null {
    this.waiter = waiter
    if (!this.closing) {
      this.closing = true
      this.fd = this.handle.letGo()
      this.handle.runtime.reactor.remove(this.handle, this.fd)
      this.go()
    }
    return this.result
  }

  private go(): void {
    const { fd } = this
    if (fd < 0 || this.users > 0) return
    this.fd = -1
    new BackgroundCall(this.handle.runtime, { kind: 'close', fd }, (result) => {
      this.result = result
      this.waiter?.wake()
    })
  }
}

/**
 * An open file, that reads like a connection and is written to by calls of its own. One task reads at a time; each read
 * takes up where the last one has stopped. `read` with a `position`, and `write`, may be many at a time.
 *
 * Reading and writing without a `position` happen at the file's own place. What was read and not handed out yet, the rest
 * of a frame, has moved it already.
 */
export class File extends Sink implements ReadableState {
  /** @internal */
  readonly handle: FileHandle
  /** @internal */
  readonly noun = 'file'
  /** @internal */
  readonly where: FilePaths | undefined
  /** @internal */
  input: ReadBuffer | null = null
  /** @internal */
  readError: SystemError | null = null
  /** @internal */
  readEnded = false
  /** @internal */
  taken = 0
  private readonly closer: FileCloser
  private readonly waits: boolean
  private written = 0

  /** @internal Use `blocking.open`. */
  constructor(runtime: Runtime, fd: number, path: PathBytes | null, waits: boolean) {
    super()
    this.waits = waits
    this.where = path === null ? undefined : where(path)
    this.handle = new FileHandle(runtime, fd, waits)
    this.closer = new FileCloser(this.handle, this.where)
    runtime.reactor.claim(this.handle, fd)
  }

  /** @internal */
  get closing(): boolean {
    return this.closer.closing
  }

  /** @internal Made at the first read that may leave something over. */
  get received(): ReadBuffer {
    return (this.input ??= new ReadBuffer(ReadSlab.of(this.handle.runtime)))
  }

  /** @internal Each write has told its own. */
  unseenWriteError(): null {
    return null
  }

  /** The file descriptor, -1 once it is closed. It stays this object's. */
  get fd(): number {
    return this.handle.fd
  }

  /** Whether `close` has been called. */
  get closed(): boolean {
    return this.closer.closing
  }

  /** Bytes that have been read without a position, ever: handed out, or kept until they are. */
  get bytesRead(): number {
    return this.taken
  }

  /** Bytes that have been written, ever. */
  get bytesWritten(): number {
    return this.written
  }

  /** Bytes that have been read and are kept until somebody asks for them. */
  get bufferedInput(): number {
    return this.input === null ? 0 : this.input.length
  }

  /**
   * Reads some bytes into `into`, at most 1 MiB, where the last read has stopped, what is buffered first; with `position`
   * there, past the buffer. Gives how many; 0 is the end, and a file that has grown since can be read on.
   *
   * On cancel nothing has been read: a call that has been begun goes on, and what it finds is for the next read. With
   * `position` it is as for `blocking.read`. Errors: `ClosedError`, `BusyError` (a second reader), `DetachedBufferError`,
   * system errors with `path`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
   *
   * @example
   * const file = yield* blocking.open('data.bin')
   * const header = Buffer.alloc(64)
   * yield* file.read(header, { position: 0 })
   */
  read(into: Uint8Array, options: PositionOptions = {}): Op<number> {
    checkInto('into', into)
    const position = positionOf(options)
    if (position < 0) return new Receive(this, into)
    const abandon = abandonOf(options, false)
    return this.using((fd) => readOnce({ fd, position, waits: this.waits, where: this.where }, [into], abandon))
  }

  /** Gives what comes next, at most `max` bytes (up to 64 KiB at a time), in a buffer of its own; null is the end. */
  readSome(max = MAX_READ): Op<Buffer | null> {
    return receiveSome(this, max)
  }

  /** As `Connection.readExactly`. */
  readExactly(n: number): Op<Buffer> {
    return readExactly(this, n)
  }

  /** As `Connection.readUntil`. */
  readUntil(delimiter: string | Uint8Array | number, options?: LimitOptions): Op<Buffer | null> {
    return readUntil(this, delimiter, options)
  }

  /**
   * As `Connection.readLine`.
   *
   * @example
   * const file = yield* blocking.open('access.log')
   * for (let line; (line = yield* file.readLine()) !== null; ) handle(line)
   * yield* file.close()
   */
  readLine(options?: ReadLineOptions): Op<string | null> {
    return readLine(this, options)
  }

  /** As `Connection.skipUntil`. */
  skipUntil(delimiter: string | Uint8Array | number): Op<boolean> {
    return skipUntil(this, delimiter)
  }

  /** As `Connection.peek`. */
  peek(n: number): Op<Buffer> {
    return peek(this, n)
  }

  /** Puts `bytes`, a copy of them, before everything that is read next. Nothing happens to the file. */
  unread(bytes: Uint8Array): void {
    unread(this, bytes)
  }

  /**
   * Writes all of `data`, and gives the number of bytes, when the system has it: see `blocking.write`. Errors: `ClosedError`;
   * otherwise as there, with `path`.
   *
   * @example
   * const file = yield* blocking.open('audit.log', 'a')
   * yield* file.write('started\n')
   * yield* file.datasync()
   */
  write(data: WriteData, options: WriteOptions = {}): Op<number> {
    return this.writeChunks(chunksOf('data', data), positionOf(options), abandonOf(options, false))
  }

  /** @internal The same of what has been checked. */
  writeChunks(chunks: Chunks, position: number, abandon: boolean): Op<number> {
    return this.using((fd) => this.writing(fd, chunks, position, abandon))
  }

  /** Moves everything that comes to `target`, until the end: see `Connection.pipeTo`. */
  pipeTo(target: PipeTarget, { end = true, signal }: PipeToOptions = {}): Op<number> {
    return pipe(this, target, end, signal)
  }

  /** What is known of the file: see `blocking.fstat`. */
  stat(options: BlockingOptions = {}): Op<FileStatus> {
    return this.using((fd) => fstat(fd, options))
  }

  /** Waits until everything that was written is on the disk: see `blocking.fsync`. */
  sync(options: BlockingOptions = {}): Op<void> {
    return this.using((fd) => fsync(fd, options))
  }

  /** The same without what is not needed to read it again. */
  datasync(options: BlockingOptions = {}): Op<void> {
    return this.using((fd) => fdatasync(fd, options))
  }

  /** Makes the file `length` bytes long. Where it is read and written next does not change. */
  truncate(length = 0, options: BlockingOptions = {}): Op<void> {
    return this.using((fd) => truncate(fd, length, options))
  }

  /** Waits for a lock on the file: see `blocking.flock`. Closing the file ends it. */
  lock(options: LockOptions = {}): Op<FileLock> {
    const attempt = lockOf(this, options)
    return waitForLock(() => this.using(attempt))
  }

  /** Takes a lock if it can be had now; null otherwise. */
  tryLock(options: LockOptions = {}): Op<FileLock | null> {
    return this.using(lockOf(this, options))
  }

  /** Closes it, as `close`: a file has no other end. What `pipeTo` does when its source has ended. */
  closeWrite(): Op<void> {
    return this.close()
  }

  /**
   * Closes the file, when the calls on it that others have begun have ended. Who waits for a read gets `ClosedError`.
   * Idempotent. On cancel, and in a cancelled scope, it is closed all the same, as soon as that can be. Errors: what close(2)
   * says, such as `EIO`: then what was written may be lost.
   */
  close(): Op<void> {
    return new Close(this.closer)
  }

  /** The chunks of the file, to its end; leaving the loop early closes nothing. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const chunk = await this.readSome()
      if (chunk === null) return
      yield chunk
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await dispose(this.close())
  }

  private *writing(fd: number, chunks: Chunks, position: number, abandon: boolean): Coroutine<number> {
    const written = yield* writeAll({ fd, position, waits: this.waits, where: this.where }, chunks, abandon)
    this.written += written
    return written
  }

  /** An operation on the fd, which stays open until it has ended. */
  private using<T>(call: (fd: number) => Op<T> | Coroutine<T>): Op<T> {
    return op(() => this.holding(call))
  }

  private *holding<T>(call: (fd: number) => Op<T> | Coroutine<T>): Coroutine<T> {
    const { closer, handle } = this
    if (closer.closing) throw new ClosedError('the file')
    closer.enter()
    try {
      return yield* call(handle.fd) as Coroutine<T>
    } finally {
      closer.leave()
    }
  }
}

/**
 * Opens a file: open(2). `flags` are as in `node:fs`, `'r'` by default. It is to be closed; as a worker ends, the library
 * does so. Opening a FIFO waits for whoever opens the other end, and delays no other call by that.
 *
 * On cancel a call that has been begun is waited for, or abandoned, and what it has opened is closed. Errors: system
 * errors with `path`, such as `ENOENT`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at
 * once.
 *
 * @example
 * const file = yield* blocking.open('upload.bin', 'wx')
 * const bytes = yield* connection.pipeTo(file)
 */
export function open(path: PathLike, flags: OpenFlags = 'r', options: OpenOptions = {}): Op<File> {
  const mode = modeOf('options.mode', options.mode ?? 0o666)
  return openAs(pathOf('path', path), flagsOf(flags), mode, abandonOf(options, false))
}

/** @internal The same of what has been checked. Without `undo`, a cancelled one that has been begun gives its file. */
export function openAs(path: PathBytes, flags: number, mode: number, abandon: boolean, undo: Undo | null = closeAgain): Op<File> {
  let waits = false
  return opening(
    (mayWait) => {
      waits = mayWait
      return { kind: 'open', path, flags, mode, waits }
    },
    (result, take) => {
      if (result < 0) throw new SystemError(result, 'open', where(path))
      return new File(currentRuntime(), take() as number, path, waits)
    },
    abandon,
    undo
  )
}

function closeAgain(result: number, take: Take): void {
  if (result >= 0) new BackgroundCall(currentRuntime(), { kind: 'close', fd: take() as number }, () => {})
}
