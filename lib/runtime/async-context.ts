/**
 * Node's async context (AsyncLocalStorage) in coroutines: a task begins with that of whoever spawned it, and each of its
 * steps runs in what the step before left. Node does this for promises; a coroutine that the scheduler resumes has none.
 *
 * Carrying is done with AsyncResource alone. It costs a step some 40 ns, so it begins when somebody in this thread is seen
 * to use an AsyncLocalStorage; and seeing that takes looking where Node keeps what storages hold. In a frame, on Node 24
 * and later: a Map that is replaced, never changed. As properties of the current async resource, on Node 20 and 22. Which
 * of them it is, is tried out when this file is loaded; if it is neither, contexts are always carried.
 */
import { AsyncLocalStorage, AsyncResource, executionAsyncId, executionAsyncResource } from 'node:async_hooks'
import type { AsyncContext, Context, Contexts } from '../task/ambient.js'
import type { Task } from '../task/task.js'

const RESOURCE = 'coreactor.task'
/** For resources that are only looked at. A number makes one in half the time. */
const NO_TRIGGER = 0

/** Anything of Node's, with what it keeps there under symbols of its own. */
type Kept = Record<symbol, unknown>
type Frame = ReadonlyMap<unknown, unknown> | undefined

/** Where an AsyncResource keeps the frame in which it was made. Node 22 has the symbol, and a frame only with a flag. */
const FRAME = symbolsOf(new AsyncResource(RESOURCE)).find(({ description }) => description === 'context_frame')

const trial = new AsyncLocalStorage<object | null>()
const IN_FRAMES = tryOut(trial, (mark) => currentFrame()?.get(trial) === mark)
/** What the properties of resources are called that hold what a storage does; undefined if they do not. */
const PROPERTY = propertyOf(trial)?.description
// It has switched the async hooks of Node 20 and 22 on.
trial.disable()

/** Carries the tasks of async functions through their awaits. Node 20 and 22 then keep async hooks on: 150 ns an await. */
let tasks: AsyncLocalStorage<Task | null> | null = null
/** The property that `tasks` uses: it is not somebody else's use. */
let ownProperty: symbol | null = null
/** Invariant: true from the moment somebody was seen to use a storage; from the beginning where that cannot be seen. */
let inUse = !IN_FRAMES && PROPERTY === undefined
/** A step on the turn's own resource has stored something there. */
let touched = false

function symbolsOf(kept: object): symbol[] {
  return Object.getOwnPropertySymbols(kept)
}

function currentFrame(): Frame {
  return FRAME === undefined ? undefined : ((new AsyncResource(RESOURCE, NO_TRIGGER) as unknown as Kept)[FRAME] as Frame)
}

/** Looks at what it is like when `storage` holds something, and leaves no trace of it. */
function tryOut<R>(storage: AsyncLocalStorage<object | null>, look: (mark: object) => R): R {
  const mark = {}
  return new AsyncResource(RESOURCE).runInAsyncScope(() => storage.run(mark, look, mark))
}

function propertyOf(storage: AsyncLocalStorage<object | null>): symbol | undefined {
  return tryOut(storage, (mark) => {
    const resource = executionAsyncResource() as Kept
    return symbolsOf(resource).find((symbol) => resource[symbol] === mark)
  })
}

/** Turns run in a resource of their own, which is empty again when a step has been done. */
const empty = new AsyncResource(RESOURCE)
// Whoever loads the library may do so in a context.
if (FRAME !== undefined) (empty as unknown as Kept)[FRAME] = undefined
clear()

/** The same, that notices what is stored in it: a property of a resource is written and nobody told. */
const noticing = new Proxy(empty, {
  set(target, key, value) {
    if (key !== ownProperty) touched = true
    return Reflect.set(target, key, value)
  }
})

const turnResource = IN_FRAMES ? empty : noticing
/** Comparing numbers finds out in a tenth of the time whether a step runs in it. */
const TURN_ID = empty.asyncId()

function clear(): void {
  touched = false
  const resource = empty as unknown as Kept
  for (const symbol of symbolsOf(resource)) if (isStore(symbol)) resource[symbol] = undefined
}

/** Whether it is the property in which a resource keeps what somebody's storage holds. */
function isStore(symbol: symbol): boolean {
  return symbol.description === PROPERTY && symbol !== ownProperty
}

/** Whether somebody's storage holds something here; or has, which leaves a frame that says `undefined`. */
function hasStores(): boolean {
  if (IN_FRAMES) {
    const frame = currentFrame()
    return frame !== undefined && frame.size > (tasks !== null && frame.has(tasks) ? 1 : 0)
  }
  if (touched) return true
  if (executionAsyncId() === TURN_ID) return false
  const resource = executionAsyncResource() as Kept
  return symbolsOf(resource).some((symbol) => isStore(symbol) && resource[symbol] !== undefined)
}

class TaskContext implements Context {
  private resource = new AsyncResource(RESOURCE)

  step(task: Task): void {
    this.resource.runInAsyncScope(this.stepInside, this, task)
  }

  private stepInside(task: Task): void {
    task.run()
    // A resource keeps what was stored in it. A frame that was replaced is gone if nothing is made in it.
    if (PROPERTY === undefined) this.resource = new AsyncResource(RESOURCE)
  }
}

const newContext = (): Context => new TaskContext()

export const contexts: Contexts = {
  capture() {
    if (!inUse && !hasStores()) return null
    inUse = true
    // The new task is not the one that spawns it, even in callbacks that it leaves behind.
    return tasks === null ? newContext() : tasks.run(null, newContext)
  },

  late() {
    // Another task of this turn may just have been the first to store something.
    return inUse ? empty.runInAsyncScope(newContext) : null
  },

  afterStep() {
    if (IN_FRAMES ? !hasStores() : !touched) return null
    inUse = true
    const context = newContext()
    clear()
    return context
  }
}

/** Runs one turn, in which no task finds anything that another has stored. */
export function runTurn(turn: (count: number) => number, count: number): number {
  return turnResource.runInAsyncScope(turn, undefined, count)
}

export function nodeAsyncContext(): AsyncContext {
  const storage = (tasks = new AsyncLocalStorage<Task | null>())
  ownProperty = propertyOf(storage) ?? null
  return {
    run: (task, body) => storage.run(task, body),
    task: () => storage.getStore() ?? null
  }
}
