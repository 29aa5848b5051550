/**
 * Several operations at once. Each runs in a task of a scope of its own; those that are not needed any more are cancelled
 * and waited for, so that nothing of them goes on when the combinator has completed.
 */
import { current } from './ambient.js'
import { debug } from './debug.js'
import { enterScope } from './enter-scope.js'
import { Cancelled, ScopeError, type Failure } from './errors.js'
import { Leaf } from './leaf.js'
import { op } from './op.js'
import type { Scope } from './scope.js'
import { Contender, type Task } from './task.js'
import type { Coroutine, Op } from './types.js'
import { invalidType } from './validate.js'

/** What an operation, a task or a promise gives. */
export type Result<O> = O extends Op<infer T> ? T : never
/** What each of several operations gives, in their order. */
export type Results<Ops extends readonly Op<unknown>[]> = { -readonly [I in keyof Ops]: Result<Ops[I]> }

/** How an operation has ended: with a value, or with an error. */
export type Settled<T> =
  | { readonly status: 'fulfilled'; readonly value: T }
  | { readonly status: 'rejected'; readonly reason: unknown }
/** How each of several operations has ended, in their order. */
export type SettledResults<Ops extends readonly Op<unknown>[]> = { -readonly [I in keyof Ops]: Settled<Result<Ops[I]>> }

/**
 * Waits for all, and gives their results in the order of the operations. The first that fails cancels the others; when
 * they have ended, a `ScopeError` is thrown. On cancel all are cancelled and waited for. An operation that is a task is
 * only joined: cancelling the wait leaves the task alone.
 *
 * @example
 * const [user, rights] = yield* all([query('user'), query('rights')])
 */
export function all<const Ops extends readonly Op<unknown>[]>(ops: Ops): Op<Results<Ops>> {
  checkOps(ops)
  return op(function* () {
    const tasks = yield* enterScope(function* (scope: Scope) {
      return ops.map((each) => Contender.drive(scope, each))
    })
    return tasks.map((task) => task.result()) as Results<Ops>
  })
}

/**
 * Waits for all, whatever becomes of them, and says what did: like `Promise.allSettled`. An operation that was cancelled
 * by itself (a task that somebody cancelled) is rejected with its `TaskCancelledError`.
 *
 * @example
 * for (const outcome of yield* allSettled(jobs)) if (outcome.status === 'rejected') report(outcome.reason)
 */
export function allSettled<const Ops extends readonly Op<unknown>[]>(ops: Ops): Op<SettledResults<Ops>> {
  checkOps(ops)
  return op(function* () {
    const outcomes: Settled<unknown>[] = []
    yield* enterScope(function* (scope: Scope) {
      ops.forEach((each, i) => Contender.spawn(scope, settle, [each, outcomes, i]))
    })
    return outcomes as SettledResults<Ops>
  })
}

/**
 * Waits for the first that ends, and gives its result; a failure is thrown in a `ScopeError`. The others are cancelled
 * and waited for; one that was about to complete is called off, so that its data, its connection or its lock is not lost.
 * What has completed inside an operation made of several cannot be called off: not a race, in particular, that has been
 * decided and waits for its losers, so put all of them into one. With no operations at all it waits until it is cancelled.
 *
 * @example
 * const winner = yield* race([connection.readSome(), stop.wait()])
 */
export function race<const Ops extends readonly Op<unknown>[]>(ops: Ops): Op<Result<Ops[number]>> {
  checkOps(ops)
  return op(() => firstOf<Result<Ops[number]>>(ops, null))
}

/**
 * Waits for the first that succeeds, and gives its result; the others are cancelled and waited for. When all have failed
 * a `ScopeError` with all their errors is thrown, in the order in which they failed.
 *
 * @example
 * const connection = yield* any(addresses.map((host) => connect({ host, port: 6379 })))
 */
export function any<const Ops extends readonly Op<unknown>[]>(ops: Ops): Op<Result<Ops[number]>> {
  checkOps(ops)
  return op(() => firstOf<Result<Ops[number]>>(ops, []))
}

/** `tolerated`: where failures are kept while others may still succeed; null if the first one decides. */
function* firstOf<T>(ops: readonly Op<unknown>[], tolerated: Failure[] | null): Coroutine<T> {
  let winner: { value: T } | null = null
  yield* enterScope(function* (scope: Scope) {
    const contend = function* contender(each: Op<unknown>): Coroutine<void> {
      const task = current as Task
      let value: T
      try {
        value = (yield* each) as T
      } catch (error) {
        if (tolerated !== null && !scope.cancelled) {
          tolerated.push(task.failure(error))
          return
        }
        // Its failure decides, too: what the others were about to complete with would be lost.
        if (!(error instanceof Cancelled)) scope.cancelBy(error, task, true)
        throw error
      }
      // One that cannot be called off, as closing is, may complete after the winner.
      winner ??= { value }
      scope.cancelBy('another operation was first', task, true)
    }
    for (const each of ops) Contender.spawn(scope, contend, [each])
    if (ops.length === 0 && tolerated === null) yield* new Never()
  })
  if (winner === null) throw new ScopeError(tolerated ?? [])
  return (winner as { value: T }).value
}

function* settle(each: Op<unknown>, outcomes: Settled<unknown>[], i: number): Coroutine<void> {
  try {
    outcomes[i] = { status: 'fulfilled', value: yield* each }
  } catch (reason) {
    if (reason instanceof Cancelled) throw reason
    outcomes[i] = { status: 'rejected', reason }
  }
}

/** Waits until it is cancelled. */
class Never extends Leaf<never> {
  protected override attempt(): boolean {
    return false
  }

  protected override arm(): void {}

  override disarm(): void {}
}

/** From here on they are the combinator's: if that is not driven, it alone is at fault. */
function checkOps(ops: unknown): void {
  if (!Array.isArray(ops)) throw invalidType('ops', 'an array of operations', ops)
  if (debug !== null) for (const each of ops) debug.driven(each)
  ops.forEach((each: unknown, i) => {
    if (typeof each === 'object' && each !== null && Symbol.iterator in each && 'then' in each) return
    throw invalidType(`ops[${i}]`, 'an operation or a task (a promise becomes one with until())', each)
  })
}
