/** The turn, and what it is made of: one kernel, one reactor, one clock, one queue of tasks. */
import type { Kernel } from '../kernel/kernel.js'
import { Reactor } from '../reactor/reactor.js'
import { debug } from '../task/debug.js'
import type { Failure } from '../task/errors.js'
import { Scheduler } from '../task/scheduler.js'
import { Scope } from '../task/scope.js'
import { runTurn } from './async-context.js'
import { environment } from './environment.js'
import { Timers, type TimeHost } from '../time/timers.js'

/** Something with output that waits for the end of the turn. */
export interface Dirty {
  flush(): void
}

/** Something that acts in turns and is no task. */
export interface Callback {
  /** What it throws is an uncaught exception of the process, and stops nobody else. */
  call(): void
}

export class Runtime implements TimeHost {
  readonly kernel: Kernel
  readonly reactor: Reactor
  readonly scheduler = new Scheduler(this)
  readonly timers = new Timers(this)
  /** The scope of everything that has no other: what `run` starts, and operations awaited outside any task. */
  readonly background = new Scope(this.scheduler, null, null)
  /** Turns taken, ever. An idle process takes none. */
  turns = 0
  /** Invariant: true exactly while `turn` is on the stack. */
  private inTurn = false
  /** What has output to flush. Invariant: each only once. */
  private dirty: Dirty[] = []
  /** Who is called in the next turn, or in this one if it has not come to that. */
  private callbacks: Callback[] = []
  /** How many things besides tasks keep the process alive. */
  private held = 0
  private hasTasks = false

  constructor(kernel: Kernel) {
    this.kernel = kernel
    this.reactor = new Reactor(kernel)
    this.scheduler.random = environment.random(kernel)
    const turn = (count: number): number => this.turn(count)
    kernel.open((count) => runTurn(turn, count))
  }

  /** Stops taking turns. For a runtime on a kernel of its own, once nothing runs in it any more. */
  close(): void {
    this.kernel.close()
  }

  now(): number {
    return this.kernel.now()
  }

  wantTurn(): void {
    if (!this.inTurn) this.kernel.requestTurn()
  }

  /** Has `dirty` flushed at the end of this turn; soon, outside a turn. Call it once per flush. */
  flushLater(dirty: Dirty): void {
    if (this.dirty.push(dirty) === 1) this.wantTurn()
  }

  /** Has `callback` called before tasks run: in this turn, or in the next one if that is over. */
  callSoon(callback: Callback): void {
    if (this.callbacks.push(callback) === 1) this.wantTurn()
  }

  keepAlive(alive: boolean): void {
    this.hasTasks = alive
    if (this.held === 0) this.stayAlive(alive)
    if (!alive && debug !== null) debug.idle(this.scheduler)
  }

  /** Keeps the process alive until `letGo`, also without a task. Counted. */
  hold(): void {
    if (++this.held === 1 && !this.hasTasks) this.stayAlive(true)
  }

  letGo(): void {
    if (--this.held === 0 && !this.hasTasks) this.stayAlive(false)
  }

  private stayAlive(alive: boolean): void {
    if (alive) this.kernel.ref()
    else this.kernel.unref()
  }

  /** Where an exception of a callback would end up: the task that failed has nobody who waits for it. */
  uncaught(failure: Failure): void {
    const raise = (): never => {
      throw failure.error
    }
    if (debug === null) return queueMicrotask(raise)
    debug.uncaught(failure)
    // Warnings are printed in ticks: this one comes after that, and a microtask might not.
    process.nextTick(raise)
  }

  /** Everything that happens, happens in here. See `Turn` in the kernel for its argument and result. */
  private turn(count: number): number {
    this.inTurn = true
    this.turns++
    this.reactor.deliver(count)
    this.timers.expire()
    if (this.callbacks.length > 0) this.callBack()
    this.scheduler.runReady()
    this.flush()
    this.inTurn = false
    return this.scheduler.hasReady || this.callbacks.length > 0 ? 0 : this.timers.next
  }

  /** Calls those who wait for it now. Those who come meanwhile are called in the next turn. */
  private callBack(): void {
    const { callbacks } = this
    this.callbacks = []
    for (const each of callbacks) {
      try {
        each.call()
      } catch (error) {
        process.nextTick(() => {
          throw error
        })
      }
    }
  }

  private flush(): void {
    if (this.dirty.length === 0) return
    const { dirty } = this
    this.dirty = []
    for (const each of dirty) each.flush()
  }
}
