/** How many may do something at a time, and who they are. */
import { ambientTask } from '../task/ambient.js'
import { CoreactorError } from '../task/errors.js'
import type { Task } from '../task/task.js'
import type { Body, Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { Line, type Standing } from './line.js'
import { using, type Permit } from './semaphore.js'
import { Waiting } from './waiting.js'

class Loan implements Permit {
  readonly borrower: Task | null
  private readonly limiter: Limiter

  constructor(limiter: Limiter, borrower: Task | null) {
    this.limiter = limiter
    this.borrower = borrower
  }

  release(): void {
    if (!this.limiter.end(this)) throw new CoreactorError('ERR_COREACTOR_RELEASED', 'the permit has been released already')
  }

  [Symbol.dispose](): void {
    this.limiter.end(this)
  }
}

class Borrow extends Waiting<Permit> {
  private readonly limiter: Limiter

  constructor(limiter: Limiter, line: Line<Standing>) {
    super(line)
    this.limiter = limiter
  }

  protected override take(): boolean {
    const loan = this.limiter.tryAcquire()
    return loan !== null && this.complete(loan)
  }

  protected override giveBack(loan: Permit): boolean {
    loan.release()
    return true
  }
}

/**
 * A semaphore whose size can change while it is in use, and which knows who has its permits: for "at most 40 lookups at
 * a time", and for finding out which 40 those are.
 *
 * @example
 * const lookups = new Limiter(40)
 * yield* lookups.use(() => resolve(name))
 * for (const task of lookups.borrowers) console.log(task?.label)
 */
export class Limiter {
  private most: number
  private readonly loans = new Set<Loan>()
  private readonly line = new Line<Borrow>()

  constructor(total: number) {
    this.most = checked(total)
  }

  /** How many at a time. Made smaller, it lets those who have a permit finish. Infinity is allowed. */
  get total(): number {
    return this.most
  }

  set total(total: number) {
    this.most = checked(total)
    this.lend()
  }

  /** Permits that are out. */
  get borrowed(): number {
    return this.loans.size
  }

  /** Permits that can be had now. */
  get available(): number {
    return Math.max(this.most - this.loans.size, 0)
  }

  /** Tasks that wait for one. */
  get waiting(): number {
    return this.line.size
  }

  /** Who has the permits, in the order in which they got them; null for one acquired outside any task. */
  get borrowers(): (Task | null)[] {
    return [...this.loans].map(({ borrower }) => borrower)
  }

  /** Waits for a permit. On cancel none has been taken. */
  acquire(): Op<Permit> {
    return new Borrow(this, this.line)
  }

  /** Takes a permit if there is one and nobody waits; null otherwise. */
  tryAcquire(): Permit | null {
    return this.line.size > 0 || this.available === 0 ? null : this.loan(ambientTask()?.principal ?? null)
  }

  /** Runs `body` with a permit, and gives it back however `body` ends. */
  use<T>(body: Body<[], T>): Op<T> {
    return using(() => this.acquire(), body)
  }

  /** @internal False if it had ended already. */
  end(loan: Loan): boolean {
    const ended = this.loans.delete(loan)
    if (ended) this.lend()
    return ended
  }

  private lend(): void {
    while (this.available > 0) {
      const first = this.line.shift()
      if (first === undefined) return
      first.grant(this.loan((first.task as Task).principal))
    }
  }

  private loan(borrower: Task | null): Loan {
    const loan = new Loan(this, borrower)
    this.loans.add(loan)
    return loan
  }
}

function checked(total: unknown): number {
  if (typeof total !== 'number') throw invalidType('total', 'of type number', total)
  if (total !== Infinity) checkInteger('total', total, 1, Number.MAX_SAFE_INTEGER)
  return total
}
