/**
 * Reading what a protocol is made of: so many bytes, up to a delimiter, a line, a look ahead.
 *
 * All of them wait until the stream's `ReadBuffer` holds what they need, and only then take it: a wait that is called
 * off, an end or an error leave there what has come.
 */
import { current } from '../task/ambient.js'
import type { Task } from '../task/task.js'
import { CANCEL, type Op, type Signal } from '../task/types.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'
import { LimitError, UnexpectedEndError } from './errors.js'
import type { ReadBuffer } from './read-buffer.js'
import { checkReader, MAX_READ, receive, Receiving, WOULD_BLOCK, type StreamState } from './receive.js'

/** A stream whose input can be buffered. */
export interface ReadableState extends StreamState {
  /** Made at the first use. */
  readonly received: ReadBuffer
}

/** How far `readUntil` and `readLine` go without a delimiter: a line that is longer is an attack more often than a line. */
const DEFAULT_LIMIT = 64 * 1024

/** What `readLine` makes text of. In all of them a line feed is one byte, and no part of another character. */
export type LineEncoding = 'utf8' | 'latin1' | 'ascii'

/** Options of reads that look for an end. */
export interface LimitOptions {
  /** The most bytes that may come before the delimiter; 64 KiB by default. */
  limit?: number | undefined
}

/** Options of `readLine`. */
export interface ReadLineOptions extends LimitOptions {
  /** `'utf8'` by default; `'latin1'` gives one character for each byte, and `'ascii'` likewise for seven bits of it. */
  encoding?: LineEncoding | undefined
}

const LINE_FEED = 10
const CARRIAGE_RETURN = 13

abstract class Reading<T> extends Receiving<T> {
  declare protected readonly stream: ReadableState
  /** It could go on, but has had its share of the turn. */
  private paused = false

  protected override take(): boolean {
    const { stream } = this
    const input = stream.received
    for (;;) {
      if (this.cut(input)) return true
      if (!this.ready) return false
      const into = input.room(this.want)
      const received = receive(stream, into, input.from, into.length - input.from)
      if (received === WOULD_BLOCK) return false
      if (received === 0) return this.end(input)
      input.added(received)
      // Each further system call counts as an operation: a flood that never completes a frame stops nobody else.
      if ((current as Task).scheduler.spend()) {
        this.paused = !this.cut(input)
        return !this.paused
      }
    }
  }

  /** How many bytes could be needed now. More than there are, or `cut` would have completed. */
  protected abstract readonly want: number

  /** Completes with what is there, if it is enough. */
  protected abstract cut(input: ReadBuffer): boolean

  /** Completes, or throws: nothing more will come. */
  protected abstract end(input: ReadBuffer): boolean

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

/** `readExactly(n)`. */
class ReadExactly extends Reading<Buffer> {
  protected override readonly want: number

  constructor(stream: ReadableState, count: number) {
    super(stream)
    this.want = count
  }

  protected override cut(input: ReadBuffer): boolean {
    return input.length >= this.want && this.complete(input.take(this.want))
  }

  protected override end(input: ReadBuffer): boolean {
    throw new UnexpectedEndError(this.want, input.length)
  }
}

/** `peek(n)`. */
class Peek extends ReadExactly {
  protected override cut(input: ReadBuffer): boolean {
    return input.length >= this.want && this.complete(input.peek(this.want))
  }

  protected override end(input: ReadBuffer): boolean {
    return this.complete(input.peek(input.length))
  }
}

/** `readUntil(delimiter)`. */
class ReadUntil extends Reading<Buffer | null> {
  private readonly delimiter: number | Uint8Array
  private readonly size: number
  private readonly limit: number

  constructor(stream: ReadableState, delimiter: number | Uint8Array, limit: number) {
    super(stream)
    this.delimiter = delimiter
    this.size = sizeOf(delimiter)
    this.limit = limit
  }

  protected override get want(): number {
    return this.limit + this.size
  }

  protected override cut(input: ReadBuffer): boolean {
    const at = input.find(this.delimiter)
    // The same whether it came at once or byte by byte.
    if (at > this.limit || (at < 0 && input.length >= this.want)) throw new LimitError(this.limit)
    return at >= 0 && this.complete(input.take(at + this.size))
  }

  protected override end(input: ReadBuffer): boolean {
    if (input.length > 0) throw new UnexpectedEndError(null, input.length)
    return this.complete(null)
  }
}

/** `readLine()`. */
class ReadLine extends Reading<string | null> {
  private readonly limit: number
  private readonly encoding: LineEncoding

  constructor(stream: ReadableState, limit: number, encoding: LineEncoding) {
    super(stream)
    this.limit = limit
    this.encoding = encoding
  }

  protected override get want(): number {
    return this.limit + 2
  }

  protected override cut(input: ReadBuffer): boolean {
    const at = input.find(LINE_FEED)
    const before = at < 0 ? input.length : at
    // A carriage return at the end is not, or perhaps not, part of the line.
    const length = before > 0 && input.at(before - 1) === CARRIAGE_RETURN ? before - 1 : before
    if (length > this.limit) throw new LimitError(this.limit)
    return at >= 0 && this.line(input, length, at + 1)
  }

  protected override end(input: ReadBuffer): boolean {
    const { length } = input
    if (length === 0) return this.complete(null)
    if (length > this.limit) throw new LimitError(this.limit)
    return this.line(input, length, length)
  }

  private line(input: ReadBuffer, length: number, whole: number): true {
    const text = input.text(length, this.encoding)
    input.skip(whole)
    return this.complete(text)
  }
}

/** `skipUntil(delimiter)`. */
class SkipUntil extends Reading<boolean> {
  private readonly delimiter: number | Uint8Array
  private readonly size: number

  constructor(stream: ReadableState, delimiter: number | Uint8Array) {
    super(stream)
    this.delimiter = delimiter
    this.size = sizeOf(delimiter)
  }

  /** Nothing but the beginning of a delimiter stays. */
  protected override get want(): number {
    return this.size
  }

  protected override cut(input: ReadBuffer): boolean {
    const at = input.find(this.delimiter)
    if (at < 0) input.skip(Math.max(0, input.length - this.size + 1))
    else input.skip(at + this.size)
    return at >= 0 && this.complete(true)
  }

  protected override end(input: ReadBuffer): boolean {
    input.clear()
    return this.complete(false)
  }
}

// The operations, of arguments that are checked now. What they promise is said where users find them.

export function readExactly(stream: ReadableState, n: number): Op<Buffer> {
  checkInteger('n', n, 0, MAX_READ)
  return new ReadExactly(stream, n)
}

export function readUntil(stream: ReadableState, delimiter: string | Uint8Array | number, options?: LimitOptions): Op<Buffer | null> {
  const limit = options?.limit ?? DEFAULT_LIMIT
  checkLimit(limit)
  return new ReadUntil(stream, delimiterOf(delimiter), limit)
}

export function readLine(stream: ReadableState, options?: ReadLineOptions): Op<string | null> {
  const limit = options?.limit ?? DEFAULT_LIMIT
  const encoding = options?.encoding ?? 'utf8'
  checkLimit(limit)
  checkEncoding(encoding)
  return new ReadLine(stream, limit, encoding)
}

export function skipUntil(stream: ReadableState, delimiter: string | Uint8Array | number): Op<boolean> {
  return new SkipUntil(stream, delimiterOf(delimiter))
}

export function peek(stream: ReadableState, n: number): Op<Buffer> {
  checkInteger('n', n, 0, MAX_READ)
  return new Peek(stream, n)
}

export function unread(stream: ReadableState, bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array)) throw invalidType('bytes', 'a Uint8Array', bytes)
  checkReader(stream, null)
  if (bytes.length > 0) stream.received.unread(bytes)
}

function sizeOf(delimiter: number | Uint8Array): number {
  return typeof delimiter === 'number' ? 1 : delimiter.length
}

/** The last text that was a delimiter, and its bytes: it is nearly always the same one. */
let lastText = ''
let lastBytes: Uint8Array = Buffer.alloc(0)

/** A delimiter as what is searched for: a byte, or bytes that nobody changes. */
function delimiterOf(value: string | Uint8Array | number): number | Uint8Array {
  if (typeof value === 'number') {
    checkInteger('delimiter', value, 0, 255)
    return value
  }
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw invalidType('delimiter', 'a string, a Uint8Array or a number', value)
  }
  if (value.length === 0) throw invalidValue('delimiter', 'must not be empty', value)
  if (typeof value !== 'string') return value.length === 1 ? (value[0] as number) : Buffer.from(value)
  if (value !== lastText) {
    lastText = value
    lastBytes = Buffer.from(value)
  }
  return lastBytes.length === 1 ? (lastBytes[0] as number) : lastBytes
}

function checkLimit(limit: unknown): asserts limit is number {
  if (limit !== Infinity) checkInteger('options.limit', limit, 1, Number.MAX_SAFE_INTEGER)
}

function checkEncoding(encoding: unknown): asserts encoding is LineEncoding {
  if (typeof encoding !== 'string') throw invalidType('options.encoding', 'of type string', encoding)
  if (encoding === 'utf8' || encoding === 'latin1' || encoding === 'ascii') return
  throw invalidValue('options.encoding', "must be 'utf8', 'latin1' or 'ascii'", encoding)
}
