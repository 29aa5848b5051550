/**
 * A scope owns tasks and is cancelled as a whole: the task group and the cancel scope in one.
 *
 * Cancelling marks the scope and every scope below it, and interrupts the tasks that are parked in them. A scope knows
 * nothing of time; deadlines cancel it from outside.
 */
import { ambientTask } from './ambient.js'
import { CoreactorError, type Failure } from './errors.js'
import type { Scheduler } from './scheduler.js'
import { AwaitTask, Task, type Steps } from './task.js'
import { StartingTask, start, type StartBody } from './start.js'
import type { Body, Op, Waiter } from './types.js'
import { checkFunction } from './validate.js'

/** @internal A cancellation on its way down the tree. */
export interface Cancellation {
  readonly reason: unknown
  readonly origin: Task | null
  readonly retract: boolean
  /** Whose signals are to be aborted when the tree has been walked. */
  readonly controllers: AbortController[]
}

/** A group of tasks that is cancelled as one, and waits for all of them before it is left. `scope` opens one. */
export class Scope {
  /** @internal */
  readonly scheduler: Scheduler
  /** @internal The task that runs the body, or that the scope was put around; null for the background scope. */
  readonly host: Task | null
  /** Made by `enclose`, and not entered by the host. */
  private readonly encloses: boolean
  /** @internal Changes only when `Task.cancel` puts a scope between. */
  parent: Scope | null
  /** @internal Invariant: true exactly when this scope or one that it is in has been cancelled. */
  cancelRequested = false
  /** @internal The first reason wins. */
  cancelReason: unknown = undefined
  /** @internal Who gave it. */
  cancelOrigin: Task | null = null
  /** Invariant: true exactly when `cancel` was called on this very scope. */
  protected ownCancel = false
  /** Of children, in the order of their ends. */
  private failures: Failure[] | null = null
  /** Invariant: a list through nextSibling of the tasks whose owner this is and that have not ended. */
  private firstChild: Task | null = null
  /** Invariant: a list through nextScope of the open scopes whose parent this is. */
  private firstScope: Scope | null = null
  private previousScope: Scope | null = null
  private nextScope: Scope | null = null
  /** Invariant: true once a child has ended with the cancellation of this scope. */
  private childCutOff = false
  /** The host, waiting for the last child to end. */
  private emptied: Waiter | null = null
  private controller: AbortController | null = null
  /** Invariant: true once the host has left; nothing can be spawned any more. */
  private left = false

  /** @internal Use `scope`. */
  constructor(scheduler: Scheduler, parent: Scope | null, host: Task | null, encloses = false) {
    this.scheduler = scheduler
    this.parent = parent
    this.host = host
    this.encloses = encloses
    if (parent === null) return
    parent.linkScope(this)
    this.cancelRequested = parent.cancelRequested
    this.cancelReason = parent.cancelReason
    this.cancelOrigin = parent.cancelOrigin
  }

  /** Starts a task that this scope waits for. It first runs later in the turn, never inside this call. */
  spawn<A extends unknown[], T>(body: Body<A, T>, ...args: A): Task<T> {
    checkFunction('body', body)
    this.checkOpen()
    return Task.spawn(this.owning, body, args)
  }

  /** @internal The same for a body that somebody else advances: the task is called as `body` is, or else `name`. */
  advance<T>(steps: Steps, body: Body<never[], T>, name: string): Task<T> {
    this.checkOpen()
    return Task.advance<T>(this.owning, steps, body, name)
  }

  /**
   * Starts a task, and completes with the value that it reports by calling its first argument, `started`: a server that
   * listens, a worker that has connected. From then on it is a task like any other. Until then its error is thrown here
   * (`ERR_COREACTOR_NOT_STARTED` if it ends without reporting), and cancelling this wait cancels it and waits for its end,
   * also if it reports in the meantime.
   *
   * @example
   * const port = yield* tasks.start(function* (started: (port: number) => void) {
   *   const listener = yield* listen({ port: 0 })
   *   started(listener.address.port)
   *   for (;;) tasks.spawn(serveOne, yield* listener.accept())
   * })
   */
  start<V, A extends unknown[]>(body: StartBody<V, A>, ...args: A): Op<V> {
    checkFunction('body', body)
    return start(() => {
      this.checkOpen()
      return new StartingTask<V>(this.owning, body, args)
    })
  }

  /**
   * Ends everything inside: every operation throws `Cancelled` until the scope is left, which absorbs it. The first call
   * wins; later ones do nothing. Operations that have completed already stay completed.
   */
  cancel(reason?: unknown): void {
    this.cancelBy(reason, ambientTask(), false)
  }

  /**
   * @internal `retract`: also what has been woken and not resumed is called off. So an operation that loses a race has
   * not happened, where otherwise it would complete and its result be lost.
   */
  cancelBy(reason: unknown, origin: Task | null, retract: boolean): void {
    if (this.ownCancel) return
    this.ownCancel = true
    if (this.cancelRequested) {
      if (retract) this.retractReady()
      return
    }
    const controllers: AbortController[] = []
    this.propagate({ reason, origin, retract, controllers })
    abortAll(controllers, reason)
  }

  /** Whether this scope, or one that it is in, has been cancelled. */
  get cancelled(): boolean {
    return this.cancelRequested
  }

  /** Aborted when the scope is cancelled: for `fetch` and whatever else takes a signal. */
  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController()
      if (this.cancelRequested) this.controller.abort(this.cancelReason)
    }
    return this.controller.signal
  }

  /** @internal A promise for an operation that is driven here and now. */
  promise<T>(op: Op<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      new AwaitTask(this, op, resolve, reject)
    })
  }

  /** @internal The scope that holds just this child and all that it has entered: what `Task.cancel` cancels. */
  enclose(child: Task): Scope {
    return this.encloseIn(this, child)
  }

  /** @internal Where tasks are spawned that are spawned here: one that `Task.cancel` made is waited for by nobody. */
  get owning(): Scope {
    return this.encloses ? (this.parent as Scope).owning : this
  }

  /** @internal `child` of the owning scope is in this one, from its beginning. */
  hold(child: Task): void {
    if (this.encloses) child.scope = new Scope(this.scheduler, this, child, true)
  }

  /** @internal */
  adopt(task: Task): void {
    task.nextSibling = this.firstChild
    if (this.firstChild !== null) this.firstChild.previousSibling = task
    this.firstChild = task
    this.scheduler.taskStarted()
  }

  /** @internal */
  childEnded(task: Task, failed: boolean): void {
    if (task.scope !== this) this.close(task)
    this.disown(task)
    if (failed) this.childFailed(task)
    else if (this.cancelRequested && task.outcome === 'cancelled') this.childCutOff = true
    if (this.firstChild === null) this.emptied?.wake()
    this.scheduler.taskEnded()
  }

  /** @internal Invariant of the caller: only the host waits for it. */
  get empty(): boolean {
    return this.firstChild === null
  }

  /** @internal */
  set onEmpty(waiter: Waiter | null) {
    this.emptied = waiter
  }

  /** @internal It has been left. */
  get closed(): boolean {
    return this.left
  }

  /** @internal Whether the cancellation that ends the body is this scope's own, and not one from further out. */
  get absorbs(): boolean {
    return this.ownCancel && !(this.parent as Scope).cancelRequested
  }

  /** @internal Whether children that it was to wait for were cut off by a cancellation from further out. */
  get cutOff(): boolean {
    return this.childCutOff && !this.ownCancel
  }

  /** @internal Leaves the tree, and tells how children have failed. */
  leave(): readonly Failure[] {
    this.left = true
    ;(this.host as Task).scope = this.parent as Scope
    ;(this.parent as Scope).unlinkScope(this)
    return this.failures ?? []
  }

  /** @internal Every task that has not ended, here and in the scopes below. */
  *tasks(): Generator<Task, void> {
    for (let task = this.firstChild; task !== null; task = task.nextSibling) yield task
    for (let scope = this.firstScope; scope !== null; scope = scope.nextScope) yield* scope.tasks()
  }

  /** @internal The outermost scope that this one is in, beside the background: the one that `run` opened. */
  get root(): Scope {
    const above = this.parent?.owning
    return above === undefined || above.parent === null ? this : above.root
  }

  private encloseIn(around: Scope, child: Task): Scope {
    let outermost: Scope | null = null
    for (let scope = child.scope; scope !== this; scope = scope.parent as Scope) outermost = scope
    if (outermost?.encloses === true) return outermost
    const enclosing = new Scope(this.scheduler, around, child, true)
    if (outermost === null) {
      child.scope = enclosing
    } else {
      this.unlinkScope(outermost)
      outermost.parent = enclosing
      enclosing.linkScope(outermost)
    }
    for (let awaited = child.firstAwait; awaited !== null; awaited = awaited.nextAwait) this.encloseIn(enclosing, awaited)
    return enclosing
  }

  private close(task: Task): void {
    // Only a scope that `Task.cancel` made can be open still: the others are left before their host ends.
    ;(task.scope.parent as Scope).unlinkScope(task.scope)
    task.scope = this
  }

  private disown(task: Task): void {
    if (task.previousSibling === null) this.firstChild = task.nextSibling
    else task.previousSibling.nextSibling = task.nextSibling
    if (task.nextSibling !== null) task.nextSibling.previousSibling = task.previousSibling
    task.previousSibling = null
    task.nextSibling = null
  }

  private childFailed(task: Task): void {
    const failure = task.failure()
    if (this.parent === null) {
      this.scheduler.host.uncaught(failure)
      return
    }
    ;(this.failures ??= []).push(failure)
    this.cancelBy(failure.error, task, false)
  }

  private checkOpen(): void {
    if (this.owning.left) throw new CoreactorError('ERR_COREACTOR_SCOPE_ENDED', 'the scope has ended: it takes no more tasks')
  }

  private propagate(cancellation: Cancellation): void {
    const { reason, origin, retract, controllers } = cancellation
    this.cancelRequested = true
    this.cancelReason = reason
    this.cancelOrigin = origin
    if (this.controller !== null) controllers.push(this.controller)
    for (let task = this.firstChild; task !== null; task = task.nextSibling) {
      if (task.scope === this) task.interrupt(retract)
    }
    if (this.host !== null && this.host.scope === this) this.host.interrupt(retract)
    for (let scope = this.firstScope; scope !== null; scope = scope.nextScope) {
      if (!scope.cancelRequested) scope.arrive(cancellation)
    }
  }

  /** It has been cancelled already, when what had completed was to stay completed; that is different now. */
  private retractReady(): void {
    for (let task = this.firstChild; task !== null; task = task.nextSibling) {
      if (task.scope === this) task.interrupt(true)
    }
    if (this.host !== null && this.host.scope === this) this.host.interrupt(true)
    for (let scope = this.firstScope; scope !== null; scope = scope.nextScope) {
      if (scope.cancelRequested) scope.retractReady()
    }
  }

  /** The scope that this one is in has been cancelled. @internal */
  protected arrive(cancellation: Cancellation): void {
    this.propagate(cancellation)
  }

  /** Lets in the cancellation of the scope that this one is in, if there is one. @internal */
  protected admit(): void {
    const { cancelRequested, cancelReason: reason, cancelOrigin: origin } = this.parent as Scope
    if (!cancelRequested || this.cancelRequested) return
    const controllers: AbortController[] = []
    this.propagate({ reason, origin, retract: false, controllers })
    abortAll(controllers, reason)
  }

  private linkScope(scope: Scope): void {
    scope.previousScope = null
    scope.nextScope = this.firstScope
    if (this.firstScope !== null) this.firstScope.previousScope = scope
    this.firstScope = scope
  }

  private unlinkScope(scope: Scope): void {
    if (scope.previousScope === null) this.firstScope = scope.nextScope
    else scope.previousScope.nextScope = scope.nextScope
    if (scope.nextScope !== null) scope.nextScope.previousScope = scope.previousScope
  }
}

/** Last: abort listeners are somebody's code, and may well change the tree that has just been walked. */
function abortAll(controllers: readonly AbortController[], reason: unknown): void {
  for (const controller of controllers) controller.abort(reason)
}
