/**
 * What `COREACTOR_DEBUG=1` watches for: operations that nobody drives, rejections that nobody sees, steps that keep the
 * others waiting, and where each task was spawned. Reports are warnings of the process, of type `CoreactorWarning`:
 *
 * - `COREACTOR_NEVER_DRIVEN`: an operation was made and never driven, with where it was made.
 * - `COREACTOR_UNCOLLECTED`: a deferred was rejected and nobody waited for it, with where it was made; or a task has
 *   failed that belongs to no scope of anybody's, with where it was spawned. The error of the latter is thrown as well.
 * - `COREACTOR_SLOW_STEP`: a task has run for long without a wait, with where it was spawned. Of an async function only
 *   what it does before its first `await` is seen.
 *
 * What a task has made is reported when it has been collected as garbage, or when no task is left in its runtime; what was
 * made outside any task, when it has been collected or the process is about to end. A task that was cut off, by a
 * cancellation or an error, did not come to what it had made: that is not reported, and neither is what belongs to a scope
 * that was left in this way. A TypeError is an exception, since it is what using an operation in place of its result
 * throws. An operation that was handed to `race`, `all`, `any` or `allSettled` is theirs.
 */
import { ambientTask } from '../task/ambient.js'
import type { Debug } from '../task/debug.js'
import { describe, type Failure } from '../task/errors.js'
import type { Scheduler } from '../task/scheduler.js'
import type { Scope } from '../task/scope.js'
import type { Task } from '../task/task.js'
import { callers } from './callers.js'

/** asyncio's `slow_callback_duration`. */
export const SLOW_STEP_MS = 100

/** Frames looked at: the library's own on top are some ten at most. */
const STACK_DEPTH = 40

type Code = 'COREACTOR_NEVER_DRIVEN' | 'COREACTOR_UNCOLLECTED' | 'COREACTOR_SLOW_STEP'

/** Something that was made and is to be reported, unless it is settled in time. Refers to nothing that it watches. */
interface Pending {
  readonly code: Code
  message: string
  detail: string
  /** Whose it is: each list is that of a task, a scope, a scheduler or nobody. Empty once it is settled or reported. */
  lists: Set<Pending>[]
}

export class GuardRails implements Debug {
  private readonly now: () => number
  private readonly spawns = new WeakMap<Task, string>()
  private readonly sites = new WeakMap<object, string>()
  /** Operations that were not driven yet, deferreds that were rejected. */
  private readonly open = new WeakMap<object, Pending>()
  private readonly collections = new WeakSet<object>()
  /** By task, by scope and by scheduler. */
  private readonly madeIn = new WeakMap<object, Set<Pending>>()
  private readonly madeOutside = new Set<Pending>()
  private readonly registry = new FinalizationRegistry<Pending>((pending) => this.report(pending))
  /** Milliseconds of the running step that went to steps inside it. */
  private nested = 0

  constructor(now: () => number) {
    this.now = now
    process.on('beforeExit', () => this.reportAll(this.madeOutside))
  }

  created(op: object): void {
    const site = callers(STACK_DEPTH)
    this.sites.set(op, site)
    this.watch(op, {
      code: 'COREACTOR_NEVER_DRIVEN',
      message: 'an operation was made and never driven: is a "yield*" or an "await" missing?',
      detail: site,
      lists: this.listsHere()
    })
  }

  driven(op: object): void {
    this.settle(op)
  }

  promised(deferred: object): void {
    this.sites.set(deferred, callers(STACK_DEPTH))
  }

  rejected(deferred: object, error: unknown): void {
    const site = this.sites.get(deferred)
    // Those of the library itself have none, and it knows what it does with them.
    if (site === undefined || this.collections.has(deferred)) return
    this.watch(deferred, {
      code: 'COREACTOR_UNCOLLECTED',
      message: `a deferred was rejected, and nobody waited for it: ${describe(error)}`,
      detail: error instanceof Error && error.stack !== undefined ? `${site}\n${error.stack}` : site,
      lists: this.listsHere()
    })
  }

  collected(deferred: object): void {
    this.collections.add(deferred)
    this.settle(deferred)
  }

  abandoned(by: Task | Scope, error: unknown): void {
    const list = this.madeIn.get(by)
    if (list === undefined) return
    if (error instanceof TypeError) this.reportAll(list)
    else for (const pending of list) leave(pending)
  }

  idle(scheduler: Scheduler): void {
    const list = this.madeIn.get(scheduler)
    if (list !== undefined) this.reportAll(list)
  }

  spawned(task: Task): void {
    const spawner = ambientTask()
    // What the library spawns in a task of its own was asked for where that was spawned.
    const inherited = spawner === null ? undefined : this.spawns.get(spawner)
    this.spawns.set(task, callers(STACK_DEPTH, inherited))
  }

  awaits(task: Task, op: object): void {
    const site = this.sites.get(op)
    if (site !== undefined) this.spawns.set(task, site)
  }

  spawnedAt(task: Task): string | undefined {
    return this.spawns.get(task)
  }

  uncaught({ error, task, spawnedAt = '' }: Failure): void {
    warn('COREACTOR_UNCOLLECTED', `the task ${task} has failed, and nobody waits for it: ${describe(error)}`, spawnedAt)
  }

  step(task: Task, step: () => void): void {
    const begun = this.now()
    const { nested } = this
    this.nested = 0
    step()
    const took = this.now() - begun
    const own = took - this.nested
    this.nested = nested + took
    if (own < SLOW_STEP_MS) return
    const ms = Math.round(own)
    const message = `the task ${task.label} ran for ${ms} ms without a wait, and everybody else waited for it`
    warn('COREACTOR_SLOW_STEP', message, this.spawnedAt(task) ?? '')
  }

  private watch(thing: object, pending: Pending): void {
    for (const list of pending.lists) list.add(pending)
    this.open.set(thing, pending)
    this.registry.register(thing, pending, thing)
  }

  private settle(thing: object): void {
    const pending = this.open.get(thing)
    if (pending === undefined) return
    leave(pending)
    this.open.delete(thing)
    this.registry.unregister(thing)
  }

  /** The lists of what is made here and now. */
  private listsHere(): Set<Pending>[] {
    const task = ambientTask()
    if (task === null) return [this.madeOutside]
    return [task, task.scope, task.scheduler].map((owner) => {
      let list = this.madeIn.get(owner)
      if (list === undefined) this.madeIn.set(owner, (list = new Set()))
      return list
    })
  }

  private reportAll(list: Iterable<Pending>): void {
    for (const pending of list) this.report(pending)
  }

  private report(pending: Pending): void {
    if (pending.lists.length === 0) return
    leave(pending)
    warn(pending.code, pending.message, pending.detail)
  }
}

function leave(pending: Pending): void {
  for (const list of pending.lists) list.delete(pending)
  pending.lists = []
}

function warn(code: Code, message: string, detail: string): void {
  process.emitWarning(message, { type: 'CoreactorWarning', code, detail })
}
