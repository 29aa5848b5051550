/**
 * Threads or processes that run jobs, each one at a time, so that ending one harms no other job. Knows who waits for a
 * worker and which worker does what; what a job is made of, and what its task is told, is `call.ts`'s.
 */
import { availableParallelism } from 'node:os'
import { ownRuntime } from '../runtime/current.js'
import { Line, type Standing } from '../sync/line.js'
import { describe } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Op } from '../task/types.js'
import { dispose } from '../task/dispose.js'
import { checkInteger, checkMilliseconds, invalidType, invalidValue } from '../task/validate.js'
import type { Deadline } from '../time/deadlines.js'
import { OffloadError } from './errors.js'
import type { FromWorker, ToWorker } from './messages.js'
import { startProcess, startThread, type Ending, type Remote } from './remote.js'
import { toThrown } from './thrown.js'
import type { Transferable } from './values.js'

/** What functions run in: threads of this process, or processes of their own. */
export type WorkerKind = 'threads' | 'processes'

/** How many workers a `WorkerPool` has, and of what kind. */
export interface WorkerPoolOptions {
  /** Threads by default: a process costs ten times as much, and is on its own when native code in it crashes. */
  kind?: WorkerKind | undefined
  /** Workers at most; by default one less than there are processors, and one at least. They are started on demand. */
  size?: number | undefined
  /** Jobs that may wait for a worker; 4096 by default. One more fails with `ERR_COREACTOR_QUEUE_FULL`. */
  queue?: number | undefined
  /** Milliseconds after which a worker with nothing to do is ended; 10,000 by default, Infinity for never. */
  idle?: number | undefined
  /** MiB that the JavaScript heap of a worker may have. One that needs more ends, with `ERR_COREACTOR_OUT_OF_MEMORY`. */
  memory?: number | undefined
  /** Milliseconds that a cancelled job has to end, before its worker is terminated; 1000 by default. */
  grace?: number | undefined
  /** A worker is replaced after so many jobs; never by default. For modules that leak. */
  jobsPerWorker?: number | undefined
  /** Of Node, for the workers: `['--import', 'tsx']`. By default those of this process. */
  execArgv?: readonly string[] | undefined
  /** The environment of the workers; by default a copy of this one's. */
  env?: NodeJS.ProcessEnv | undefined
  /** For people. */
  name?: string | undefined
}

/** What a `WorkerPool` is doing, and has done. */
export interface WorkerPoolStatistics {
  /** Threads or processes that are there, and of them, those that do something. */
  readonly workers: number
  readonly busy: number
  /** Jobs that wait, and the most there have been. */
  readonly queued: number
  readonly peakQueued: number
  /** Jobs, ever: that returned, that failed, that were cancelled, before or after they had begun. */
  readonly returned: number
  readonly failed: number
  readonly cancelled: number
  /** Workers, ever: that were started, and that were terminated under a job. */
  readonly started: number
  readonly terminated: number
  /** Milliseconds that jobs have waited for a worker, and that they have taken, all together. */
  readonly waitedMs: number
  readonly ranMs: number
}

/** A job that runs. */
export interface WorkerPoolJob {
  /** `resize of file:///app/work.js`. */
  readonly label: string
  /** `thread 3`, `process 4711`. */
  readonly worker: string
  readonly ms: number
  /** It was asked to end. */
  readonly cancelled: boolean
}

/** How long `WorkerPool.close` waits. */
export interface WorkerPoolCloseOptions {
  /** Milliseconds that running jobs may go on before they are cancelled; 0 by default. */
  grace?: number | undefined
}

/** @internal How a job has ended. */
export type JobOutcome =
  | { readonly message: Extract<FromWorker, { did: 'return' | 'throw' }> }
  | { readonly error: unknown }

/** @internal A job, as far as a pool has to do with it. */
export interface PooledJob extends Standing {
  readonly label: string
  /** Undefined: that of the pool. */
  readonly grace: number | undefined
  /** Posts it. Throws for what cannot be cloned. */
  begin(worker: PoolWorker): void
  called(message: Extract<FromWorker, { did: 'call' }>, worker: PoolWorker): void
  settle(outcome: JobOutcome): void
}

const QUEUE = 4096
const IDLE_MS = 10_000
const GRACE_MS = 1000
/** How long a worker that is to end, and does nothing, has for its own clean-up. */
const END_MS = 1000

let lastJob = 0

/** Something that happens later, unless it is called off; by this system's clock, whatever that of the tasks is. */
class Later implements Deadline {
  index = -1
  private readonly act: () => void

  constructor(act: () => void) {
    this.act = act
  }

  start(ms: number): void {
    this.stop()
    if (ms === Infinity) return
    const { timers } = ownRuntime()
    timers.start(this, timers.now() + ms)
  }

  stop(): void {
    if (this.index >= 0) ownRuntime().timers.stop(this)
  }

  fire(): void {
    this.act()
  }
}

/** @internal One thread or process of a pool. */
export class PoolWorker {
  private readonly pool: WorkerPool
  private readonly remote: Remote
  /** Invariant: the job that it runs, and its number for the worker; null and 0 when it does nothing. */
  job: PooledJob | null = null
  id = 0
  begun = 0
  jobs = 0
  cancelled = false
  /** It is to end. */
  ending = false
  private readonly later = new Later(() => this.tooLong())

  constructor(pool: WorkerPool, start: (events: Parameters<typeof startThread>[1]) => Remote) {
    this.pool = pool
    this.remote = start({
      message: (message) => this.take(message),
      garbled: (error) => this.garbled(error),
      ended: (ending) => this.ended(ending)
    })
  }

  get label(): string {
    return this.remote.label
  }

  /** Throws for what cannot be cloned, having done nothing. */
  run(job: PooledJob): void {
    const id = (lastJob = (lastJob % 0x7fff_ffff) + 1)
    this.id = id
    job.begin(this)
    this.later.stop()
    this.job = job
    this.jobs++
    this.cancelled = false
    this.begun = ownRuntime().now()
  }

  post(message: ToWorker, transfer: readonly Transferable[]): void {
    this.remote.post(message, transfer)
  }

  /** Asks the job to end, and makes it if it has not after its grace. */
  cancel(reason: unknown, grace: number): void {
    if (this.cancelled || this.job === null) return
    this.cancelled = true
    if (grace <= 0) return this.terminate()
    this.remote.cancelled(this.id)
    this.post({ do: 'cancel', id: this.id, reason: toThrown(reason) }, [])
    this.later.start(grace)
  }

  idle(ms: number): void {
    this.later.start(ms)
  }

  /** Has it end, now that it does nothing. */
  end(): void {
    this.ending = true
    this.post({ do: 'end' }, [])
    this.later.start(END_MS)
  }

  private kill(): void {
    this.ending = true
    this.later.stop()
    this.remote.kill()
  }

  private tooLong(): void {
    if (this.job !== null) this.terminate()
    else if (this.ending) this.kill()
    else this.pool.retire(this)
  }

  private terminate(): void {
    this.pool.terminated++
    this.kill()
  }

  private take(message: FromWorker): void {
    // Of a job before this one: somebody did not wait for what it had begun.
    if (message.id !== this.id || this.job === null) return
    if (message.did === 'call') this.job.called(message, this)
    else this.settle({ message })
  }

  /** It may still be busy with what nobody understands. */
  private garbled(error: Error): void {
    this.kill()
    const message = `what the job has sent cannot be read: ${error.message}`
    this.settle({ error: new OffloadError('ERR_COREACTOR_NOT_CLONEABLE', message, { cause: error }) })
  }

  private settle(outcome: JobOutcome): void {
    const { job } = this
    if (job === null) return
    this.later.stop()
    this.job = null
    this.id = 0
    this.pool.finished(this, job, outcome)
  }

  private ended(ending: Ending): void {
    this.later.stop()
    const expected = this.ending
    this.ending = true
    this.pool.remove(this)
    if (this.job !== null) this.settle({ error: this.endedUnder(this.job, ending) })
    else if (!expected) this.warn(ending)
  }

  private endedUnder(job: PooledJob, { code, signal, error }: Ending): OffloadError {
    const { memory } = this.pool
    const how = signal === null ? `with code ${code}` : `by ${signal}`
    // V8 aborts a process that has used up its heap, having said so on stderr.
    const full = (error as { code?: string } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY' || (memory !== undefined && signal === 'SIGABRT')
    if (full) {
      const limit = memory === undefined ? 'its memory' : `its ${memory} MiB of memory`
      return new OffloadError('ERR_COREACTOR_OUT_OF_MEMORY', `${this.label} has used up ${limit} with ${job.label}`, { cause: error })
    }
    const why = error === undefined ? how : `of ${describe(error)}`
    return new OffloadError('ERR_COREACTOR_WORKER_ENDED', `${this.label} has ended ${why} while it ran ${job.label}`, {
      cause: error
    })
  }

  private warn({ code, signal, error }: Ending): void {
    const message = `${this.label} of ${this.pool.name} has ended while it had no job: ${error === undefined ? (signal ?? `code ${code}`) : describe(error)}`
    const detail = (error as Error | undefined)?.stack ?? ''
    process.emitWarning(message, { type: 'CoreactorWarning', code: 'COREACTOR_WORKER_ENDED', detail })
  }
}

/** Waits until all its workers have ended. Begins that also in a cancelled scope, and cannot be called off. */
class Close extends Leaf<void> {
  private readonly pool: WorkerPool
  private readonly grace: number

  constructor(pool: WorkerPool, grace: number) {
    super()
    this.pool = pool
    this.grace = grace
  }

  override get committed(): boolean {
    return true
  }

  protected override attempt(): boolean {
    this.pool.beginClose(this.grace)
    return this.pool.empty && this.complete(undefined)
  }

  protected override arm(): void {
    this.pool.closers.add(this)
  }

  override disarm(): void {
    this.pool.closers.delete(this)
  }
}

/**
 * Threads or processes of your own for `offload`: how many, with how much memory, which other limits. A thread of this
 * process shares its memory with nobody but gets what is transferred without a copy; a process costs more, and is safe
 * from what crashes or leaks in the others.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * const images = new WorkerPool({ size: 2, queue: 100, memory: 512 })
 * yield* offload('node:crypto', 'scryptSync', ['secret', 'salt', 32], { pool: images })
 * yield* images.close({ grace: 1000 })
 */
export class WorkerPool {
  readonly kind: WorkerKind
  readonly size: number
  readonly name: string
  /** @internal */
  readonly memory: number | undefined
  /** @internal Workers that were terminated under a job. */
  terminated = 0
  /** @internal Who waits for the end of all workers. */
  readonly closers = new Set<Close>()
  private readonly queueLimit: number
  private readonly idleMs: number
  private readonly grace: number
  private readonly jobsPerWorker: number
  private readonly start: (events: Parameters<typeof startThread>[1]) => Remote
  /** Invariant: those that have not ended. */
  private readonly workers = new Set<PoolWorker>()
  /** Invariant: those that have no job and are not to end; the last one has been idle for the shortest time. */
  private readonly idlers: PoolWorker[] = []
  /** Invariant: somebody is in it only while no worker is idle. */
  private readonly line = new Line<PooledJob>()
  private readonly since = new WeakMap<PooledJob, number>()
  private closing = false
  private readonly patience = new Later(() => this.cancelAll())
  private readonly counts = { peakQueued: 0, returned: 0, failed: 0, cancelled: 0, started: 0, waitedMs: 0, ranMs: 0 }

  constructor(options: WorkerPoolOptions = {}) {
    if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
    const { kind = 'threads', size = Math.max(availableParallelism() - 1, 1), queue = QUEUE, jobsPerWorker = Infinity } = options
    const { idle = IDLE_MS, grace = GRACE_MS, memory, execArgv, env, name = kind } = options
    if (kind !== 'threads' && kind !== 'processes') throw invalidValue('options.kind', 'must be "threads" or "processes"', kind)
    checkInteger('options.size', size, 1, 1024)
    if (queue !== Infinity) checkInteger('options.queue', queue, 0, Number.MAX_SAFE_INTEGER)
    if (jobsPerWorker !== Infinity) checkInteger('options.jobsPerWorker', jobsPerWorker, 1, Number.MAX_SAFE_INTEGER)
    if (memory !== undefined) checkInteger('options.memory', memory, 8, 1 << 20)
    checkMilliseconds('options.idle', idle)
    checkMilliseconds('options.grace', grace)
    if (execArgv !== undefined && !Array.isArray(execArgv)) throw invalidType('options.execArgv', 'an array of strings', execArgv)
    this.kind = kind
    this.size = size
    this.name = String(name)
    this.memory = memory
    this.queueLimit = queue
    this.idleMs = Math.max(idle, 0)
    this.grace = grace
    this.jobsPerWorker = jobsPerWorker
    const remoteOptions = { memory, execArgv, env, name: `coreactor ${this.name}` }
    this.start = (events) => (kind === 'threads' ? startThread : startProcess)(remoteOptions, events)
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.closing
  }

  /** The jobs that run now: which one it is that does not end. */
  jobs(): WorkerPoolJob[] {
    const now = ownRuntime().now()
    return [...this.workers].flatMap(({ job, label: worker, begun, cancelled }) =>
      job === null ? [] : [{ label: job.label, worker, ms: now - begun, cancelled }]
    )
  }

  statistics(): WorkerPoolStatistics {
    const { workers, line, terminated, counts } = this
    const busy = [...workers].filter(({ job }) => job !== null).length
    return { workers: workers.size, busy, queued: line.size, terminated, ...counts }
  }

  /**
   * Takes no more jobs, cancels those that run once `grace` has passed, and waits until every worker has ended. Jobs that
   * wait, and those that were cancelled, fail with `ERR_COREACTOR_POOL_CLOSED`. In a cancelled scope it does all that, too.
   * Idempotent.
   */
  close(options: WorkerPoolCloseOptions = {}): Op<void> {
    const { grace = 0 } = options
    checkMilliseconds('options.grace', grace)
    return new Close(this, grace)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return dispose(this.close())
  }

  /** @internal */
  get empty(): boolean {
    return this.workers.size === 0
  }

  /** @internal Whether a worker is free for it. Throws if it cannot wait for one either. */
  admits(job: PooledJob): boolean {
    if (this.closing) throw closed(job)
    if (this.idlers.length > 0 || this.workers.size < this.size) return true
    if (this.line.size < this.queueLimit) return false
    const message = `${this.line.size} jobs wait for ${this.name} already: ${job.label} has not begun`
    throw new OffloadError('ERR_COREACTOR_QUEUE_FULL', message)
  }

  /** @internal Gives a job that was admitted to a worker, or lets it wait for one. */
  submit(job: PooledJob): void {
    const worker = this.free()
    if (worker !== undefined) {
      this.give(worker, job)
      return
    }
    this.line.add(job)
    this.since.set(job, ownRuntime().now())
    this.counts.peakQueued = Math.max(this.counts.peakQueued, this.line.size)
  }

  /** @internal It was cancelled before it has begun. */
  withdraw(job: PooledJob): void {
    if (!job.standing) return
    this.line.delete(job)
    this.counts.cancelled++
  }

  /** @internal */
  cancel(worker: PoolWorker, job: PooledJob, reason: unknown): void {
    worker.cancel(reason, job.grace ?? this.grace)
  }

  /** @internal The worker has nothing to do any more. */
  finished(worker: PoolWorker, job: PooledJob, outcome: JobOutcome): void {
    const { counts } = this
    const returned = 'message' in outcome && outcome.message.did === 'return'
    counts.ranMs += ownRuntime().now() - worker.begun
    if (worker.cancelled) counts.cancelled++
    else if (returned) counts.returned++
    else counts.failed++
    job.settle(this.closing && worker.cancelled && !returned ? { error: closed(job) } : outcome)
    if (worker.ending) return
    if (this.closing || worker.jobs >= this.jobsPerWorker) worker.end()
    else this.idle(worker)
  }

  /** @internal It has been idle for long enough. */
  retire(worker: PoolWorker): void {
    const place = this.idlers.indexOf(worker)
    if (place < 0) return
    this.idlers.splice(place, 1)
    worker.end()
  }

  /** @internal It has ended. Whoever waits needs another one. */
  remove(worker: PoolWorker): void {
    const place = this.idlers.indexOf(worker)
    if (place >= 0) this.idlers.splice(place, 1)
    this.workers.delete(worker)
    this.serve()
    if (this.workers.size > 0) return
    this.patience.stop()
    for (const closer of this.closers) closer.wake()
  }

  /** @internal */
  beginClose(grace: number): void {
    if (this.closing) return
    this.closing = true
    for (let job; (job = this.line.shift()) !== undefined; ) job.settle({ error: closed(job) })
    for (const worker of this.idlers.splice(0)) worker.end()
    if (grace > 0) this.patience.start(grace)
    else this.cancelAll()
  }

  private cancelAll(): void {
    for (const worker of this.workers) if (worker.job !== null) this.cancel(worker, worker.job, 'the pool is closed')
  }

  /** A worker that has nothing to do, or a new one. */
  private free(): PoolWorker | undefined {
    const idle = this.idlers.pop()
    if (idle !== undefined || this.workers.size >= this.size) return idle
    const worker = new PoolWorker(this, this.start)
    this.workers.add(worker)
    this.counts.started++
    return worker
  }

  private idle(worker: PoolWorker): void {
    this.idlers.push(worker)
    this.serve()
    if (worker.job === null && !worker.ending) worker.idle(this.idleMs)
  }

  private give(worker: PoolWorker, job: PooledJob): void {
    try {
      worker.run(job)
    } catch (error) {
      this.idlers.push(worker)
      worker.idle(this.idleMs)
      throw error
    }
  }

  private serve(): void {
    while (this.line.size > 0) {
      const { first } = this.line
      try {
        // Starting one may fail: there is a limit of threads and processes.
        const worker = this.free()
        if (worker === undefined) return
        this.leaveLine(first as PooledJob)
        this.give(worker, first as PooledJob)
      } catch (error) {
        if (first?.standing === true) this.leaveLine(first)
        this.counts.failed++
        first?.settle({ error })
      }
    }
  }

  private leaveLine(job: PooledJob): void {
    this.line.delete(job)
    this.counts.waitedMs += ownRuntime().now() - (this.since.get(job) as number)
  }
}

function closed(job: PooledJob): OffloadError {
  return new OffloadError('ERR_COREACTOR_POOL_CLOSED', `the pool is closed: ${job.label} was not run to its end`)
}

const shared: { [kind in WorkerKind]?: WorkerPool } = {}

/** @internal Those that this thread has of its own: made at first use. One that was closed is replaced. */
export function sharedPool(kind: WorkerKind): WorkerPool {
  const pool = shared[kind]
  return pool === undefined || pool.closed ? (shared[kind] = new WorkerPool({ kind })) : pool
}
