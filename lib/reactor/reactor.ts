/**
 * Turns a batch of events into wake-ups. Knows who has which fd: the kernel forgets an fd that somebody else closes, and
 * says so only by taking its number again.
 *
 * A token is (slot, generation), never an fd: an event for a registration that
 * was removed meanwhile finds another generation in its slot, or nobody, and is dropped.
 */
import { EBADF, EEXIST } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import {
  EDGE,
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_RESULT,
  EVENT_SLOT,
  FIRST_SLOT,
  READABLE,
  WRITABLE
} from '../kernel/layout.js'
import type { Completion } from './completion.js'
import type { Registration } from './registration.js'

export class Reactor {
  private readonly kernel: Kernel
  /** Indexed by slot. The kernel's own slots stay null: their events only begin a turn. */
  private readonly registrations: (Registration | Completion | null)[] = new Array<null>(FIRST_SLOT).fill(null)
  /** Indexed by slot: 32-bit, bumped when the slot is freed. */
  private readonly generations: number[] = new Array<number>(FIRST_SLOT).fill(0)
  private readonly freeSlots: number[] = []
  /** Indexed by fd: who was the last to have it watched, or to claim it, and has not let go of it. */
  private readonly owners: (Registration | undefined)[] = []
  /** Fds that were closed by somebody else while they were watched: an entry stays if the description lives on in a dup. */
  private readonly leftovers = new Set<number>()
  private readonly firstGeneration: number

  /** `firstGeneration` is where the generations of new slots begin: near the end of 32 bits in a test. */
  constructor(kernel: Kernel, firstGeneration = 0) {
    this.kernel = kernel
    this.firstGeneration = firstGeneration | 0
  }

  /** How many fds are watched, and jobs expected to end. */
  get size(): number {
    return this.registrations.length - FIRST_SLOT - this.freeSlots.length
  }

  /** Who has `fd`, if anybody has. The fd may have been closed since. */
  owner(fd: number): Registration | undefined {
    return this.owners[fd]
  }

  /** Makes `fd` the registration's, watched or not, until it is removed. */
  claim(registration: Registration, fd: number): void {
    this.owners[fd] = registration
  }

  /** Watches `fd` for `registration`. The kernel's answer: 0 or -errno, and then nothing has happened. */
  add(registration: Registration, fd: number, interest = READABLE | WRITABLE, mode = EDGE): number {
    const slot = this.freeSlots.pop() ?? this.registrations.length
    const generation = this.generations[slot] ?? this.firstGeneration
    let result = this.kernel.add(fd, interest, mode, slot, generation)
    if (result === EEXIST && (this.owners[fd]?.slot ?? -1) < 0 && this.leftovers.delete(fd)) {
      // The description has got its old number again, by dup2: only now can the entry be removed.
      this.kernel.remove(fd)
      result = this.kernel.add(fd, interest, mode, slot, generation)
    }
    this.registrations[slot] = result < 0 ? null : registration
    this.generations[slot] = generation
    if (result < 0) {
      this.freeSlots.push(slot)
      return result
    }
    registration.slot = slot
    const before = this.owners[fd]
    this.owners[fd] = registration
    if (before !== undefined && before !== registration) this.evict(before)
    return result
  }

  /** Forgets `registration`; to be called while `fd` is still open. Events of it that are on their way find nobody. */
  remove(registration: Registration, fd: number): void {
    if (this.owners[fd] === registration) this.owners[fd] = undefined
    this.unwatch(registration, fd)
  }

  /** As `remove`, for an fd that is closed next and that closing takes out of the kernel's queue. */
  leave(registration: Registration, fd: number): void {
    if (this.owners[fd] === registration) this.owners[fd] = undefined
    if (registration.slot >= 0) this.free(registration)
  }

  /** As `remove`, but `fd` stays the registration's. */
  unwatch(registration: Registration, fd: number): void {
    if (registration.slot < 0) return
    this.free(registration)
    if (this.kernel.remove(fd) === EBADF) this.leftovers.add(fd)
  }

  /** The kernel has taken `before`'s fd for a new one, so it was closed. Whatever the kernel knows is the new one's. */
  private evict(before: Registration): void {
    if (before.slot >= 0) this.free(before)
    before.lost()
  }

  /** Gives a job's end a slot: the kernel reports it with that, and `generation`. */
  expect(completion: Completion): void {
    const slot = this.freeSlots.pop() ?? this.registrations.length
    this.registrations[slot] = completion
    this.generations[slot] ??= this.firstGeneration
    completion.slot = slot
  }

  generation(slot: number): number {
    return this.generations[slot] as number
  }

  /** The job has ended, or its end is of no interest any more: an event of it that is on its way finds nobody. */
  forget(completion: Completion): void {
    if (completion.slot >= 0) this.free(completion)
  }

  /** Hands out the first `count` events of the kernel's batch. Runs no task: it only makes them ready. */
  deliver(count: number): void {
    const { events } = this.kernel
    for (let at = 0, end = count * EVENT_INTS; at < end; at += EVENT_INTS) {
      const slot = events[at + EVENT_SLOT] as number
      const registration = this.registrations[slot]
      if (registration === null || registration === undefined) continue
      if (this.generations[slot] !== events[at + EVENT_GENERATION]) continue
      registration.deliver(events[at + EVENT_READINESS] as number, events[at + EVENT_RESULT] as number)
    }
  }

  private free(held: Registration | Completion): void {
    const { slot } = held
    held.slot = -1
    this.registrations[slot] = null
    // Wraps at 32 bits, as the event record does.
    this.generations[slot] = ((this.generations[slot] as number) + 1) | 0
    this.freeSlots.push(slot)
  }
}
