/** What the memory kernel watches, edge-triggered like the real one, and the batch in which it reports what has changed. */
import { EBADF, EEXIST } from '../kernel/errno.js'
import {
  BATCH_CAPACITY,
  COMPLETED,
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_RESULT,
  EVENT_SLOT,
  ONE_SHOT,
  PRIORITY,
  READABLE,
  WRITABLE
} from '../kernel/layout.js'
import type { Ended } from './memory-jobs.js'
import type { MemorySocket } from './memory-socket.js'

interface Watch {
  readonly fd: number
  readonly socket: MemorySocket
  readonly interest: number
  readonly mode: number
  readonly slot: number
  readonly generation: number
}

/** Directions that may be asked for; the other bits are reported unasked. */
const DIRECTIONS = READABLE | WRITABLE | PRIORITY

export class MemoryPoller {
  readonly events = new Int32Array(BATCH_CAPACITY * EVENT_INTS)
  private readonly watches = new Map<number, Watch>()
  /** Invariant: the watches that have changed since they were last reported, the oldest first. */
  private readonly changed = new Set<Watch>()
  /** Called when there is something to report. */
  private readonly wake: () => void

  constructor(wake: () => void) {
    this.wake = wake
  }

  /** Whether there may be something to report. */
  get pending(): boolean {
    return this.changed.size > 0
  }

  add(fd: number, socket: MemorySocket | undefined, interest: number, mode: number, slot: number, generation: number): number {
    if (socket === undefined) return EBADF
    if (this.watches.has(fd)) return EEXIST
    const watch: Watch = { fd, socket, interest, mode, slot, generation }
    this.watches.set(fd, watch)
    socket.changed = () => {
      this.changed.add(watch)
      this.wake()
    }
    socket.changed()
    return 0
  }

  /** Not being watched is no error. */
  remove(fd: number): void {
    const watch = this.watches.get(fd)
    if (watch !== undefined) this.unwatch(watch)
  }

  /** Writes the batch: what has changed and is ready now, as epoll reports it, and the jobs of `ended`. How many events. */
  collect(ended: Ended[]): number {
    let count = 0
    for (const watch of this.changed) {
      if (count === BATCH_CAPACITY) break
      this.changed.delete(watch)
      const readiness = readinessOf(watch.socket, watch.interest)
      if (readiness === 0) continue
      if (watch.mode === ONE_SHOT) this.unwatch(watch)
      this.report(count++, watch, readiness, 0)
    }
    while (count < BATCH_CAPACITY) {
      const job = ended.shift()
      if (job === undefined) break
      this.report(count++, job, COMPLETED, job.result)
    }
    return count
  }

  private unwatch(watch: Watch): void {
    this.watches.delete(watch.fd)
    this.changed.delete(watch)
    watch.socket.changed = () => {}
  }

  private report(index: number, token: { slot: number; generation: number }, readiness: number, result: number): void {
    const at = index * EVENT_INTS
    this.events[at + EVENT_SLOT] = token.slot
    this.events[at + EVENT_GENERATION] = token.generation
    this.events[at + EVENT_READINESS] = readiness
    this.events[at + EVENT_RESULT] = result
  }
}

/** What is so now, of the directions that are asked for and of what is reported unasked. */
export function readinessOf(socket: MemorySocket, interest: number): number {
  return socket.readiness & (interest | ~DIRECTIONS)
}
