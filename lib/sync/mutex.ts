/** One at a time. */
import { ambientTask } from '../task/ambient.js'
import { CoreactorError } from '../task/errors.js'
import type { Task } from '../task/task.js'
import type { Body, Op } from '../task/types.js'
import { Line, type Standing } from './line.js'
import { using, type Permit } from './semaphore.js'
import { Waiting } from './waiting.js'

class MutexLock implements Permit {
  private readonly mutex: Mutex

  constructor(mutex: Mutex) {
    this.mutex = mutex
  }

  release(): void {
    if (this.mutex.lockHeld !== this) throw new CoreactorError('ERR_COREACTOR_RELEASED', 'the lock has been released already')
    this.mutex.pass()
  }

  [Symbol.dispose](): void {
    if (this.mutex.lockHeld === this) this.mutex.pass()
  }
}

class Lock extends Waiting<Permit> {
  protected readonly mutex: Mutex
  /** With what it is held afterwards. */
  readonly permit: Permit

  constructor(mutex: Mutex, line: Line<Standing>, permit: Permit) {
    super(line)
    this.mutex = mutex
    this.permit = permit
  }

  protected override take(): boolean {
    return !this.mutex.locked && this.complete(this.mutex.hold(this.permit, this.claimant))
  }

  /** Who holds it afterwards: the task that drives this. */
  get claimant(): Task | null {
    return this.task ?? ambientTask()
  }

  protected override arm(): void {
    const { claimant } = this
    if (claimant !== null && claimant === this.mutex.holder) {
      throw new CoreactorError('ERR_COREACTOR_DEADLOCK', `the task ${claimant.label} waits for a lock that it holds itself`)
    }
    super.arm()
  }

  protected override giveBack(lock: Permit): boolean {
    lock.release()
    return true
  }
}

/** Has the lock again, cancelled or not, and on behalf of the one who had it before. */
class Relock extends Lock {
  private readonly before: Task | null

  constructor(mutex: Mutex, line: Line<Standing>, permit: Permit, before: Task | null) {
    super(mutex, line, permit)
    this.before = before
  }

  override get committed(): boolean {
    return true
  }

  override get claimant(): Task | null {
    return this.before
  }
}

/**
 * Mutual exclusion, first come first served: between `lock` and `release` of one task nobody else holds the lock. It is
 * needed only around something that waits in between: without a wait, nobody else runs anyway. Locking again in the
 * coroutine that holds it throws `ERR_COREACTOR_DEADLOCK`. An async function may have several operations under way, so
 * none of its awaits is taken for a deadlock: the second waits.
 *
 * @example
 * const sending = new Mutex()
 * yield* sending.use(function* () {
 *   yield* connection.write('two parts that')
 *   yield* connection.write('belong together')
 * })
 */
export class Mutex {
  /** @internal What its holder holds; null while it is free. */
  lockHeld: Permit | null = null
  /** @internal The very task that has taken it: of an `await`, the one that drives the operation. */
  holder: Task | null = null
  private readonly line = new Line<Lock>()

  get locked(): boolean {
    return this.lockHeld !== null
  }

  /** The task that locked it, whoever will release it; null while it is free, and if it was locked outside any task. */
  get owner(): Task | null {
    return this.holder?.principal ?? null
  }

  /** Tasks that wait for it. */
  get waiting(): number {
    return this.line.size
  }

  /** Waits for the lock, and gives what releases it. On cancel it has not been taken. */
  lock(): Op<Permit> {
    return new Lock(this, this.line, new MutexLock(this))
  }

  /** Takes it if it is free; null otherwise. */
  tryLock(): Permit | null {
    return this.locked ? null : this.hold(new MutexLock(this), ambientTask())
  }

  /** Runs `body` with the lock, and releases it however `body` ends. */
  use<T>(body: Body<[], T>): Op<T> {
    return using(() => this.lock(), body)
  }

  /** @internal Waits for the lock, with the permit and for the holder that had it before; cannot be cancelled. */
  relock(permit: Permit, before: Task | null): Op<Permit> {
    return new Relock(this, this.line, permit, before)
  }

  /** @internal */
  hold(permit: Permit, task: Task | null): Permit {
    this.holder = task
    return (this.lockHeld = permit)
  }

  /** @internal The next in line gets it, before anybody can come in between. */
  pass(): void {
    this.lockHeld = null
    this.holder = null
    const next = this.line.shift()
    if (next !== undefined) next.grant(this.hold(next.permit, next.claimant))
  }
}
