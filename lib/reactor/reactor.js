import { EDGE, EVENT_GENERATION, EVENT_INTS, EVENT_READINESS, EVENT_SLOT, FIRST_SLOT, READABLE, WRITABLE } from '../kernel/layout.js';
export class Reactor {
    /** `firstGeneration` is where the generations of new slots begin: near the end of 32 bits in a test. */
    constructor(kernel, firstGeneration = 0) {
        /** Indexed by slot. The kernel's own slots stay null: their events only begin a turn. */
        this.registrations = new Array(FIRST_SLOT).fill(null);
        /** Indexed by slot: 32-bit, bumped when the slot is freed. */
        this.generations = new Array(FIRST_SLOT).fill(0);
        this.freeSlots = [];
        this.kernel = kernel;
        this.firstGeneration = firstGeneration | 0;
    }
    /** How many fds are watched. */
    get size() {
        return this.registrations.length - FIRST_SLOT - this.freeSlots.length;
    }
    /** Watches `fd` for `registration`. The kernel's answer: 0 or -errno, and then nothing has happened. */
    add(registration, fd) {
        const slot = this.freeSlots.pop() ?? this.registrations.length;
        const generation = this.generations[slot] ?? this.firstGeneration;
        const result = this.kernel.add(fd, READABLE | WRITABLE, EDGE, slot, generation);
        this.registrations[slot] = result < 0 ? null : registration;
        this.generations[slot] = generation;
        if (result < 0)
            this.freeSlots.push(slot);
        else
            registration.slot = slot;
        return result;
    }
    /** Forgets `registration`; to be called while `fd` is still open. Events of it that are on their way find nobody. */
    remove(registration, fd) {
        const { slot } = registration;
        if (slot < 0)
            return;
        registration.slot = -1;
        this.registrations[slot] = null;
        // Wraps at 32 bits, as the event record does.
        this.generations[slot] = (this.generations[slot] + 1) | 0;
        this.freeSlots.push(slot);
        // The only failures are that the kernel has forgotten it already, or that the user closed the fd: both are fine.
        this.kernel.remove(fd);
    }
    /** Hands out the first `count` events of the kernel's batch. Runs no task: it only makes them ready. */
    deliver(count) {
        const { events } = this.kernel;
        for (let at = 0, end = count * EVENT_INTS; at < end; at += EVENT_INTS) {
            const slot = events[at + EVENT_SLOT];
            const registration = this.registrations[slot];
            if (registration === null || registration === undefined)
                continue;
            if (this.generations[slot] !== events[at + EVENT_GENERATION])
                continue;
            registration.deliver(events[at + EVENT_READINESS]);
        }
    }
}
