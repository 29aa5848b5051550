/** What is going to happen on a virtual clock, in the order of its times. */

export interface Appointment {
  readonly when: number
  readonly act: () => void
}

export class Agenda {
  /** Invariant: the earliest first; of the same time, in the order in which they were added. */
  private readonly appointments: Appointment[] = []

  /** The time of the earliest; Infinity if there is none. */
  get next(): number {
    return this.appointments[0]?.when ?? Infinity
  }

  add(when: number, act: () => void): Appointment {
    const appointment = { when, act }
    const after = this.appointments.findIndex((other) => other.when > when)
    this.appointments.splice(after < 0 ? this.appointments.length : after, 0, appointment)
    return appointment
  }

  drop(appointment: Appointment): void {
    const at = this.appointments.indexOf(appointment)
    if (at >= 0) this.appointments.splice(at, 1)
  }

  /** Lets happen what is due. */
  run(now: number): void {
    while (this.next <= now) this.appointments.shift()?.act()
  }
}
