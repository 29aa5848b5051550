/**
 * Keys, values and when they expire. An expired key is gone for whoever asks for it; `sweep` finds those that nobody
 * asks for. Keys and values are strings with one character per byte. Knows nothing of the protocol.
 */
export class Store {
  readonly #values = new Map<string, string>()
  /** Invariant: every key in it is a key of `values`. Times are those of `now`, in milliseconds. */
  readonly #expiries = new Map<string, number>()
  readonly #now: () => number
  /** Where the next sweep goes on. */
  #sweeping: Iterator<[string, number]> | null = null

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** How many keys there are, with those that have expired and were not found yet. */
  get size(): number {
    return this.#values.size
  }

  /** How many of them have an expiry. */
  get expiring(): number {
    return this.#expiries.size
  }

  get(key: string): string | undefined {
    this.#expire(key)
    return this.#values.get(key)
  }

  has(key: string): boolean {
    this.#expire(key)
    return this.#values.has(key)
  }

  /** Expires in `ttl` milliseconds, or never. */
  set(key: string, value: string, ttl = Infinity): void {
    this.#values.set(key, value)
    if (ttl !== Infinity) this.#expiries.set(key, this.#now() + ttl)
    else if (this.#expiries.size > 0) this.#expiries.delete(key)
  }

  /** A new value for the same lifetime. */
  replace(key: string, value: string): void {
    this.#expire(key)
    this.#values.set(key, value)
  }

  delete(key: string): boolean {
    this.#expire(key)
    this.#expiries.delete(key)
    return this.#values.delete(key)
  }

  clear(): void {
    this.#values.clear()
    this.#expiries.clear()
    this.#sweeping = null
  }

  /** False if there is no such key. It is deleted at once if `ttl` is not positive. */
  expire(key: string, ttl: number): boolean {
    if (!this.has(key)) return false
    if (ttl > 0) this.#expiries.set(key, this.#now() + ttl)
    else this.delete(key)
    return true
  }

  /** False if there is no such key, or it had no expiry. */
  persist(key: string): boolean {
    this.#expire(key)
    return this.#expiries.delete(key)
  }

  /** Milliseconds until it expires, Infinity = never, undefined = there is no such key. */
  ttl(key: string): number | undefined {
    if (!this.has(key)) return undefined
    const expiry = this.#expiries.get(key)
    return expiry === undefined ? Infinity : expiry - this.#now()
  }

  /** Looks at `limit` keys that have an expiry, going on where the last sweep stopped. How many had expired? */
  sweep(limit: number): number {
    const now = this.#now()
    let expired = 0
    for (let looked = 0; looked < limit && this.#expiries.size > 0; looked++) {
      this.#sweeping ??= this.#expiries.entries()
      const next = this.#sweeping.next()
      if (next.done === true) {
        this.#sweeping = null
        continue
      }
      const [key, expiry] = next.value
      if (expiry > now) continue
      this.#expiries.delete(key)
      this.#values.delete(key)
      expired += 1
    }
    return expired
  }

  #expire(key: string): void {
    if (this.#expiries.size === 0) return
    const expiry = this.#expiries.get(key)
    if (expiry === undefined || expiry > this.#now()) return
    this.#expiries.delete(key)
    this.#values.delete(key)
  }
}
