/**
 * Cancelling an operation at every step of the scheduler, in random orders: the machinery. What is tried is in the tables
 * of `cancel-everywhere.test.ts` and `cancel-everywhere-io.test.ts`.
 *
 * A row of a table is a small play for a kernel in memory: one task, the victim, drives the operation; the others provide
 * what it waits for, and want the same for themselves. The play is performed again and again, with a seed that decides the
 * order in which ready tasks run. At one step of each performance, counted from the moment when the victim was spawned,
 * the operation is cancelled in one of the `WAYS`. Afterwards nothing may be left: no task, no deadline, no socket; and
 * whatever the row claims must hold.
 *
 * A failure names row, way, seed and step; `perform` with these does the same again.
 */
import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cancelled, Event, now, op, race, run, scope, spawn, type Coroutine, type Op, type Task } from 'coreactor'
import { MemoryKernel, type MemoryKernelOptions } from 'coreactor/testing'
import { currentRuntime } from '../lib/runtime/current.js'
import type { Runtime } from '../lib/runtime/runtime.js'
import { debug, installDebug, type Debug } from '../lib/task/debug.js'
import type { Scheduler } from '../lib/task/scheduler.js'

/**
 * How the operation is called off. `task`: the victim is. `spent`: it is, and has had its share of operations before, so
 * that the operation under test parks before its first attempt. `scope`: the scope around the operation is; with odd seeds
 * the share is spent, too, since what never waits could not be cancelled otherwise. `race`: the operation loses one, which
 * also undoes what has been granted and nobody has taken yet.
 */
export const WAYS = ['task', 'spent', 'scope', 'race'] as const
export type Way = (typeof WAYS)[number]

export interface Row {
  readonly name: string
  /** It ends when it ends, however it is cancelled: the time of its end is not looked at. */
  readonly patient?: boolean
  /** All of them by default. */
  readonly ways?: readonly Way[]
  readonly kernel?: MemoryKernelOptions
  readonly play: (stage: Stage) => Coroutine<void>
}

/** Random orders for each row, each with a seed of its own, in all of which the operation is cancelled. */
const ORDERS = 1000
/** Seeds for which every step is tried, and which find out how many steps there are. */
const SWEPT = 8
/** Where the seeds of each way begin. */
const SEEDS = 100_000
/** Milliseconds for one test, which is a thousand performances: more than they take on a machine that has much to do. */
const PATIENCE = 120_000
/** Performances that go on side by side: a pass of the host's loop costs more than a turn in memory. */
const TROUPE = 250
/** Passes of the host's loop in which nobody takes a step: nobody will any more. */
const STUCK = 20
/** A row that fails says so this often. */
const ENOUGH = 3
/** The step at which nothing is cancelled. */
export const NEVER = -1

const LOST: unique symbol = Symbol('lost')
const stages = new WeakMap<Scheduler, Stage>()

/** One performance: what the play of a row is given. */
export class Stage {
  readonly row: Row
  readonly way: Way
  readonly seed: number
  readonly at: number
  readonly kernel: MemoryKernel
  /** Steps since the victim was spawned. */
  steps = 0
  /** Whether the operation, or the victim before it came to it, was cancelled. */
  struck = false
  readonly tasks: Task[] = []
  private readonly claims: (() => void)[] = []
  private runtime!: Runtime
  private theVictim: Task | null = null
  /** Null while there is nothing to cancel. */
  private strike: (() => void) | null = null
  private struckAt = NaN
  private lastStep = -1

  constructor(row: Row, way: Way, seed: number, at: number) {
    this.row = row
    this.way = way
    this.seed = seed
    this.at = at
    this.kernel = new MemoryKernel(row.kernel)
  }

  get title(): string {
    return `${this.row.name}, way ${this.way}, seed ${this.seed}, step ${this.at}`
  }

  async perform(): Promise<void> {
    const { kernel, seed, row } = this
    const play = function* (stage: Stage): Coroutine<void> {
      stage.runtime = currentRuntime()
      stages.set(stage.runtime.scheduler, stage)
      yield* row.play(stage)
    }
    await run(() => play(this), { kernel, seed })
    const { runtime } = this
    assert.equal(runtime.scheduler.live, 0, 'tasks are left')
    assert.equal(runtime.timers['deadlines'].size, 0, 'deadlines are left')
    assert.equal(runtime.reactor.size, 0, 'registrations are left')
    assert.equal(kernel.openSockets, 0, 'sockets are left')
    for (const claim of this.claims) claim()
  }

  /** Spawns the victim, which is to call `attempt`. */
  victim(body: () => Coroutine<void>): Task<void> {
    const { way } = this
    const strikeBy = (strike: () => void): void => void (this.strike = strike)
    const victim = spawn(function* victim() {
      if (way !== 'scope') return yield* body()
      yield* scope(function* (around) {
        strikeBy(() => around.cancel('struck'))
        yield* body()
      })
    })
    if (way === 'task' || way === 'spent') strikeBy(() => victim.cancel('struck'))
    this.theVictim = victim
    return victim
  }

  /** Drives the operation under test. `completed` gets its value, in the very step. False if it has lost a race. */
  *attempt<T>(operate: () => Op<T>, completed: (value: T) => void = () => {}): Coroutine<boolean> {
    const { way } = this
    const lost = new Event()
    if (way === 'race') {
      this.struckAt = NaN
      this.strike = () => lost.set()
    }
    if (way === 'spent' || (way === 'scope' && this.seed % 2 === 1)) this.runtime.scheduler['budget'] = 1
    let value: T | typeof LOST
    try {
      const operation = operate()
      value = way !== 'race' ? yield* operation : yield* race([operation, losing(lost)])
    } catch (error) {
      if (error instanceof Cancelled) this.ended()
      throw error
    } finally {
      if (way === 'race') this.strike = null
    }
    if (!Number.isNaN(this.struckAt)) this.ended()
    if (value === LOST) return false
    completed(value as T)
    return true
  }

  /** A body that begins at most once, and whose `finally` runs as often as it has begun. */
  once<T>(what: string, body: () => Coroutine<T>): () => Coroutine<T> {
    let begun = 0
    let ended = 0
    this.claim(() => {
      assert.ok(begun <= 1, `${what} has run ${begun} times`)
      assert.equal(ended, begun, `${what} has begun ${begun} times and cleaned up ${ended} times`)
    })
    return function* () {
      begun++
      try {
        return yield* body()
      } finally {
        ended++
      }
    }
  }

  /** What must hold when all has ended. */
  claim(claim: () => void): void {
    this.claims.push(claim)
  }

  /** @internal Before each step of each task. */
  beforeStep(): void {
    const victim = this.theVictim
    if (victim === null) return
    const step = this.steps++
    if (step !== this.at || victim.state === 'ended' || this.strike === null) return
    this.struckAt = this.kernel.now()
    this.strike()
    this.struck = true
  }

  /** Whether anybody has taken a step since it was last asked. */
  get moved(): boolean {
    const steps = this.runtime?.scheduler.steps ?? 0
    const moved = steps !== this.lastStep
    this.lastStep = steps
    return moved
  }

  /** The operation was cancelled, and has been cut off or has completed all the same. */
  private ended(): void {
    if (this.row.patient === true) return
    assert.equal(now(), this.struckAt, 'the operation did not end when it was cancelled')
  }
}

function losing(lost: Event): Op<typeof LOST> {
  return op(function* (): Coroutine<typeof LOST> {
    yield* lost.wait()
    return LOST
  })
}

const watcher: Debug = {
  created() {},
  driven() {},
  promised() {},
  rejected() {},
  collected() {},
  abandoned() {},
  idle() {},
  awaits() {},
  uncaught() {},
  spawned(task) {
    stages.get(task.scheduler)?.tasks.push(task)
  },
  spawnedAt: () => undefined,
  step(task, step) {
    stages.get(task.scheduler)?.beforeStep()
    step()
  }
}

/** Performs all of them, a troupe at a time; gives what went wrong. */
async function performAll(stages: readonly Stage[]): Promise<string[]> {
  const failures: string[] = []
  for (let i = 0; i < stages.length && failures.length < ENOUGH; i += TROUPE) {
    const troupe = new Set(stages.slice(i, i + TROUPE))
    for (const stage of troupe) {
      void stage
        .perform()
        .catch((error: Error) => failures.push(`${stage.title}: ${error.stack ?? error.message}`))
        .then(() => troupe.delete(stage))
    }
    for (let still = 0; troupe.size > 0 && still < STUCK; still++) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const stage of troupe) if (stage.moved) still = 0
    }
    for (const stage of troupe) failures.push(`${stage.title}: never ended; ${parkedTasks(stage)}`)
  }
  return failures.slice(0, ENOUGH)
}

function parkedTasks({ tasks }: Stage): string {
  return tasks.flatMap((task) => (task.state === 'ended' ? [] : [`${task.label} is ${task.state}: ${task.stack()}`])).join('\n')
}

/** Performs one again: `await perform(rows.find(({ name }) => …), 'race', 17, 5)`. */
export async function perform(row: Row, way: Way, seed: number, at: number): Promise<Stage> {
  const stage = new Stage(row, way, seed, at)
  expect(await performAll([stage])).toEqual([])
  return stage
}

/** The tests of a table: one for each row and way. */
export function cancelEverywhere(title: string, rows: readonly Row[]): void {
  describe(title, () => {
    let before: Debug | null
    beforeAll(() => {
      before = debug
      installDebug(watcher)
    })
    afterAll(() => installDebug(before))

    describe.each(rows)('$name', (row) => {
      const { ways = WAYS } = row
      it.each(ways)('loses, leaks and repeats nothing, cancelled at any step (%s)', async (way) => {
        const uncut = Array.from({ length: SWEPT }, (_, i) => new Stage(row, way, i, NEVER))
        expect(await performAll(uncut)).toEqual([])

        const swept = uncut.flatMap(({ seed, steps }) => Array.from({ length: steps }, (_, at) => new Stage(row, way, seed, at)))
        expect(await performAll(swept)).toEqual([])

        const most = Math.max(...uncut.map(({ steps }) => steps))
        const share = Math.ceil(ORDERS / ways.length)
        let struck = 0
        for (let seed = SEEDS * (ways.indexOf(way) + 1); struck < share; ) {
          const orders = Array.from({ length: share - struck }, () => new Stage(row, way, seed, seed++ % most))
          expect(await performAll(orders)).toEqual([])
          struck += orders.filter((stage) => stage.struck).length
          expect(seed % SEEDS).toBeLessThan(10 * ORDERS)
        }
      }, PATIENCE)
    })
  })
}
