/**
 * A line of those who wait, first come first served. Joining, leaving and being served take the same time however long it
 * is: a Set would not do, because taking its first steps over everybody who has left before.
 */

/** One who can stand in a line; in one at a time. */
export interface Standing {
  /** Neighbours. Invariant: null outside a line, and at its ends. */
  ahead: Standing | null
  behind: Standing | null
  /** Invariant: true exactly while it stands in a line. */
  standing: boolean
}

export class Line<W extends Standing> {
  private head: W | null = null
  private tail: W | null = null
  private count = 0

  get size(): number {
    return this.count
  }

  /** Who has waited longest. */
  get first(): W | null {
    return this.head
  }

  /** At the end. Who stands in it already keeps the place. */
  add(waiter: W): void {
    if (waiter.standing) return
    waiter.standing = true
    waiter.ahead = this.tail
    if (this.tail === null) this.head = waiter
    else this.tail.behind = waiter
    this.tail = waiter
    this.count++
  }

  /** Who does not stand in it has left already. */
  delete(waiter: W): void {
    if (!waiter.standing) return
    const { ahead, behind } = waiter
    if (ahead === null) this.head = behind as W | null
    else ahead.behind = behind
    if (behind === null) this.tail = ahead as W | null
    else behind.ahead = ahead
    waiter.ahead = null
    waiter.behind = null
    waiter.standing = false
    this.count--
  }

  /** Takes out who has waited longest. */
  shift(): W | undefined {
    const { head } = this
    if (head === null) return undefined
    this.delete(head)
    return head
  }
}
