/** A job that no task waits for: its end is told to whoever has begun it, in the turn in which it is reported. */
import { EAGAIN } from '../kernel/errno.js'
import type { Job } from '../kernel/kernel.js'
import { Completion, type CompletionWaiter } from '../reactor/completion.js'
import type { Runtime } from '../runtime/runtime.js'
import type { Waiter } from '../task/types.js'
import { JobLine } from './job-line.js'
import type { Take } from './blocking-call.js'

/** Called once. What the job has found is to be taken then, or later, or `drop`ped. */
export type Ended = (result: number) => void

export class BackgroundCall implements Waiter, CompletionWaiter {
  private readonly job: Job
  private readonly ended: Ended
  private readonly line: JobLine
  private readonly completion = new Completion()
  /** -1 while it waits in the line, and once what it has found is taken or of no interest. */
  private id = -1

  constructor(runtime: Runtime, job: Job, ended: Ended) {
    this.job = job
    this.ended = ended
    this.line = JobLine.of(runtime)
    this.wake()
  }

  /** It may be its turn; or the job has ended. */
  wake(): void {
    const { result } = this.completion
    if (result === undefined) return this.submit()
    this.finish(result)
  }

  /** What the job has found, once. */
  readonly take: Take = (into) => {
    const { id } = this
    this.id = -1
    return this.line.runtime.kernel.takeResult(id, into)
  }

  /** Its end is of no interest any more: it does not happen, if it has not been begun, and what it finds is freed. */
  drop(): void {
    this.line.leave(this)
    if (this.id < 0) return
    const { id } = this
    this.id = -1
    this.line.runtime.kernel.cancelJob(id, true)
    if (this.completion.slot >= 0) this.forget()
  }

  private submit(): void {
    const { line } = this
    if (!line.admits(this)) return line.join(this)
    const { kernel, reactor } = line.runtime
    reactor.expect(this.completion)
    const { slot } = this.completion
    const id = kernel.submit(this.job, slot, reactor.generation(slot))
    if (id < 0) reactor.forget(this.completion)
    if (id === EAGAIN && line.running > 0) return line.join(this)
    if (id >= 0) {
      this.id = id
      line.running++
      this.completion.waiter = this
    }
    line.leave(this)
    // Nobody has been given this object yet, if it fails at once.
    if (id < 0) queueMicrotask(() => this.ended(id))
  }

  private finish(result: number): void {
    this.forget()
    this.ended(result)
  }

  private forget(): void {
    const { line, completion } = this
    completion.waiter = null
    line.running--
    line.runtime.reactor.forget(completion)
    line.wakeFirst()
  }
}
