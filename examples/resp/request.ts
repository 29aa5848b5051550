/**
 * One request: where its arguments lie in the bytes that arrived, so that reading one makes no garbage.
 *
 * A parser fills the same object again and again: what it says is valid until the parser is asked for the next one.
 */
export class Request {
  bytes: Buffer = EMPTY
  count = 0
  /** Invariant: argument `i < count` is bytes[starts[i], ends[i]). */
  readonly starts: number[] = []
  readonly ends: number[] = []

  clear(): void {
    this.count = 0
    if (this.starts.length > KEPT_ARGUMENTS) this.starts.length = this.ends.length = KEPT_ARGUMENTS
  }

  add(start: number, end: number): void {
    this.starts[this.count] = start
    this.ends[this.count] = end
    this.count += 1
  }

  /** The first `distance` bytes have been dropped. */
  move(distance: number): void {
    for (let i = 0; i < this.count; i++) {
      this.starts[i]! -= distance
      this.ends[i]! -= distance
    }
  }

  /** A string with one character per byte: safe for any bytes, and the most compact thing that V8 can keep. */
  text(i: number): string {
    return this.bytes.toString('latin1', this.starts[i], this.ends[i])
  }

  /** Whether the argument is `word` (upper case letters), in any case. */
  is(i: number, word: string): boolean {
    return sameWord(this.bytes, this.starts[i]!, this.ends[i]!, word)
  }
}

const EMPTY = Buffer.alloc(0)
/** A request of a million arguments shall not cost memory for ever. */
const KEPT_ARGUMENTS = 1024
const CASE_BIT = 0x20

/** Whether bytes[start, end) spell `word` (upper case letters and punctuation), in any case. */
export function sameWord(bytes: Buffer, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) {
    const byte = bytes[start + i]!
    const wanted = word.charCodeAt(i)
    if (byte !== wanted && !(byte - CASE_BIT === wanted && wanted >= A && wanted <= Z)) return false
  }
  return true
}

const A = 0x41
const Z = 0x5a
