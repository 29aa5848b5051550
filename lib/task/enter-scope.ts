/** Running a body in a scope of its own: the one way in, and the one way out. */
import { current, runAsync } from './ambient.js'
import { cancelOnAbort, checkSignal } from './abort.js'
import { debug } from './debug.js'
import { Cancelled, ScopeError } from './errors.js'
import { Leaf } from './leaf.js'
import { op } from './op.js'
import { Scope } from './scope.js'
import { stepsOf, type Task } from './task.js'
import { isCoroutineFunction, type Body, type Coroutine, type Op, type Parked } from './types.js'
import { checkFunction } from './validate.js'

/** The host's wait for its last child. Committed: a scope that is cancelled waits all the same. */
class ChildrenEnded extends Leaf<void> {
  private readonly scope: Scope

  constructor(scope: Scope) {
    super()
    this.scope = scope
  }

  override get committed(): boolean {
    return true
  }

  protected override attempt(): boolean {
    return this.scope.empty && this.complete(undefined)
  }

  protected override arm(): void {
    this.scope.onEmpty = this
  }

  override disarm(): void {
    this.scope.onEmpty = null
  }
}

/** @internal What a kind of scope adds to the plain one. */
export interface ScopeHooks<S extends Scope = Scope> {
  /** A scope of another kind. */
  make?(host: Task): S
  /** It may be entered although the scope around it is cancelled. */
  readonly shielded?: boolean
  /** Before the body begins. */
  entered?(scope: S): void
  /** The scope's own cancellation cut the body off; may throw instead of letting the result be undefined. */
  absorbed?(scope: S): void
}

/** @internal Runs `body` in a new scope. */
export function* enterScope<T, S extends Scope = Scope>(body: Body<[S], T>, hooks: ScopeHooks<S> = {}): Coroutine<T> {
  const host = current as Task
  if (host.scope.cancelRequested && hooks.shielded !== true) throw host.cancellation()
  const scope = hooks.make === undefined ? new Scope(host.scheduler, host.scope, host) : hooks.make(host)
  host.scope = scope
  hooks.entered?.(scope as S)
  let outcome: Outcome<T>
  try {
    outcome = { kind: 'returned', value: yield* delegate(host, body, scope as S) }
  } catch (error) {
    outcome = !(error instanceof Cancelled)
      ? { kind: 'failed', error }
      : scope.absorbs
        ? { kind: 'absorbed' }
        : { kind: 'cancelled', error }
    if (debug !== null) debug.abandoned(scope, error)
    if (error instanceof Cancelled) scope.cancelBy(error.reason, error.origin, false)
    else scope.cancelBy(error, host, false)
  }
  if (!scope.empty) yield* new ChildrenEnded(scope)
  const failures = scope.leave()
  if (failures.length > 0) {
    const ofBody = outcome.kind === 'failed' ? [host.failure(outcome.error)] : []
    throw new ScopeError([...ofBody, ...failures])
  }
  if (outcome.kind === 'returned') {
    if (scope.cutOff) throw host.cancellation()
    return outcome.value
  }
  if (outcome.kind !== 'absorbed') throw outcome.error
  hooks.absorbed?.(scope as S)
  return undefined as T
}

type Outcome<T> =
  | { kind: 'returned'; value: T }
  | { kind: 'failed'; error: unknown }
  /** Cut off by the scope's own cancellation, which ends here. */
  | { kind: 'absorbed' }
  /** Cut off by one from further out, which goes on. */
  | { kind: 'cancelled'; error: Cancelled }

/** @internal Runs a body inside the coroutine of `host`: to be delegated to. */
export function delegate<A extends unknown[], T>(host: Task, body: Body<A, T>, ...args: A): Iterable<Parked, T> {
  return stepsOf(isCoroutineFunction(body) ? body(...(args as unknown as never[])) : runAsync(host, () => body(...args)))
}

/**
 * Runs `body` with a scope of its own, and waits for every task spawned in it, in whatever order they end.
 *
 * The first child that fails cancels the others and the body; when all have ended, a `ScopeError` with their errors is
 * thrown. An error of the body alone is thrown as it is, after the children were cancelled and have ended. When the body
 * is cut off by the scope's own `cancel`, the result is undefined. Cancelled from outside: everything inside is
 * cancelled, and `Cancelled` is thrown once it has ended, also if the body had returned and only children were cut off.
 *
 * @example
 * yield* scope(function* (tasks) {
 *   tasks.spawn(readLoop, connection)
 *   tasks.spawn(writeLoop, connection)
 * })
 */
export function scope<T>(body: Body<[Scope], T>, options: ScopeOptions = {}): Op<T> {
  checkFunction('body', body)
  const { signal } = options
  if (signal === undefined) return op(() => enterScope(body))
  checkSignal(signal)
  return op(() => enterAbortable(body, signal))
}

/** Options of `scope`. */
export interface ScopeOptions {
  /** Cancels the scope when it is aborted; the signal's reason is thrown then. */
  signal?: AbortSignal | undefined
}

/** @internal Runs `body` in a scope that a signal cancels. */
export function* enterAbortable<T>(body: Body<[Scope], T>, signal: AbortSignal): Coroutine<T> {
  let forget: (() => void) | undefined
  try {
    return yield* enterScope(body, {
      entered(scope) {
        forget = cancelOnAbort(scope, signal)
      },
      absorbed(scope) {
        if (signal.aborted && scope.cancelReason === signal.reason) throw signal.reason
      }
    })
  } finally {
    forget?.()
  }
}
