/**
 * Deadlines in the order in which they fall due. Knows times and entries; knows nothing of tasks, scopes or clocks.
 *
 * Most timeouts of a server have one of a few durations, and so are added in the order in which they fall due. Deadlines
 * are therefore kept in chains that ascend, a new one is appended to an open chain where it can be, and a heap orders the
 * chains by their first deadlines. Of one duration there is one chain, and no operation searches anything; of random
 * durations there are many short ones, and it is a heap like any other.
 */

/**
 * Something that falls due. Adding it allocates nothing, removing it searches nothing. When it does is kept in the
 * structure: a number with a fraction is an object of its own in a field, and a million of them are a third of the cost.
 */
export interface Deadline {
  /** Invariant: its place in the structure, above 0; -1 after it has fired or was removed. */
  index: number
  fire(): void
}

/** Children of a node in the heap: 4 make it half as deep as 2, and they are neighbours in memory. */
const ARITY = 4

/** Chains that are open for appending: as many durations can be in use at a time before chains become shorter. */
const OPEN = 4

/** Places to begin with; beyond them, an empty structure gives its memory back. */
const FEW = 256

/** The place that no deadline has: the end of a chain, an open chain that is none, the end of the free places. */
const NONE = 0

export class Deadlines {
  private count = 0

  /** Invariant: `entries[i].index === i`; undefined at a free place and at NONE. */
  private entries: (Deadline | undefined)[] = [undefined]
  /**
   * Two numbers for each place: what precedes it in its chain, and what follows. The first of a chain has `~position` of
   * the chain in the heap for the former, the last has NONE for the latter. At a free place: the next free one.
   */
  private links = new Int32Array(2 * FEW)
  private free = NONE
  /** When the deadline at each place falls due, in milliseconds of the kernel's clock. */
  private times = new Float64Array(FEW)

  /** Invariant: `firsts` and `keys` up to `chains` are a heap by `keys[i] === times[firsts[i]]`. */
  private chains = 0
  private firsts = new Int32Array(FEW)
  private keys = new Float64Array(FEW)

  /** Invariant: the last places of open chains, or NONE; `lastKeys[i] === times[lasts[i]]`, or Infinity. */
  private readonly lasts = new Int32Array(OPEN)
  private readonly lastKeys = new Float64Array(OPEN).fill(Infinity)

  get size(): number {
    return this.count
  }

  /** When the earliest falls due; Infinity when there is none. */
  get next(): number {
    return this.chains === 0 ? Infinity : (this.keys[0] as number)
  }

  /** It must not be in already. */
  add(deadline: Deadline, when: number): void {
    const place = this.takePlace(deadline)
    this.times[place] = when
    const { links, lasts, lastKeys } = this
    // The chain that it fits best is the one whose last deadline is the latest that is not later.
    let best = -1
    let bestKey = -Infinity
    let latest = 0
    for (let i = 0; i < OPEN; i++) {
      const key = lastKeys[i] as number
      if (key <= when && key >= bestKey && lasts[i] !== NONE) {
        best = i
        bestKey = key
      }
      if (key > (lastKeys[latest] as number)) latest = i
    }
    links[2 * place + 1] = NONE
    if (best >= 0) {
      const last = lasts[best] as number
      links[2 * place] = last
      links[2 * last + 1] = place
    } else {
      // The chain whose last is the latest is the least likely to be appended to.
      best = latest
      this.addChain(place, when)
    }
    lasts[best] = place
    lastKeys[best] = when
  }

  /** Takes one out; one that is not in has fired or was never added, and is left alone. */
  remove(deadline: Deadline): void {
    const place = deadline.index
    if (place < 0) return
    const { links } = this
    const before = links[2 * place] as number
    const after = links[2 * place + 1] as number
    if (after === NONE) this.shortenOpen(place, before)
    else links[2 * after] = before
    if (before > NONE) links[2 * before + 1] = after
    else if (after === NONE) this.removeChain(~before)
    else this.sink(after, this.times[after] as number, ~before)
    deadline.index = -1
    this.freePlace(place)
  }

  /** Fires every deadline that has fallen due at `now`, the earliest first. */
  expire(now: number): void {
    while (this.chains > 0 && (this.keys[0] as number) <= now) {
      const first = this.entries[this.firsts[0] as number] as Deadline
      this.remove(first)
      first.fire()
    }
  }

  private takePlace(deadline: Deadline): number {
    this.count++
    const { entries, links, free } = this
    if (free !== NONE) {
      this.free = links[2 * free] as number
      entries[free] = deadline
      deadline.index = free
      return free
    }
    const place = entries.length
    if (2 * place === links.length) {
      this.links = new Int32Array(4 * place)
      this.links.set(links)
      const { times } = this
      this.times = new Float64Array(2 * place)
      this.times.set(times)
    }
    entries.push(deadline)
    deadline.index = place
    return place
  }

  private freePlace(place: number): void {
    this.count--
    this.entries[place] = undefined
    this.links[2 * place] = this.free
    this.free = place
    if (this.count === 0 && this.entries.length > FEW) this.giveBack()
  }

  private giveBack(): void {
    this.entries = [undefined]
    this.links = new Int32Array(2 * FEW)
    this.times = new Float64Array(FEW)
    this.free = NONE
    this.firsts = new Int32Array(FEW)
    this.keys = new Float64Array(FEW)
  }

  /** The last of a chain is being removed: `before` becomes the last, if the chain is open. */
  private shortenOpen(last: number, before: number): void {
    const { lasts, lastKeys } = this
    for (let i = 0; i < OPEN; i++) {
      if (lasts[i] !== last) continue
      lasts[i] = Math.max(before, NONE)
      lastKeys[i] = before > NONE ? (this.times[before] as number) : Infinity
    }
  }

  private addChain(first: number, key: number): void {
    const position = this.chains++
    const { firsts, keys } = this
    if (position === firsts.length) {
      this.firsts = new Int32Array(2 * position)
      this.firsts.set(firsts)
      this.keys = new Float64Array(2 * position)
      this.keys.set(keys)
    }
    this.rise(first, key, position)
  }

  private removeChain(position: number): void {
    const end = --this.chains
    if (position === end) return
    const first = this.firsts[end] as number
    const key = this.keys[end] as number
    if (position > 0 && key < (this.keys[(position - 1) >> 2] as number)) this.rise(first, key, position)
    else this.sink(first, key, position)
  }

  private rise(first: number, key: number, from: number): void {
    const { firsts, keys, links } = this
    let position = from
    while (position > 0) {
      const above = (position - 1) >> 2
      const aboveKey = keys[above] as number
      if (aboveKey <= key) break
      const moved = firsts[above] as number
      firsts[position] = moved
      keys[position] = aboveKey
      links[2 * moved] = ~position
      position = above
    }
    firsts[position] = first
    keys[position] = key
    links[2 * first] = ~position
  }

  private sink(first: number, key: number, from: number): void {
    const { firsts, keys, links, chains } = this
    let position = from
    for (;;) {
      const begin = position * ARITY + 1
      if (begin >= chains) break
      let least = begin
      let leastKey = keys[begin] as number
      const end = Math.min(begin + ARITY, chains)
      for (let child = begin + 1; child < end; child++) {
        const childKey = keys[child] as number
        if (childKey >= leastKey) continue
        least = child
        leastKey = childKey
      }
      if (leastKey >= key) break
      const moved = firsts[least] as number
      firsts[position] = moved
      keys[position] = leastKey
      links[2 * moved] = ~position
      position = least
    }
    firsts[position] = first
    keys[position] = key
    links[2 * first] = ~position
  }
}
