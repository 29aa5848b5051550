/**
 * Any file descriptor, whoever made it: waiting for it, and system calls on it that never block the thread. Its flags are
 * never changed. What it stands for, and what its bytes mean, is for its user to know.
 */
import { EAGAIN, EINTR, SystemError } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { PRIORITY, READABLE, WRITABLE } from '../kernel/layout.js'
import type { JobReader } from '../jobs/job-reader.js'
import { Chunks, writeAll } from '../jobs/transfer.js'
import { currentRuntime } from '../runtime/current.js'
import { Cancelled } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import { op } from '../task/op.js'
import type { Coroutine, Op, Signal } from '../task/types.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'
import { chunksOf } from './chunks.js'
import { CloseAtOnce } from './close-at-once.js'
import { BusyError } from './errors.js'
import { ReadSlab } from './read-slab.js'
import { Watch, type Watcher } from './watch.js'
import type { CutOff } from './write.js'

/** Options of `fd`. */
export interface FdOptions {
  /**
   * Whether it is the library's to close, at the latest when the worker ends that it was given in. By default it is
   * borrowed: `close` only forgets it. Not for what `node:fs` has opened in a worker: Node closes that itself at the end.
   */
  own?: boolean | undefined
}

const MAX_READ = 0x7fff_f000

/** A write that is never refused has had its share after so many system calls: the rest comes with the next turn. */
const CALLS_AT_ONCE = 16

/** One wait on a watch. */
abstract class Waiting<T> extends Leaf<T> implements Watcher {
  abstract readonly interest: number
  protected readonly watch: Watch
  /** An event has come. */
  protected reported = false
  private failure: Error | null = null

  constructor(watch: Watch) {
    super()
    this.watch = watch
  }

  report(error: Error | null): void {
    this.reported = true
    this.failure = error
    this.wake()
  }

  protected override attempt(): boolean {
    if (this.failure !== null) throw this.failure
    this.check()
    return this.take()
  }

  protected check(): void {
    this.watch.check()
  }

  protected abstract take(): boolean

  protected override arm(): void {
    this.reported = false
    this.watch.await(this)
  }

  override disarm(): void {
    this.watch.leave(this)
  }
}

/** `readable()`, `writable()`, `priority()`. */
class Ready extends Waiting<void> {
  readonly interest: number

  constructor(watch: Watch, interest: number) {
    super(watch)
    this.interest = interest
  }

  /** Completes once it has been reported, also if others have used it up since: what is ready is for all who waited. */
  protected override take(): boolean {
    return (this.reported || this.watch.poll(this.interest) !== 0) && this.complete(undefined)
  }
}

/** Who reads and who writes: one each. */
interface Users {
  reader: Leaf<unknown> | null
  writer: object | null
}

abstract class Reading<T> extends Waiting<T> {
  readonly interest = READABLE
  /** What reads in the kernel's place. */
  private jobs: JobReader | null = null
  private readonly users: Users

  constructor(watch: Watch, users: Users) {
    super(watch)
    this.users = users
  }

  protected override attempt(): boolean {
    if (this.users.reader === this) this.users.reader = null
    return super.attempt()
  }

  protected override take(): boolean {
    if (this.users.reader !== null) throw new BusyError('reading from this descriptor')
    return this.read()
  }

  protected abstract read(): boolean

  protected override check(): void {
    this.jobs = this.watch.checkTransfer()
  }

  /** One system call, or a job's: bytes read, 0 = the end, null = not now. */
  protected readInto(into: Uint8Array, length: number): number | null {
    const { jobs, watch } = this
    return read(jobs ?? watch.runtime.kernel, watch.fd, into, length)
  }

  protected override arm(): void {
    if (this.jobs === null) {
      super.arm()
    } else {
      this.reported = false
      this.watch.awaitJob(this)
    }
    this.users.reader = this
  }

  override disarm(): void {
    this.users.reader = null
    super.disarm()
  }
}

/** `read(into)`. */
class Read extends Reading<number> {
  private readonly into: Uint8Array

  constructor(watch: Watch, users: Users, into: Uint8Array) {
    super(watch, users)
    this.into = into
  }

  protected override read(): boolean {
    const { into } = this
    const count = this.readInto(into, into.length)
    return count !== null && this.complete(count)
  }
}

/** `readSome(max)`. */
class ReadSome extends Reading<Buffer | null> {
  private readonly max: number

  constructor(watch: Watch, users: Users, max: number) {
    super(watch, users)
    this.max = max
  }

  protected override read(): boolean {
    const slab = ReadSlab.of(this.watch.runtime)
    const into = slab.enter(null)
    const count = this.readInto(into, Math.min(this.max, into.length))
    return count !== null && this.complete(count === 0 ? null : slab.take(count))
  }
}

/** `write(data)`. */
class Write extends Waiting<void> {
  readonly interest = WRITABLE
  private readonly users: Users
  private readonly bytes: Uint8Array
  private taken = 0

  constructor(watch: Watch, users: Users, bytes: Uint8Array) {
    super(watch)
    this.users = users
    this.bytes = bytes
  }

  protected override attempt(): boolean {
    if (this.users.writer === this) this.users.writer = null
    return super.attempt()
  }

  protected override take(): boolean {
    const { bytes } = this
    if (this.users.writer !== null) throw new BusyError('writing to this descriptor')
    for (let calls = 0; this.taken < bytes.length; calls++) {
      const count = calls < CALLS_AT_ONCE ? write(this.watch, bytes, this.taken) : null
      if (count === null) return false
      this.taken += count
    }
    return this.complete(undefined)
  }

  protected override arm(): void {
    super.arm()
    this.users.writer = this
  }

  override disarm(): void {
    this.users.writer = null
    super.disarm()
  }

  override next(signal?: Signal): this {
    try {
      return super.next(signal)
    } catch (error) {
      if (this.taken > 0 && (error instanceof Cancelled || error instanceof SystemError)) {
        Object.assign(error, { bytesWritten: this.taken } satisfies CutOff)
      }
      throw error
    }
  }
}

/** A file descriptor of whatever kind, to be waited for, read from and written to; `fd` makes one. */
export class Descriptor {
  private readonly watch: Watch
  private readonly users: Users = { reader: null, writer: null }

  /** @internal Use `fd`. */
  constructor(watch: Watch) {
    this.watch = watch
  }

  /** The file descriptor, -1 once this is closed. */
  get fd(): number {
    return this.watch.fd
  }

  /** Whether `close` has been called, or somebody else has been seen to have closed the fd. */
  get closed(): boolean {
    return this.watch.fd < 0
  }

  /**
   * Waits until reading would give something: data, the end, or an error. Any number of tasks may wait, and one event
   * wakes all of them; whoever reads then may find that another was quicker. On cancel nothing has happened.
   *
   * Errors: `ClosedError`; `FdInUseError`; `NotPollableError` for what is always ready (a regular file, a directory,
   * /dev/null), of which the first and the last can be read and written all the same; system errors such as `EBADF`. An fd that is closed by somebody else while this waits is not reported by
   * the system: this goes on waiting until it is cancelled, or fails with `EBADF` when the library meets the number again.
   *
   * @example
   * const timer = fd(7)
   * yield* timer.readable()
   */
  readable(): Op<void> {
    return new Ready(this.watch, READABLE)
  }

  /** Waits until something can be written, or writing would fail at once. Otherwise as `readable`. */
  writable(): Op<void> {
    return new Ready(this.watch, WRITABLE)
  }

  /**
   * Waits for what is exceptional: out-of-band data of a TCP socket, a state change of the other side of a
   * pseudo-terminal, a threshold of a PSI or sysfs file; or for the end, or an error. Otherwise as
   * `readable`; on FreeBSD, which cannot wait for that, `EOPNOTSUPP`.
   */
  priority(): Op<void> {
    return new Ready(this.watch, PRIORITY)
  }

  /**
   * Reads as read(2) does, waiting while there is nothing: one datagram, one counter, one batch of events, or the bytes
   * that are there. Gives the number of bytes; 0 is the end. On cancel nothing has been read.
   *
   * The thread is not blocked, although the description may be a blocking one, as standard input is. Where the system
   * has no call for that (Linux: FIFOs, terminals, inotify, other devices), the fd is polled first. If another process
   * reads from the same FIFO or terminal, and takes in between what poll had seen, the thread waits for what comes next.
   *
   * Errors: as for `readable`, `BusyError` (another task reads from this object), and what the system says, such as `EIO`
   * of a pseudo-terminal whose other end is closed; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for an empty `into`.
   *
   * @example
   * const counter = Buffer.alloc(8)
   * yield* fd(9).read(counter)
   * total += Number(counter.readBigUInt64LE())
   */
  read(into: Uint8Array): Op<number> {
    checkBuffer(into)
    return new Read(this.watch, this.users, into)
  }

  /** Reads at most `max` bytes (up to 64 KiB at a time) into a buffer of its own; null is the end. As `read` otherwise. */
  readSome(max = MAX_READ): Op<Buffer | null> {
    checkInteger('max', max, 1, MAX_READ)
    return new ReadSome(this.watch, this.users, max)
  }

  /**
   * One system call now: bytes read, 0 = the end, null = it would block. Errors as for `read`, and `NotPollableError` for
   * what only a thread can read without blocking this one.
   */
  tryRead(into: Uint8Array): number | null {
    checkBuffer(into)
    this.watch.check()
    if (this.users.reader !== null) throw new BusyError('reading from this descriptor')
    return read(this.watch.runtime.kernel, this.watch.fd, into, into.length)
  }

  /**
   * Writes all of `data`, a string as UTF-8, with as many calls of write(2) as it takes, and completes when the system
   * has everything. Nothing is copied or gathered: leave `data` alone meanwhile. Where one call is one message, as with
   * a datagram or an eventfd, give it one message.
   *
   * On cancel, and on a system error, `bytesWritten` of the error says how much has gone, if any has. The thread is not
   * blocked, as for `read`: unless, with a FIFO or terminal, another process has filled in between what poll had seen.
   * Errors: as for `writable`; `BusyError` (another task writes to this object); what the system says, such as `EPIPE`,
   * never a SIGPIPE; `ERR_INVALID_ARG_TYPE`. What no kernel can watch is written by a thread of the pool: on cancel a call
   * that has been begun is waited for.
   *
   * @example
   * const output = fd(1)
   * yield* output.write('hello\n')
   */
  write(data: string | Uint8Array): Op<void> {
    const { watch, users } = this
    const bytes = bytesOf(data)
    if (watch.isPollable) return new Write(watch, users, bytes)
    return op(() => this.writeSomehow(bytes))
  }

  /** It is not known yet whether the kernel watches it; or it does not. */
  private *writeSomehow(bytes: Uint8Array): Coroutine<void> {
    const { watch, users } = this
    if (watch.checkTransfer() === null) return yield* new Write(watch, users, bytes)
    if (users.writer !== null) throw new BusyError('writing to this descriptor')
    const writer = (users.writer = {})
    try {
      if (bytes.length > 0) yield* writeAll({ fd: watch.fd, position: -1, waits: watch.waits }, new Chunks([bytes]), false)
    } finally {
      if (users.writer === writer) users.writer = null
    }
  }

  /** One system call now: bytes taken, null = it would block. Errors as for `write`, and `NotPollableError`. */
  tryWrite(data: string | Uint8Array): number | null {
    const bytes = bytesOf(data)
    this.watch.check()
    if (this.users.writer !== null) throw new BusyError('writing to this descriptor')
    return write(this.watch, bytes, 0)
  }

  /**
   * Ends the use of the fd: one that is owned is closed, a borrowed one stays open and as it was. Whoever waits gets
   * `ClosedError`. Idempotent. It happens in a cancelled scope, too.
   */
  close(): Op<void> {
    return new CloseAtOnce(this.watch)
  }

  /** The chunks that come, until the end; leaving the loop early closes nothing. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    return chunksOf(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.close()
  }
}

/**
 * Wraps a file descriptor that something else has made: a pipe or FIFO, a terminal, an eventfd, timerfd, signalfd, pidfd
 * or inotify, a device, a socket. Its O_NONBLOCK is never changed: it belongs to the description, which other processes
 * may share. Nothing happens to a borrowed one but while somebody waits for it.
 *
 * Wrap an fd once. While it is wrapped do not close it, nor hand it to something that does: close this first.
 *
 * Errors, thrown at once: `EBADF`; `FdInUseError`, if it is to be owned and is a connection's or another `fd()`'s already
 * (for a borrowed one that shows when it is used); `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * const input = fd(0)
 * for (let chunk; (chunk = yield* input.readSome()) !== null; ) total += chunk.length
 */
export function fd(n: number, { own = false }: FdOptions = {}): Descriptor {
  checkInteger('fd', n, 0, 0x7fff_ffff)
  const runtime = currentRuntime()
  const watch = new Watch(runtime, n, own)
  if (own) watch.take()
  else watch.poll(0)
  return new Descriptor(watch)
}

/** What makes the call: a kernel, or jobs that answer like one. */
type Reader = { read: Kernel['read'] } | { receive: Kernel['read'] }

function read(reader: Reader, n: number, into: Uint8Array, length: number): number | null {
  const once = (): number => ('read' in reader ? reader.read(n, into, 0, length) : reader.receive(n, into, 0, length))
  let count = once()
  while (count === EINTR) count = once()
  if (count === EAGAIN) return null
  if (count < 0) throw new SystemError(count, 'read')
  return count
}

function write({ runtime, fd: n }: Watch, bytes: Uint8Array, from: number): number | null {
  let count = runtime.kernel.write(n, bytes, from, bytes.length - from)
  while (count === EINTR) count = runtime.kernel.write(n, bytes, from, bytes.length - from)
  if (count === EAGAIN) return null
  if (count < 0) throw new SystemError(count, 'write')
  return count
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if (!(data instanceof Uint8Array)) throw invalidType('data', 'a string or a Uint8Array', data)
  return data
}

function checkBuffer(into: Uint8Array): void {
  if (!(into instanceof Uint8Array)) throw invalidType('into', 'a Uint8Array', into)
  if (into.length === 0) throw invalidValue('into', 'must not be empty', into)
}
