/** The job that this thread or process runs for somebody's `offload`: what its function can ask and say. */
import { CoreactorError } from '../task/errors.js'
import { Moved, type Transferable } from './values.js'

/** @internal The worker's side of a job. */
export interface RunningJob {
  readonly controller: AbortController
  /** Looks whether it was cancelled, although no message may have been taken in. */
  poll(): void
  emit(value: unknown): Promise<unknown>
}

let running: RunningJob | null = null

/** @internal Called by the worker alone. */
export function setRunningJob(job: RunningJob | null): void {
  running = job
}

function current(): RunningJob {
  if (running === null) {
    throw new CoreactorError('ERR_COREACTOR_NO_JOB', 'job works only in a function that offload() runs, while it runs')
  }
  return running
}

/** What a function that was offloaded can ask and say of the job that it is: see `job`. */
export interface Job {
  /** Whether a job runs here at all: the module may also be used without `offload`. */
  readonly active: boolean
  /**
   * Aborted when whoever waits for the job was cancelled; the job has its grace to end then. For what takes a signal. A
   * function that computes without ever waiting lets no abort in: it asks `cancelled`, or waits for `checkpoint`.
   */
  readonly signal: AbortSignal
  /** The same as a question. In a thread it is answered at once; in a process the loop must have had a turn. */
  readonly cancelled: boolean
  /** Throws the reason if the job was cancelled. */
  throwIfCancelled(): void
  /** Lets the loop of this thread or process have a turn, and throws the reason if the job was cancelled. */
  checkpoint(): Promise<void>
  /** Gives a value to the caller's option `each`, and waits until that is done with it. */
  emit(value: unknown): Promise<void>
  /**
   * Marks what is in `transfer` to be moved and not copied: wrap a result in it, a value that is emitted, or an argument of
   * a function of the caller's. Between processes everything is copied.
   */
  transfer<T>(value: T, transfer: readonly Transferable[]): T
}

/**
 * The job that runs here, for a function that `offload` runs. Throws `ERR_COREACTOR_NO_JOB` where none does.
 *
 * @example
 * for (let row = 0; row < total; row++) {
 *   job.throwIfCancelled()
 *   handle(row)
 * }
 */
export const job: Job = {
  get active() {
    return running !== null
  },

  get signal() {
    return current().controller.signal
  },

  get cancelled() {
    const { controller, poll } = current()
    poll()
    return controller.signal.aborted
  },

  throwIfCancelled() {
    if (job.cancelled) throw job.signal.reason
  },

  async checkpoint() {
    const { controller } = current()
    await new Promise((resolve) => setImmediate(resolve))
    controller.signal.throwIfAborted()
  },

  async emit(value) {
    await current().emit(value)
  },

  transfer(value, transfer) {
    return new Moved(value, transfer) as never
  }
}
