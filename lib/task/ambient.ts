/**
 * Which task is running now, and in which scope an operation that is awaited outside any task runs.
 *
 * Inside a step of a coroutine the scheduler knows (`current`). The continuations of an async function run in microtasks,
 * where `current` is null: there the task is found through Node's AsyncLocalStorage, which the runtime installs here when
 * the first such task starts.
 */
import { CoreactorError } from './errors.js'
import type { Scope } from './scope.js'
import type { Task } from './task.js'

/** The task whose step is on the stack. Set by `Task.run` only. */
export let current: Task | null = null

export function setCurrent(task: Task | null): void {
  current = task
}

/** What Node's AsyncLocalStorage instances hold: captured when a task is made, kept up while it runs. */
export interface Context {
  /** Runs a step of the task in it. What the step changes is there in the next one. */
  step(task: Task): void
}

/** Where they come from. Null as long as nobody in this thread uses any. */
export interface Contexts {
  /** That of whoever calls. */
  capture(): Context | null
  /** For a task that has none and is about to run. */
  late(): Context | null
  /** For a task that has just run without one: what it has stored meanwhile. */
  afterStep(): Context | null
}

/** Carries the task of an async function through its awaits. */
export interface AsyncContext {
  run<R>(task: Task, body: () => R): R
  task(): Task | null
}

/** What the runtime provides to this room, once per thread. */
export interface Ambience {
  asyncContext(): AsyncContext
  readonly contexts: Contexts
  /** The scope of operations awaited outside any task. It never ends and is never cancelled. */
  backgroundScope(): Scope
}

let ambience: Ambience | null = null
let asyncContext: AsyncContext | null = null

export function installAmbience(provided: Ambience): void {
  ambience = provided
  contexts = provided.contexts
}

export function runAsync<R>(task: Task, body: () => R): R {
  asyncContext ??= (ambience as Ambience).asyncContext()
  return asyncContext.run(task, body)
}

/** @internal Set once, before the first task. */
export let contexts: Contexts

/** The running task, or null outside any. */
export function ambientTask(): Task | null {
  if (current !== null) return current
  const task = asyncContext === null ? null : asyncContext.task()
  // The context outlives the task in callbacks that its function left behind; they belong to no task any more.
  return task === null || task.ended ? null : task
}

/** Where an operation that somebody awaits now runs. */
export function ambientScope(): Scope {
  return ambientTask()?.scope ?? (ambience as Ambience).backgroundScope()
}

/** The running task, for what makes sense only in one. */
export function requireTask(what: string): Task {
  const task = ambientTask()
  if (task === null) {
    throw new CoreactorError('ERR_COREACTOR_NO_TASK', `${what} works only inside a task: start one with run()`)
  }
  return task
}
