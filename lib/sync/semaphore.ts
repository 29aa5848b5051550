/** Permits, of which there are so many: the thing itself, and the guard that gives them back. */
import { requireTask } from '../task/ambient.js'
import { delegate } from '../task/enter-scope.js'
import { CoreactorError } from '../task/errors.js'
import { op } from '../task/op.js'
import type { Body, Op } from '../task/types.js'
import { checkFunction, checkInteger } from '../task/validate.js'
import { Line, type Standing } from './line.js'
import { Waiting } from './waiting.js'

/** What was acquired, until it is released: by `release`, or at the end of a block that declares it with `using`. */
export interface Permit extends Disposable {
  /** Gives it back; the next in line goes on. Releasing twice throws `ERR_COREACTOR_RELEASED`. */
  release(): void
}

class SemaphorePermit implements Permit {
  private readonly semaphore: Semaphore
  private readonly permits: number
  private held = true

  constructor(semaphore: Semaphore, permits: number) {
    this.semaphore = semaphore
    this.permits = permits
  }

  release(): void {
    if (!this.held) throw new CoreactorError('ERR_COREACTOR_RELEASED', 'the permit has been released already')
    this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    if (!this.held) return
    this.held = false
    this.semaphore.put(this.permits)
  }
}

class Acquire extends Waiting<Permit> {
  private readonly semaphore: Semaphore
  readonly permits: number

  constructor(semaphore: Semaphore, line: Line<Standing>, permits: number) {
    super(line)
    this.semaphore = semaphore
    this.permits = permits
  }

  protected override take(): boolean {
    const permit = this.semaphore.tryAcquire(this.permits)
    return permit !== null && this.complete(permit)
  }

  protected override giveBack(permit: Permit): boolean {
    permit.release()
    return true
  }

  /** One who asked for many has gone: those behind may have waited for nothing but it. */
  override disarm(): void {
    super.disarm()
    this.semaphore.put(0)
  }
}

/**
 * So many permits, handed out in the order in which they were asked for: whoever asks for more than there are holds up
 * those who come later, and is not starved by them.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * const connections = new Semaphore(10)
 * yield* connections.use(function* () {
 *   yield* query()
 * })
 */
export class Semaphore {
  /** How many there are. */
  readonly permits: number
  private free: number
  private readonly line = new Line<Acquire>()

  constructor(permits: number) {
    checkInteger('permits', permits, 1, Number.MAX_SAFE_INTEGER)
    this.permits = permits
    this.free = permits
  }

  /** Permits that nobody has. */
  get available(): number {
    return this.free
  }

  /** Tasks that wait for some. */
  get waiting(): number {
    return this.line.size
  }

  /** Waits for `permits` of them. On cancel none has been taken. */
  acquire(permits = 1): Op<Permit> {
    checkInteger('permits', permits, 1, this.permits)
    return new Acquire(this, this.line, permits)
  }

  /** Takes them if they are free and nobody waits; null otherwise. */
  tryAcquire(permits = 1): Permit | null {
    checkInteger('permits', permits, 1, this.permits)
    if (this.line.size > 0 || this.free < permits) return null
    this.free -= permits
    return new SemaphorePermit(this, permits)
  }

  /** Runs `body` with a permit, and gives it back however `body` ends. */
  use<T>(body: Body<[], T>): Op<T> {
    return using(() => this.acquire(), body)
  }

  /** @internal */
  put(permits: number): void {
    this.free += permits
    for (let first; (first = this.line.first) !== null && first.permits <= this.free; ) {
      this.line.delete(first)
      this.free -= first.permits
      first.grant(new SemaphorePermit(this, first.permits))
    }
  }
}

/** Runs `body` with what `acquire` acquires, and releases it however `body` ends. */
export function using<T>(acquire: () => Op<Disposable>, body: Body<[], T>): Op<T> {
  checkFunction('body', body)
  return op(function* () {
    const task = requireTask('a body')
    const held = yield* acquire()
    try {
      return yield* delegate(task, body)
    } finally {
      held[Symbol.dispose]()
    }
  })
}
