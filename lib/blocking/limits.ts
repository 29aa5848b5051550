/** How many blocking calls are made at a time, and which those are. */
import { check } from '../kernel/errno.js'
import { JOB_COUNTS } from '../kernel/layout.js'
import { JobLine } from '../jobs/job-line.js'
import { currentRuntime } from '../runtime/current.js'
import { checkInteger } from '../task/validate.js'

/** How many blocking calls of each kind run at a time, each in a thread. For `blocking.configure`. */
export interface BlockingLimits {
  /** Calls on files that are made at a time: 8 unless it is said. */
  files?: number | undefined
  /** Lookups of names: 4 unless it is said. */
  lookups?: number | undefined
  /** Calls that wait for another task or process, as opening a FIFO does: 128 unless it is said. */
  waits?: number | undefined
  /** Milliseconds after which a thread that has nothing to do ends: 10,000 unless it is said. */
  idle?: number | undefined
  /** Calls of this thread of Node that are under way, queued or made: 4,096 unless it is said. More wait in line. */
  queue?: number | undefined
}

/** Of one kind of call, in the whole process. */
export interface LaneStatistics {
  /** Calls that wait until they are made. */
  readonly queued: number
  readonly running: number
  readonly limit: number
}

/** What the threads of blocking calls are doing. From `blocking.statistics`. */
export interface BlockingStatistics {
  /** Threads that there are, in the whole process. */
  readonly threads: number
  /** Of these, how many have nothing to do. */
  readonly idle: number
  readonly files: LaneStatistics
  readonly lookups: LaneStatistics
  readonly waits: LaneStatistics
  /** Calls of this thread of Node that wait in line, because `queue` of its calls are under way. */
  readonly waiting: number
}

/** A blocking call that has not ended. */
export interface BlockingCallReport {
  /** The call and what it is made on: `'open /etc/hosts'`. */
  readonly what: string
  /** For how many milliseconds it has been running; null while it is queued. */
  readonly ms: number | null
  /** Whether nobody waits for it any more. */
  readonly abandoned: boolean
}

const MOST = 100_000

/**
 * Sets how many calls are made at a time. Each kind has a limit of its own, so that lookups that hang delay no file, and a
 * call that waits for another one finds a thread for it. A thread is started for each call that is made, if none is idle:
 * the limits together are the most threads there can be.
 *
 * The threads belong to the process, so that the limits, but for `queue`, are those of all its workers; what is not said
 * stays. They hold from now on: of more, calls that are queued begin, of fewer, those that are being made go on. Errors:
 * `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * blocking.configure({ files: 32, lookups: 2 })
 */
export function configure({ files, lookups, waits, idle, queue }: BlockingLimits): void {
  const limits = {
    files: limitOf('files', files, 1),
    lookups: limitOf('lookups', lookups, 1),
    waits: limitOf('waits', waits, 1),
    idle: limitOf('idle', idle, 0, 0x7fff_ffff),
    queue: limitOf('queue', queue, 1)
  }
  const runtime = currentRuntime()
  check(runtime.kernel.configureJobs(limits), 'configure')
  JobLine.of(runtime).wakeFirst()
}

/** What the threads are doing, and what waits for them. */
export function statistics(): BlockingStatistics {
  const runtime = currentRuntime()
  const counts = new Int32Array(JOB_COUNTS)
  check(runtime.kernel.countJobs(counts), 'statistics')
  const lane = (first: number): LaneStatistics => {
    const [queued, running, limit] = counts.subarray(first) as unknown as [number, number, number]
    return { queued, running, limit }
  }
  const [threads, idle] = counts as unknown as [number, number]
  return { threads, idle, files: lane(2), lookups: lane(5), waits: lane(8), waiting: JobLine.of(runtime).size }
}

/**
 * The calls of this thread of Node that have not ended, abandoned ones, too: for finding out what hangs. With
 * `COREACTOR_DEBUG=1` those that are still there when the process exits are printed then.
 *
 * @example
 * for (const { what, ms } of blocking.running()) report(`${what} for ${ms} ms`)
 */
export function running(): BlockingCallReport[] {
  return currentRuntime()
    .kernel.listJobs()
    .map(([what, ms, abandoned]) => ({ what, ms: ms < 0 ? null : ms, abandoned }))
}

function limitOf(name: string, value: number | undefined, least: number, most = MOST): number {
  if (value === undefined) return -1
  checkInteger(`options.${name}`, value, least, most)
  return value
}
