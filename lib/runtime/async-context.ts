/**
 * Node's async context (AsyncLocalStorage) in coroutines: a task begins with that of whoever spawned it, and each of its
 * steps runs in what the step before left. Node does this for promises; a coroutine that the scheduler resumes has none.
 *
 * It costs a step some 40 ns, so it begins when somebody in this thread uses an AsyncLocalStorage. How that shows differs:
 * Node 20 and 22 keep the stores in properties of the current async resource; later versions in a frame of its own.
 */
import { AsyncLocalStorage, AsyncResource, executionAsyncResource } from 'node:async_hooks'
import type { AsyncContext, Context, Contexts } from '../task/ambient.js'
import type { Task } from '../task/task.js'

const RESOURCE = 'coreactor.task'
/** Not asked for: without it Node would watch each resource for its collection as soon as there are destroy hooks. */
const UNTRACKED = { requireManualDestroy: true }

/** The symbol under which an AsyncResource keeps its frame (lib/async_hooks.js); absent before Node 22. */
const FRAME = Object.getOwnPropertySymbols(new AsyncResource(RESOURCE, UNTRACKED)).find(
  ({ description }) => description === 'context_frame'
)
/** What a resource calls the property of a store on Node 20 and 22 (lib/internal/async_local_storage). */
const STORE = 'kResourceStore'

type Stores = Record<symbol, unknown>

/** Carries the tasks of async functions through their awaits. Node 20 and 22 then keep async hooks on: 150 ns an await. */
let tasks: AsyncLocalStorage<Task> | null = null
/** The property of `tasks`, which is not somebody else's use. */
let ownStore: symbol | null = null
/** Invariant: true from the moment somebody was seen to use a storage. */
let inUse = false
/** A step on a turn's own resource has stored something there. */
let touched = false

class TaskContext implements Context {
  private resource = new AsyncResource(RESOURCE, UNTRACKED)

  step(task: Task): void {
    this.resource.runInAsyncScope(this.stepInside, this, task)
  }

  private stepInside(task: Task): void {
    task.run()
    // A frame is never changed, only replaced; a resource keeps what was stored in it.
    if (FRAME !== undefined) this.resource = new AsyncResource(RESOURCE, UNTRACKED)
  }
}

/** Turns run in a resource of their own, in which nothing is ever stored for long. */
const bare: AsyncResource & Stores = new AsyncResource(RESOURCE, UNTRACKED) as AsyncResource & Stores
const turnResource = new Proxy(bare, {
  set(target, key, value) {
    if (key !== ownStore) touched = true
    ;(target as Stores)[key as symbol] = value
    return true
  }
})

/** Whether somebody's storage has a value here. */
function hasStores(): boolean {
  if (touched) return true
  if (FRAME !== undefined) {
    const frame = (new AsyncResource(RESOURCE, UNTRACKED) as AsyncResource & Stores)[FRAME] as Map<unknown, unknown> | undefined
    if (frame !== undefined) return frame.size > (tasks !== null && frame.has(tasks) ? 1 : 0)
  }
  const resource = executionAsyncResource() as Stores
  if (resource === turnResource) return false
  return Object.getOwnPropertySymbols(resource).some(
    (symbol) => symbol !== ownStore && symbol.description === STORE && resource[symbol] !== undefined
  )
}

export const contexts: Contexts = {
  capture() {
    if (!inUse && !hasStores()) return null
    inUse = true
    return new TaskContext()
  },

  late() {
    return inUse ? new TaskContext() : null
  },

  afterStep() {
    if (!touched) return null
    inUse = true
    const context = new TaskContext()
    clear()
    return context
  }
}

/** Runs one turn, in which no task finds anything that another has stored. */
export function runTurn(turn: (count: number) => number, count: number): number {
  return (FRAME === undefined ? turnResource : bare).runInAsyncScope(turnInside, undefined, turn, count)
}

function turnInside(turn: (count: number) => number, count: number): number {
  const next = turn(count)
  // A step that has replaced the frame by enterWith() is noticed here only: looking after each step would cost as much as
  // the step does. From now on each has its own.
  if (FRAME !== undefined && !inUse && hasStores()) inUse = true
  return next
}

function clear(): void {
  touched = false
  for (const symbol of Object.getOwnPropertySymbols(bare)) {
    if (symbol.description === STORE && symbol !== ownStore) bare[symbol] = undefined
  }
}

export function nodeAsyncContext(): AsyncContext {
  const storage = (tasks = new AsyncLocalStorage<Task>())
  // Enters it once, to see under which symbol its values are kept.
  const probe = new AsyncResource(RESOURCE, UNTRACKED)
  probe.runInAsyncScope(() => {
    const before = new Set(Object.getOwnPropertySymbols(probe))
    storage.run(null as never, () => {})
    ownStore = Object.getOwnPropertySymbols(probe).find((symbol) => !before.has(symbol)) ?? null
  })
  return {
    run: (task, body) => storage.run(task, body),
    task: () => storage.getStore() ?? null
  }
}
