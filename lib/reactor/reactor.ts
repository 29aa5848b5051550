/**
 * Turns a batch of events into wake-ups. A token is (slot, generation), never an fd: an event for a registration that
 * was removed meanwhile finds another generation in its slot, or nobody, and is dropped.
 */
import type { Kernel } from '../kernel/kernel.js'
import {
  EDGE,
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_SLOT,
  FIRST_SLOT,
  READABLE,
  WRITABLE
} from '../kernel/layout.js'
import type { Registration } from './registration.js'

export class Reactor {
  private readonly kernel: Kernel
  /** Indexed by slot. The kernel's own slots stay null: their events only begin a turn. */
  private readonly registrations: (Registration | null)[] = new Array<Registration | null>(FIRST_SLOT).fill(null)
  /** Indexed by slot: 32-bit, bumped when the slot is freed. */
  private readonly generations: number[] = new Array<number>(FIRST_SLOT).fill(0)
  private readonly freeSlots: number[] = []
  private readonly firstGeneration: number

  /** `firstGeneration` is where the generations of new slots begin: near the end of 32 bits in a test. */
  constructor(kernel: Kernel, firstGeneration = 0) {
    this.kernel = kernel
    this.firstGeneration = firstGeneration | 0
  }

  /** How many fds are watched. */
  get size(): number {
    return this.registrations.length - FIRST_SLOT - this.freeSlots.length
  }

  /** Watches `fd` for `registration`. The kernel's answer: 0 or -errno, and then nothing has happened. */
  add(registration: Registration, fd: number): number {
    const slot = this.freeSlots.pop() ?? this.registrations.length
    const generation = this.generations[slot] ?? this.firstGeneration
    const result = this.kernel.add(fd, READABLE | WRITABLE, EDGE, slot, generation)
    this.registrations[slot] = result < 0 ? null : registration
    this.generations[slot] = generation
    if (result < 0) this.freeSlots.push(slot)
    else registration.slot = slot
    return result
  }

  /** Forgets `registration`; to be called while `fd` is still open. Events of it that are on their way find nobody. */
  remove(registration: Registration, fd: number): void {
    const { slot } = registration
    if (slot < 0) return
    registration.slot = -1
    this.registrations[slot] = null
    // Wraps at 32 bits, as the event record does.
    this.generations[slot] = ((this.generations[slot] as number) + 1) | 0
    this.freeSlots.push(slot)
    // The only failures are that the kernel has forgotten it already, or that the user closed the fd: both are fine.
    this.kernel.remove(fd)
  }

  /** Hands out the first `count` events of the kernel's batch. Runs no task: it only makes them ready. */
  deliver(count: number): void {
    const { events } = this.kernel
    for (let at = 0, end = count * EVENT_INTS; at < end; at += EVENT_INTS) {
      const slot = events[at + EVENT_SLOT] as number
      const registration = this.registrations[slot]
      if (registration === null || registration === undefined) continue
      if (this.generations[slot] !== events[at + EVENT_GENERATION]) continue
      registration.deliver(events[at + EVENT_READINESS] as number)
    }
  }
}
