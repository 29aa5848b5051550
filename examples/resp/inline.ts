/** Splits an inline command into words, with the quotes and escapes of redis: `set key "two words\x21\r\n"`. */
import type { Request } from './request.js'

/** Adds the words of bytes[start, end) to an empty request. False if a quote is not closed, or no blank follows it. */
export function splitLine(bytes: Buffer, start: number, end: number, request: Request): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] === QUOTE || bytes[at] === APOSTROPHE) return splitQuoted(bytes, start, end, request)
  }
  request.bytes = bytes
  for (let at = start; at < end; at++) {
    if (isBlank(bytes[at]!)) continue
    const first = at
    while (at < end && !isBlank(bytes[at]!)) at += 1
    request.add(first, at)
  }
  return true
}

/** The slow way: words whose bytes are not all those of the line are put together in memory of their own. */
function splitQuoted(line: Buffer, start: number, end: number, request: Request): boolean {
  const words = Buffer.allocUnsafe(end - start)
  request.bytes = words
  let length = 0
  let at = start
  for (;;) {
    while (at < end && isBlank(line[at]!)) at += 1
    if (at >= end) return true
    const first = length
    let quote = 0
    for (; at < end; at++) {
      let byte = line[at]!
      if (quote === 0) {
        if (isBlank(byte)) break
        if (byte === QUOTE || byte === APOSTROPHE) {
          quote = byte
          continue
        }
      } else if (byte === quote) {
        if (at + 1 < end && !isBlank(line[at + 1]!)) return false
        quote = 0
        continue
      } else if (byte === BACKSLASH && at + 1 < end) {
        if (quote === QUOTE) {
          const hex = line.toString('latin1', at + 1, Math.min(at + 4, end))
          if (HEX_BYTE.test(hex)) {
            byte = parseInt(hex.slice(1), 16)
            at += 3
          } else {
            at += 1
            byte = ESCAPES.get(line[at]!) ?? line[at]!
          }
        } else if (line[at + 1] === APOSTROPHE) {
          at += 1
          byte = APOSTROPHE
        }
      }
      words[length] = byte
      length += 1
    }
    if (quote !== 0) return false
    request.add(first, length)
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte === 0
}

const QUOTE = 0x22
const APOSTROPHE = 0x27
const BACKSLASH = 0x5c
const HEX_BYTE = /^x[0-9a-fA-F]{2}$/
const ESCAPES = new Map([...'nrtba'].map((letter, i) => [letter.charCodeAt(0), '\n\r\t\b\x07'.charCodeAt(i)]))
