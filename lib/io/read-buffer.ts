/**
 * What has come on one stream and has not been read yet. Knows bytes and where they lie; how they come is for
 * `receive.ts`, and who waits for them for `read.ts`.
 *
 * A few bytes lie in the runtime's slab as long as no other stream needs that, and move into a buffer of their size when
 * one does. More than a few lie in a buffer of this stream's own, which doubles while one frame grows and shrinks with
 * what is taken from it: every byte is copied a bounded number of times, however it comes, and what is left over never
 * keeps more than four times its size alive.
 */
import { SLAB_SIZE, type ReadSlab, type Tenant } from './read-slab.js'

/** What is moved into the slab and out of it again at each system call: both copies cost less than the call. */
const FEW = 8 * 1024

const NOTHING = Buffer.alloc(0)

export class ReadBuffer implements Tenant {
  private readonly slab: ReadSlab
  /** The slab's buffer exactly while `inSlab`; otherwise this stream's own, or NOTHING. */
  private store: Buffer = NOTHING
  private inSlab = false
  /** What has come lies at [start, end) of `store`. */
  private start = 0
  private end = 0
  /** `store` up to `end`, so that a search stops there; null until somebody searches. */
  private view: Buffer | null = null
  /** How many of the bytes, counted from `start`, `sought` is known not to begin at. */
  private searched = 0
  private sought: number | Uint8Array | null = null

  constructor(slab: ReadSlab) {
    this.slab = slab
  }

  /** How many bytes have come and have not been taken. */
  get length(): number {
    return this.end - this.start
  }

  /**
   * Makes room for more, and gives the buffer to receive into, at `from` and up to its end; `added` says how much has come.
   * `want` is how many bytes, together with those that are here, anybody could need now: more than there are.
   */
  room(want: number): Buffer {
    const { length } = this
    const left = this.store.length - this.end
    const full = this.inSlab ? left < FEW : left === 0
    if (length <= FEW || (full && this.inSlab && length <= SLAB_SIZE / 2)) this.moveIn()
    else if (full) this.move(Buffer.allocUnsafeSlow(Math.min(want, length * 2)), 0)
    return this.store
  }

  /** What the bytes lie in, from `first` on; until anything is done here or in the slab. */
  get bytes(): Buffer {
    return this.store
  }

  get first(): number {
    return this.start
  }

  get from(): number {
    return this.end
  }

  added(count: number): void {
    this.end += count
    this.view = null
  }

  /** Where `delimiter` begins, counted from the first byte; -1 if it does not. No byte is looked at twice. */
  find(delimiter: number | Uint8Array): number {
    if (this.sought !== delimiter) {
      this.sought = delimiter
      this.searched = 0
    }
    const view = (this.view ??= this.store.subarray(0, this.end))
    const at = view.indexOf(delimiter, this.start + this.searched)
    if (at >= 0) return at - this.start
    const size = typeof delimiter === 'number' ? 1 : delimiter.length
    this.searched = Math.max(0, this.length - size + 1)
    return -1
  }

  /** The byte at `index`, counted from the first. */
  at(index: number): number {
    return this.store[this.start + index] as number
  }

  /** The first `count` bytes, in a buffer of their own. */
  peek(count: number): Buffer {
    const own = Buffer.allocUnsafe(count)
    this.store.copy(own, 0, this.start, this.start + count)
    return own
  }

  /** The same, and they are gone from here. */
  take(count: number): Buffer {
    const { store } = this
    if (count === store.length && this.length === count && !this.inSlab) {
      this.clear()
      return store
    }
    const own = this.peek(count)
    this.skip(count)
    return own
  }

  /** As many as there are and fit. */
  takeInto(into: Uint8Array): number {
    const count = Math.min(into.length, this.length)
    this.store.copy(into, 0, this.start, this.start + count)
    this.skip(count)
    return count
  }

  /** The first `count` bytes as text; they stay. */
  text(count: number, encoding: BufferEncoding): string {
    return this.store.toString(encoding, this.start, this.start + count)
  }

  /** Drops the first `count` bytes. */
  skip(count: number): void {
    this.start += count
    this.sought = null
    // The slab is not ours to free, and what was taken from it last may come back to its place: see `unread`.
    if (this.inSlab) return
    const { length } = this
    if (length === 0) this.clear()
    else if (this.store.length > FEW && this.store.length > length * 4) this.move(Buffer.allocUnsafeSlow(length), 0)
  }

  /** Puts `bytes`, a copy of them, before everything else. */
  unread(bytes: Uint8Array): void {
    const { length } = bytes
    if (length > this.start) {
      // As much room again: many small pieces that are put back one by one are not moved each time.
      const whole = length + this.length
      this.move(Buffer.allocUnsafeSlow(whole * 2), whole + length)
    }
    this.start -= length
    this.store.set(bytes, this.start)
    this.sought = null
    this.view = null
  }

  /** Forgets everything, and holds no memory any more. */
  clear(): void {
    if (this.inSlab) this.slab.leave(this)
    this.inSlab = false
    this.store = NOTHING
    this.start = this.end = 0
    this.sought = this.view = null
  }

  /** Another stream needs the slab. */
  moveOut(): void {
    this.move(this.length === 0 ? NOTHING : Buffer.allocUnsafeSlow(this.length), 0)
  }

  /** To the front of the slab. */
  private moveIn(): void {
    const { store, start, end, inSlab } = this
    const buffer = this.slab.enter(this)
    if (end > start) {
      if (inSlab) buffer.copyWithin(0, start, end)
      else store.copy(buffer, 0, start, end)
    }
    this.store = buffer
    this.inSlab = true
    this.start = 0
    this.end = end - start
    this.view = null
  }

  private move(to: Buffer, at: number): void {
    const { length } = this
    this.store.copy(to, at, this.start, this.end)
    if (this.inSlab) this.slab.leave(this)
    this.inSlab = false
    this.store = to
    this.start = at
    this.end = at + length
    this.view = null
  }
}
