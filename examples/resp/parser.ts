/**
 * Finds requests in a stream of bytes: RESP arrays and inline commands, as redis reads them, cut anywhere.
 *
 * Knows nothing of sockets and commands. Bytes are parsed where they were received; only what a chunk leaves unfinished
 * is copied, and an argument that has arrived is not looked at again, however slowly the others trickle in.
 */
import { splitLine } from './inline.js'
import { Request } from './request.js'

/** The peer does not speak the protocol. The message is redis's own; nothing after it can be understood. */
export class ProtocolError extends Error {}

export interface Limits {
  /** Bytes of one argument. Redis allows 512 MB; V8 has no string of that length. */
  bulkBytes: number
  /** Bytes of one request: what a client can make the server keep before it executes anything. */
  requestBytes: number
  arguments: number
  /** Bytes of an inline command. */
  inlineBytes: number
}

export const LIMITS: Limits = {
  bulkBytes: 64 * 1024 * 1024,
  requestBytes: 128 * 1024 * 1024,
  arguments: 1024 * 1024,
  inlineBytes: 64 * 1024
}

export class RequestParser {
  readonly #limits: Limits
  /** Invariant: bytes[at, end) is what has arrived and was not consumed. */
  #bytes: Buffer = EMPTY
  #at = 0
  #end = 0
  /** Whether `bytes` is a chunk of the caller, who wants it back; otherwise it is ours and may be appended to. */
  #borrowed = false
  /** Of the array that is being read; 0 between two requests. */
  #argumentsLeft = 0
  /** Length of the argument whose bytes come next; NOT_YET = its header comes first. */
  #bulkLength = NOT_YET
  /** Where the array that is being read began, and what of it has been read. Valid while argumentsLeft > 0. */
  #start = 0
  #request: Request | null = null

  constructor(limits: Limits = LIMITS) {
    this.#limits = limits
  }

  /** Takes the first `length` bytes of `chunk`. They stay the caller's: `release` them before they change. */
  push(chunk: Buffer, length: number): void {
    if (this.#kept() === 0) {
      this.#bytes = chunk
      this.#at = 0
      this.#end = length
      this.#borrowed = true
      return
    }
    this.release()
    this.#reserve(length)
    chunk.copy(this.#bytes, this.#end, 0, length)
    this.#end += length
  }

  /** The next whole request, or null if it has not arrived. Throws ProtocolError. */
  next(): Request | null {
    for (;;) {
      if (this.#argumentsLeft > 0) return this.#array()
      if (this.#at === this.#end) return null
      if (this.#bytes[this.#at] === ASTERISK) {
        if (!this.#arrayHeader()) return null
      } else {
        const request = this.#inline()
        if (request === null || request.count > 0) return request
      }
    }
  }

  /** Gives the pushed chunk back: what was not consumed is copied. */
  release(): void {
    if (this.#argumentsLeft === 0) this.#request = null
    // A request that is cut keeps its object; the others take a new one.
    else if (this.#request === spare) spare = new Request()
    const kept = this.#kept()
    const start = this.#end - kept
    if (kept > 0 && start === 0 && !this.#borrowed) return
    // An idle connection keeps no memory.
    const own = kept > 0 ? Buffer.allocUnsafeSlow(Math.max(SMALLEST, kept)) : EMPTY
    this.#bytes.copy(own, 0, start, this.#end)
    this.#bytes = own
    this.#at -= start
    this.#end = kept
    this.#borrowed = false
    this.#start = 0
    this.#request?.move(start)
  }

  /** Bytes that are still needed: those of the array that is being read, and what follows. */
  #kept(): number {
    return this.#end - (this.#argumentsLeft > 0 ? this.#start : this.#at)
  }

  #reserve(length: number): void {
    const needed = this.#end + length
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }

  /** `*<count>\r\n`. False while it has not arrived. */
  #arrayHeader(): boolean {
    const start = this.#at
    const count = this.#number(this.#limits.arguments, 'invalid multibulk length')
    if (count === NOT_YET) return false
    // An array of nothing is no request, and redis does not answer it.
    if (count <= 0) return true
    this.#argumentsLeft = count
    this.#start = start
    this.#request = spare
    this.#request.clear()
    return true
  }

  /** The arguments that have arrived; the request, once they all have. */
  #array(): Request | null {
    const request = this.#request!
    while (this.#argumentsLeft > 0) {
      if (this.#bulkLength === NOT_YET && !this.#bulkHeader()) return null
      const end = this.#at + this.#bulkLength
      // A line end follows the argument. Like redis, we count its bytes and do not look at them.
      if (end + 2 > this.#end) return null
      request.add(this.#at, end)
      this.#at = end + 2
      this.#bulkLength = NOT_YET
      this.#argumentsLeft -= 1
    }
    request.bytes = this.#bytes
    return request
  }

  /** `$<length>\r\n`. False while it has not arrived. */
  #bulkHeader(): boolean {
    if (this.#at === this.#end) return false
    const mark = this.#bytes[this.#at]!
    if (mark !== DOLLAR) throw new ProtocolError(`expected '$', got '${String.fromCharCode(mark)}'`)
    const length = this.#number(this.#limits.bulkBytes, 'invalid bulk length')
    if (length === NOT_YET) return false
    if (length === NEGATIVE) throw new ProtocolError('invalid bulk length')
    if (this.#at + length - this.#start > this.#limits.requestBytes) throw new ProtocolError('too big request')
    this.#bulkLength = length
    return true
  }

  /** The number of a header line (a mark, digits, a line end); NOT_YET while it has not arrived. */
  #number(limit: number, complaint: string): number {
    const bytes = this.#bytes
    const end = this.#end
    let at = this.#at + 1
    const negative = at < end && bytes[at] === MINUS
    if (negative) at += 1
    const first = at
    let value = 0
    for (; at < end && bytes[at] !== CR; at++) {
      const digit = bytes[at]! - ZERO
      value = value * 10 + digit
      // Strict as redis is: digits only, no leading zero, not beyond the limit.
      if (digit < 0 || digit > 9 || value > limit || (at > first && bytes[first] === ZERO)) {
        throw new ProtocolError(complaint)
      }
    }
    if (at + 1 >= end) return NOT_YET
    if (at === first || (negative && value === 0)) throw new ProtocolError(complaint)
    this.#at = at + 2
    return negative ? NEGATIVE : value
  }

  /** Words up to a line end, for people with a terminal. A request without arguments if the line is blank. */
  #inline(): Request | null {
    const start = this.#at
    const newline = this.#bytes.indexOf(LF, start)
    if (newline < 0 || newline >= this.#end) {
      if (this.#end - start > this.#limits.inlineBytes) throw new ProtocolError('too big inline request')
      return null
    }
    this.#at = newline + 1
    spare.clear()
    if (!splitLine(this.#bytes, start, newline, spare)) throw new ProtocolError('unbalanced quotes in request')
    return spare
  }
}

/** The request object of every parser that is not in the middle of an array: there is one thread. */
let spare = new Request()

const EMPTY = Buffer.alloc(0)
/** Requests that are cut are rare, and most of them are short. */
const SMALLEST = 256
const NOT_YET = -1
const NEGATIVE = -2
const ASTERISK = 0x2a
const DOLLAR = 0x24
const MINUS = 0x2d
const ZERO = 0x30
const CR = 0x0d
const LF = 0x0a
