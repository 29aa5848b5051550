/**
 * A scope owns tasks and is cancelled as a whole: the task group and the cancel scope in one.
 *
 * Cancelling marks the scope and every scope below it, and interrupts the tasks that are parked in them. A scope knows
 * nothing of time; deadlines cancel it from outside.
 */
import { CoreactorError } from './errors.js'
import type { Scheduler } from './scheduler.js'
import { AwaitTask, Task } from './task.js'
import type { Body, Op, Waiter } from './types.js'
import { checkFunction } from './validate.js'

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
  /** Invariant: true exactly when `cancel` was called on this very scope. */
  private ownCancel = false
  /** Errors of children, in the order of their ends. */
  private errors: unknown[] | null = null
  /** Invariant: a list through nextSibling of the tasks whose owner this is and that have not ended. */
  private firstChild: Task | null = null
  /** Invariant: a list through nextScope of the open scopes whose parent this is. */
  private firstScope: Scope | null = null
  private previousScope: Scope | null = null
  private nextScope: Scope | null = null
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
  }

  /** Starts a task that this scope waits for. It first runs later in the turn, never inside this call. */
  spawn<A extends unknown[], T>(body: Body<A, T>, ...args: A): Task<T> {
    checkFunction('body', body)
    if (this.left) throw new CoreactorError('ERR_COREACTOR_SCOPE_ENDED', 'the scope has ended: it takes no more tasks')
    return Task.spawn(this, body, args)
  }

  /**
   * Ends everything inside: every operation throws `Cancelled` until the scope is left, which absorbs it. The first call
   * wins; later ones do nothing. Operations that have completed already stay completed.
   */
  cancel(reason?: unknown): void {
    if (this.ownCancel) return
    this.ownCancel = true
    if (this.cancelRequested) return
    const controllers: AbortController[] = []
    this.propagate(reason, controllers)
    // Last: abort listeners are somebody's code, and may well change the tree that has just been walked.
    for (const controller of controllers) controller.abort(reason)
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
    let outermost: Scope | null = null
    for (let scope = child.scope; scope !== this; scope = scope.parent as Scope) outermost = scope
    if (outermost?.encloses === true) return outermost
    const enclosing = new Scope(this.scheduler, this, child, true)
    if (outermost === null) {
      child.scope = enclosing
    } else {
      this.unlinkScope(outermost)
      outermost.parent = enclosing
      enclosing.linkScope(outermost)
    }
    return enclosing
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

  /** @internal Whether the cancellation that ends the body is this scope's own, and not one from further out. */
  get absorbs(): boolean {
    return this.ownCancel && !(this.parent as Scope).cancelRequested
  }

  /** @internal Leaves the tree, and gives the errors of the children. */
  leave(): readonly unknown[] {
    this.left = true
    ;(this.host as Task).scope = this.parent as Scope
    ;(this.parent as Scope).unlinkScope(this)
    return this.errors ?? []
  }

  private close(task: Task): void {
    // Only a scope that `Task.cancel` made can be open still: the others are left before their host ends.
    this.unlinkScope(task.scope)
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
    const error = task.failure
    if (this.parent === null) {
      this.scheduler.host.uncaught(error)
      return
    }
    ;(this.errors ??= []).push(error)
    this.cancel(error)
  }

  private propagate(reason: unknown, controllers: AbortController[]): void {
    this.cancelRequested = true
    this.cancelReason = reason
    if (this.controller !== null) controllers.push(this.controller)
    for (let task = this.firstChild; task !== null; task = task.nextSibling) {
      if (task.scope === this) task.interrupt()
    }
    if (this.host !== null && this.host.scope === this) this.host.interrupt()
    for (let scope = this.firstScope; scope !== null; scope = scope.nextScope) {
      if (!scope.cancelRequested) scope.propagate(reason, controllers)
    }
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
