/**
 * The replies to the requests of one chunk, put together in one piece of memory, so that sixteen pipelined requests get
 * their sixteen answers in one write. Strings have one character per byte (see `Request.text`).
 */
export class Replies {
  #bytes = Buffer.allocUnsafeSlow(CAPACITY)
  #length = 0

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#length
  }

  /** Takes them. The bytes are the caller's. */
  take(): Buffer {
    const bytes = this.#bytes
    const length = this.#length
    this.#length = 0
    if (length <= COPIED) {
      const copy = Buffer.allocUnsafe(length)
      bytes.copy(copy, 0, 0, length)
      return copy
    }
    this.#bytes = Buffer.allocUnsafeSlow(CAPACITY)
    return bytes.subarray(0, length)
  }

  ok(): void {
    this.#raw(OK)
  }

  pong(): void {
    this.#raw(PONG)
  }

  nil(): void {
    this.#raw(NIL)
  }

  /** A short text without line ends. */
  simple(text: string): void {
    this.#line(PLUS, text)
  }

  /** `message` begins with a code such as ERR. */
  error(message: string): void {
    this.#line(MINUS, message.replace(/[\r\n]/g, ' '))
  }

  integer(value: number | string): void {
    if (typeof value === 'number' && value >= 0 && value <= 9) this.#digit(COLON, value)
    else this.#line(COLON, String(value))
  }

  bulk(value: string): void {
    if (value.length <= 9) this.#digit(DOLLAR, value.length)
    else this.#line(DOLLAR, String(value.length))
    this.#line(NOTHING, value)
  }

  bulkOrNil(value: string | undefined): void {
    if (value === undefined) this.nil()
    else this.bulk(value)
  }

  /** The next `count` replies are its elements. */
  array(count: number): void {
    this.#line(ASTERISK, String(count))
  }

  #raw(reply: Buffer): void {
    this.#reserve(reply.length)
    const bytes = this.#bytes
    let at = this.#length
    for (let i = 0; i < reply.length; i++) bytes[at++] = reply[i]!
    this.#length = at
  }

  #digit(mark: number, digit: number): void {
    this.#reserve(4)
    const bytes = this.#bytes
    const at = this.#length
    bytes[at] = mark
    bytes[at + 1] = ZERO + digit
    bytes[at + 2] = CR
    bytes[at + 3] = LF
    this.#length = at + 4
  }

  #line(mark: number, text: string): void {
    this.#reserve(text.length + 3)
    const bytes = this.#bytes
    let at = this.#length
    if (mark !== NOTHING) bytes[at++] = mark
    if (text.length <= SHORT) {
      for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
    } else {
      at += bytes.write(text, at, 'latin1')
    }
    bytes[at] = CR
    bytes[at + 1] = LF
    this.#length = at + 2
  }

  #reserve(length: number): void {
    const needed = this.#length + length
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

const CAPACITY = 64 * 1024
/** Up to here a copy is cheaper than new memory for the next replies. */
const COPIED = 4 * 1024
/** Up to here a loop is faster than a call out of JavaScript. */
const SHORT = 24

const OK = Buffer.from('+OK\r\n')
const PONG = Buffer.from('+PONG\r\n')
const NIL = Buffer.from('$-1\r\n')
const NOTHING = 0
const PLUS = 0x2b
const MINUS = 0x2d
const COLON = 0x3a
const DOLLAR = 0x24
const ASTERISK = 0x2a
const ZERO = 0x30
const CR = 0x0d
const LF = 0x0a
