/**
 * A queue in an array that grows and shrinks: adding and taking at either end in constant time, however long it is, and
 * whoever was long once does not keep the memory for ever.
 */
const SMALLEST = 8

export class Ring<T> {
  /** Invariant: the capacity is a power of two; the items are at `head` and after it, around the end. */
  private items: (T | undefined)[] = []
  private head = 0
  private count = 0

  get size(): number {
    return this.count
  }

  /** Places for items: at most 4 times as many as there are items, beyond the smallest. */
  get capacity(): number {
    return this.items.length
  }

  push(item: T): void {
    if (this.count === this.items.length) this.resize(Math.max(this.count * 2, SMALLEST))
    this.items[(this.head + this.count++) & (this.items.length - 1)] = item
  }

  /** Puts it before those from `position` on, counted from the head: for small numbers. */
  insert(position: number, item: T): void {
    if (this.count === this.items.length) this.resize(Math.max(this.count * 2, SMALLEST))
    const { items } = this
    const mask = items.length - 1
    this.head = (this.head - 1) & mask
    this.count++
    for (let i = 0; i < position; i++) items[(this.head + i) & mask] = items[(this.head + i + 1) & mask]
    items[(this.head + position) & mask] = item
  }

  /** Takes the first. There must be one. */
  shift(): T {
    const item = this.items[this.head] as T
    this.items[this.head] = undefined
    this.head = (this.head + 1) & (this.items.length - 1)
    this.count--
    // To a half at a quarter, so that it takes as many operations again before it changes again.
    if (this.count * 4 <= this.items.length && this.items.length > SMALLEST) this.resize(this.items.length / 2)
    return item
  }

  private resize(capacity: number): void {
    const { items, head, count } = this
    const resized = new Array<T | undefined>(capacity).fill(undefined)
    for (let i = 0; i < count; i++) resized[i] = items[(head + i) & (items.length - 1)]
    this.items = resized
    this.head = 0
  }
}
