/**
 * A scope owns tasks and is cancelled as a whole: the task group and the cancel scope in one.
 *
 * Cancelling marks the scope and every scope below it, and interrupts the tasks that are parked in them. A scope knows
 * nothing of time; deadlines cancel it from outside.
 */
import { CoreactorError } from './errors.js';
import { AwaitTask, Task } from './task.js';
import { checkFunction } from './validate.js';
export class Scope {
    /** @internal Use `scope`. */
    constructor(scheduler, parent, host, encloses = false) {
        /** @internal Invariant: true exactly when this scope or one that it is in has been cancelled. */
        this.cancelRequested = false;
        /** @internal The first reason wins. */
        this.cancelReason = undefined;
        /** Invariant: true exactly when `cancel` was called on this very scope. */
        this.ownCancel = false;
        /** Errors of children, in the order of their ends. */
        this.errors = null;
        /** Invariant: a list through nextSibling of the tasks whose owner this is and that have not ended. */
        this.firstChild = null;
        /** Invariant: a list through nextScope of the open scopes whose parent this is. */
        this.firstScope = null;
        this.previousScope = null;
        this.nextScope = null;
        /** The host, waiting for the last child to end. */
        this.emptied = null;
        this.controller = null;
        /** Invariant: true once the host has left; nothing can be spawned any more. */
        this.left = false;
        this.scheduler = scheduler;
        this.parent = parent;
        this.host = host;
        this.encloses = encloses;
        if (parent === null)
            return;
        parent.linkScope(this);
        this.cancelRequested = parent.cancelRequested;
        this.cancelReason = parent.cancelReason;
    }
    /** Starts a task that this scope waits for. It first runs later in the turn, never inside this call. */
    spawn(body, ...args) {
        checkFunction('body', body);
        if (this.left)
            throw new CoreactorError('ERR_COREACTOR_SCOPE_ENDED', 'the scope has ended: it takes no more tasks');
        return Task.spawn(this, body, args);
    }
    /**
     * Ends everything inside: every operation throws `Cancelled` until the scope is left, which absorbs it. The first call
     * wins; later ones do nothing. Operations that have completed already stay completed.
     */
    cancel(reason) {
        if (this.ownCancel)
            return;
        this.ownCancel = true;
        if (!this.cancelRequested)
            this.propagate(reason);
    }
    /** Whether this scope, or one that it is in, has been cancelled. */
    get cancelled() {
        return this.cancelRequested;
    }
    /** Aborted when the scope is cancelled: for `fetch` and whatever else takes a signal. */
    get signal() {
        if (this.controller === null) {
            this.controller = new AbortController();
            if (this.cancelRequested)
                this.controller.abort(this.cancelReason);
        }
        return this.controller.signal;
    }
    /** @internal A promise for an operation that is driven here and now. */
    promise(op) {
        return new Promise((resolve, reject) => {
            new AwaitTask(this, op, resolve, reject);
        });
    }
    /** @internal The scope that holds just this child and all that it has entered: what `Task.cancel` cancels. */
    enclose(child) {
        let outermost = null;
        for (let scope = child.scope; scope !== this; scope = scope.parent)
            outermost = scope;
        if (outermost?.encloses === true)
            return outermost;
        const enclosing = new Scope(this.scheduler, this, child, true);
        if (outermost === null) {
            child.scope = enclosing;
        }
        else {
            this.unlinkScope(outermost);
            outermost.parent = enclosing;
            enclosing.linkScope(outermost);
        }
        return enclosing;
    }
    /** @internal */
    adopt(task) {
        task.nextSibling = this.firstChild;
        if (this.firstChild !== null)
            this.firstChild.previousSibling = task;
        this.firstChild = task;
        this.scheduler.taskStarted();
    }
    /** @internal */
    childEnded(task, failed) {
        if (task.scope !== this)
            this.close(task);
        this.disown(task);
        if (failed)
            this.childFailed(task);
        if (this.firstChild === null)
            this.emptied?.wake();
        this.scheduler.taskEnded();
    }
    /** @internal Invariant of the caller: only the host waits for it. */
    get empty() {
        return this.firstChild === null;
    }
    /** @internal */
    set onEmpty(waiter) {
        this.emptied = waiter;
    }
    /** @internal Whether the cancellation that ends the body is this scope's own, and not one from further out. */
    get absorbs() {
        return this.ownCancel && !this.parent.cancelRequested;
    }
    /** @internal Leaves the tree, and gives the errors of the children. */
    leave() {
        this.left = true;
        this.host.scope = this.parent;
        this.parent.unlinkScope(this);
        return this.errors ?? [];
    }
    close(task) {
        // Only a scope that `Task.cancel` made can be open still: the others are left before their host ends.
        this.unlinkScope(task.scope);
        task.scope = this;
    }
    disown(task) {
        if (task.previousSibling === null)
            this.firstChild = task.nextSibling;
        else
            task.previousSibling.nextSibling = task.nextSibling;
        if (task.nextSibling !== null)
            task.nextSibling.previousSibling = task.previousSibling;
        task.previousSibling = null;
        task.nextSibling = null;
    }
    childFailed(task) {
        const error = task.failure;
        if (this.parent === null) {
            this.scheduler.host.uncaught(error);
            return;
        }
        ;
        (this.errors ??= []).push(error);
        this.cancel(error);
    }
    propagate(reason) {
        this.cancelRequested = true;
        this.cancelReason = reason;
        this.controller?.abort(reason);
        for (let task = this.firstChild; task !== null; task = task.nextSibling) {
            if (task.scope === this)
                task.interrupt();
        }
        if (this.host !== null && this.host.scope === this)
            this.host.interrupt();
        for (let scope = this.firstScope; scope !== null; scope = scope.nextScope) {
            if (!scope.cancelRequested)
                scope.propagate(reason);
        }
    }
    linkScope(scope) {
        scope.previousScope = null;
        scope.nextScope = this.firstScope;
        if (this.firstScope !== null)
            this.firstScope.previousScope = scope;
        this.firstScope = scope;
    }
    unlinkScope(scope) {
        if (scope.previousScope === null)
            this.firstScope = scope.nextScope;
        else
            scope.previousScope.nextScope = scope.nextScope;
        if (scope.nextScope !== null)
            scope.nextScope.previousScope = scope.previousScope;
    }
}
