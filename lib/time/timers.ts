/** The deadlines of one runtime, measured by its clock. */
import type { Scheduler, SchedulerHost } from '../task/scheduler.js'
import { Deadlines, type Deadline } from './deadlines.js'

/** A scheduler's host that tells the time. Invariant: the host of every scheduler is one (the runtime). */
export interface TimeHost extends SchedulerHost {
  readonly timers: Timers
}

export function timersOf(scheduler: Scheduler): Timers {
  return (scheduler.host as TimeHost).timers
}

export class Timers {
  private readonly host: SchedulerHost
  private readonly deadlines = new Deadlines()

  constructor(host: SchedulerHost) {
    this.host = host
  }

  now(): number {
    return this.host.now()
  }

  /** Has `deadline` fire at `when`, in milliseconds of `now`, never earlier. */
  start(deadline: Deadline, when: number): void {
    const earliest = when < this.deadlines.next
    this.deadlines.add(deadline, when)
    // A new earliest deadline re-arms the clock, which the end of a turn does.
    if (earliest) this.host.wantTurn()
  }

  /** Harmless for one that has fired. */
  stop(deadline: Deadline): void {
    this.deadlines.remove(deadline)
  }

  /** Called by the turn. */
  expire(): void {
    if (this.deadlines.size > 0) this.deadlines.expire(this.host.now())
  }

  get next(): number {
    return this.deadlines.next
  }
}
