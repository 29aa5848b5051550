/** A queue in an array that grows: adding and taking at either end in constant time, however long it is. */
const INITIAL_CAPACITY = 8

export class Ring<T> {
  /** Invariant: the capacity is a power of two; the items are at `head` and after it, around the end. */
  private items: (T | undefined)[] = []
  private head = 0
  private count = 0

  get size(): number {
    return this.count
  }

  push(item: T): void {
    if (this.count === this.items.length) this.grow()
    this.items[(this.head + this.count++) & (this.items.length - 1)] = item
  }

  /** Puts it before all others. */
  unshift(item: T): void {
    if (this.count === this.items.length) this.grow()
    this.head = (this.head - 1) & (this.items.length - 1)
    this.items[this.head] = item
    this.count++
  }

  /** Takes the first. There must be one. */
  shift(): T {
    const item = this.items[this.head] as T
    this.items[this.head] = undefined
    this.head = (this.head + 1) & (this.items.length - 1)
    // Whoever was long once does not keep the memory for ever.
    if (--this.count === 0) {
      this.items = []
      this.head = 0
    }
    return item
  }

  private grow(): void {
    const { items, head, count } = this
    const grown = new Array<T | undefined>(Math.max(count * 2, INITIAL_CAPACITY)).fill(undefined)
    for (let i = 0; i < count; i++) grown[i] = items[(head + i) & (items.length - 1)]
    this.items = grown
    this.head = 0
  }
}
