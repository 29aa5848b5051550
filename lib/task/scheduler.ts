/**
 * The queue of ready tasks, and the budget that keeps one of them from starving the others.
 * Knows nothing of fds, clocks or Node: what it needs from outside is its `SchedulerHost`.
 */
import { contexts, setCurrent } from './ambient.js'
import { debug, type Debug } from './debug.js'
import type { Failure } from './errors.js'
import { stepWatch, type StepWatch } from './step-watch.js'
import type { Task } from './task.js'

/** What a scheduler needs from the runtime that it runs in. */
export interface SchedulerHost {
  /** Monotonic milliseconds. */
  now(): number
  /** Outside a turn: asks for one. Inside: nothing to do, the turn looks at the queue before it ends. */
  wantTurn(): void
  /** A task that nobody waits for has failed. */
  uncaught(failure: Failure): void
  /** The first live task has come, the last one has gone. */
  keepAlive(alive: boolean): void
}

/** Operations that may complete at once before their task is parked for a turn, whether or not they had to wait. */
const BUDGET_OPERATIONS = 128
/** Or so many milliseconds, looked at every 8 operations: reading the clock costs a tenth of the cheapest system call. */
const BUDGET_MS = 0.5
/** A power of two. */
const CLOCK_EVERY = 8

const INITIAL_CAPACITY = 64

export class Scheduler {
  readonly host: SchedulerHost
  /** Invariant: a ring of capacity 2^n; the ready tasks are at `head`, in the order in which they became ready. */
  private ring: (Task | null)[] = new Array<Task | null>(INITIAL_CAPACITY).fill(null)
  private head = 0
  private size = 0
  private budget = BUDGET_OPERATIONS
  private budgetStart = -1
  /** Tasks that have been made and have not ended. */
  private liveTasks = 0
  /** Steps run, ever. */
  steps = 0
  /** Draws 32 bits. Null: ready tasks run in the order in which they became ready. Otherwise in a random one. */
  random: (() => number) | null = null

  constructor(host: SchedulerHost) {
    this.host = host
  }

  get hasReady(): boolean {
    return this.size > 0
  }

  get live(): number {
    return this.liveTasks
  }

  /** Appends a task that has just become ready. It runs in this turn if the turn has not begun to run tasks yet. */
  enqueue(task: Task): void {
    const capacity = this.ring.length
    if (this.size === capacity) this.grow()
    this.ring[(this.head + this.size) & (this.ring.length - 1)] = task
    if (++this.size === 1) this.host.wantTurn()
  }

  /** Runs the tasks that are ready now. Those that become ready meanwhile run next turn. */
  runReady(): void {
    const watch = stepWatch
    for (let remaining = this.size; remaining > 0; remaining--) {
      if (this.random !== null) this.shuffle(remaining, this.random)
      const task = this.ring[this.head] as Task
      this.ring[this.head] = null
      this.head = (this.head + 1) & (this.ring.length - 1)
      this.size--
      this.budget = BUDGET_OPERATIONS
      this.budgetStart = -1
      setCurrent(task)
      if (debug === null && watch === null) this.step(task)
      else this.observedStep(task, debug, watch)
    }
    setCurrent(null)
    watch?.rest()
  }

  private observedStep(task: Task, guard: Debug | null, watch: StepWatch | null): void {
    watch?.begin(task)
    if (guard === null) this.step(task)
    else guard.step(task, () => this.step(task))
    watch?.end()
  }

  private step(task: Task): void {
    this.steps++
    task.context ??= contexts.late()
    if (task.context === null) {
      task.run()
      const context = contexts.afterStep()
      if (!task.ended) task.context = context
    } else {
      task.context.step(task)
    }
  }

  /** Puts a random one of the next `remaining` tasks at the head. */
  private shuffle(remaining: number, random: () => number): void {
    const { ring, head } = this
    const mask = ring.length - 1
    const chosen = (head + (random() % remaining)) & mask
    const task = ring[chosen] as Task
    ring[chosen] = ring[head] as Task
    ring[head] = task
  }

  /** Counts one operation of the running task. True = it has had its share, and parks until the next turn. */
  spend(): boolean {
    if ((--this.budget & (CLOCK_EVERY - 1)) !== 0) return false
    const now = this.host.now()
    if (this.budgetStart < 0) this.budgetStart = now
    if (this.budget > 0 && now - this.budgetStart < BUDGET_MS) return false
    this.budget = BUDGET_OPERATIONS
    this.budgetStart = -1
    return true
  }

  taskStarted(): void {
    if (++this.liveTasks === 1) this.host.keepAlive(true)
  }

  taskEnded(): void {
    if (--this.liveTasks === 0) this.host.keepAlive(false)
  }

  private grow(): void {
    const { ring, head } = this
    const grown = new Array<Task | null>(ring.length * 2).fill(null)
    for (let i = 0; i < this.size; i++) grown[i] = ring[(head + i) & (ring.length - 1)] as Task
    this.ring = grown
    this.head = 0
  }
}
