/** The blocking jobs of the memory kernel: names from a table, files in memory, and as many threads as a test wants. */
import { EOPNOTSUPP } from '../kernel/errno.js'
import type { Job, JobLimits, JobReport } from '../kernel/kernel.js'
import type { Agenda } from './agenda.js'
import type { MemoryFiles } from './memory-files.js'

/** What a resolver answers. */
export interface MemoryName {
  /** In this order. None: there is no such name. */
  readonly addresses?: readonly string[] | undefined
  /** Virtual milliseconds that the lookup takes, 0 by default; Infinity never ends. */
  readonly delay?: number | undefined
  /** What it ends with instead. */
  readonly error?: 'EAI_AGAIN' | 'EAI_FAIL' | undefined
}

/** Hosts and their addresses. */
export type MemoryNames = Readonly<Record<string, readonly string[] | MemoryName>>

interface Entry {
  readonly id: number
  readonly job: Job
  readonly slot: number
  readonly generation: number
  found: unknown
  /** -1 while it is queued. */
  begun: number
  ended: boolean
}

/** One that has ended. */
export interface Ended {
  readonly slot: number
  readonly generation: number
  readonly result: number
}

const NO_NAME = -3008
const ERRORS = { EAI_AGAIN: -3001, EAI_FAIL: -3004 }

export class MemoryJobs {
  private readonly names: MemoryNames
  private readonly files: MemoryFiles
  /** How many run at a time, of each lane: files, lookups, and what waits for others. */
  private readonly limits: [number, number, number]
  private readonly agenda: Agenda
  private readonly now: () => number
  /** Called when there is something in `ended`. */
  private readonly wake: () => void
  /** Queued, running, or ended with a result that was not taken. */
  private readonly entries = new Map<number, Entry>()
  private readonly queue: Entry[] = []
  private readonly running: [number, number, number] = [0, 0, 0]
  private lastId = 0
  /** To be reported in the next turn. */
  readonly ended: Ended[] = []

  constructor(names: MemoryNames, files: MemoryFiles, threads: number, agenda: Agenda, now: () => number, wake: () => void) {
    this.names = names
    this.files = files
    this.limits = [threads, Math.max(threads / 2, 1), Infinity]
    this.agenda = agenda
    this.now = now
    this.wake = wake
  }

  /** Jobs that have not ended, and results that nobody has taken. */
  get size(): number {
    return this.entries.size
  }

  submit(job: Job, slot: number, generation: number): number {
    const entry: Entry = { id: ++this.lastId, job, slot, generation, found: undefined, begun: -1, ended: false }
    this.entries.set(entry.id, entry)
    this.queue.push(entry)
    this.begin()
    this.wake()
    return entry.id
  }

  cancel(id: number, abandon: boolean): number {
    const entry = this.entries.get(id)
    if (entry === undefined) return 1
    const queued = this.queue.indexOf(entry)
    if (queued >= 0) this.queue.splice(queued, 1)
    else if (!abandon) return 0
    // One that runs keeps its thread until it ends, as a real one does: only its entry goes.
    this.entries.delete(id)
    if (queued >= 0 && entry.job.kind === 'close') this.files.close(entry.job.fd)
    if (entry.ended) this.files.discard(entry.job, entry.found)
    return 1
  }

  take(id: number, into?: Float64Array | readonly Uint8Array[]): unknown {
    const found = this.entries.get(id)?.found
    if (found !== undefined) this.entries.delete(id)
    if (into instanceof Float64Array && found instanceof Float64Array) return into.set(found), into
    return into !== undefined && found instanceof Buffer ? spread(found, into as readonly Uint8Array[]) : found
  }

  configure({ files, lookups, waits }: JobLimits): void {
    for (const [lane, limit] of [files, lookups, waits].entries()) if (limit > 0) this.limits[lane as Lane] = limit
    this.begin()
  }

  counts(into: Int32Array): void {
    into.fill(0)
    for (const lane of LANES) {
      const queued = this.queue.filter(({ job }) => laneOf(job) === lane).length
      into.set([queued, this.running[lane], Math.min(this.limits[lane], 0x7fff_ffff)], 2 + 3 * lane)
    }
    into[0] = this.running[0] + this.running[1] + this.running[2]
  }

  list(): JobReport[] {
    return [...this.entries.values()].flatMap((entry) => {
      if (entry.ended) return []
      return [[entry.job.kind, entry.begun < 0 ? -1 : this.now() - entry.begun, false] as const]
    })
  }

  private begin(): void {
    for (;;) {
      // The kernel's rule: no job waits for one of another lane.
      const at = this.queue.findIndex(({ job }) => this.running[laneOf(job)] < this.limits[laneOf(job)])
      if (at < 0) return
      const [entry] = this.queue.splice(at, 1) as [Entry]
      const { result, found, delay } = this.call(entry.job)
      entry.begun = this.now()
      this.running[laneOf(entry.job)]++
      this.agenda.add(this.now() + delay, () => this.finish(entry, result, found))
    }
  }

  private finish(entry: Entry, result: number, found: unknown): void {
    this.running[laneOf(entry.job)]--
    entry.ended = true
    this.begin()
    if (this.entries.get(entry.id) !== entry) return this.files.discard(entry.job, found)
    entry.found = found
    if (found === undefined) this.entries.delete(entry.id)
    this.ended.push({ slot: entry.slot, generation: entry.generation, result })
    this.wake()
  }

  private call(job: Job): { result: number; found?: unknown; delay: number } {
    if (job.kind === 'reverse') {
      const [name = job.address] = Object.keys(this.names).filter((each) => this.named(each).addresses?.includes(job.address))
      return { result: 0, found: [name, String(job.port)], delay: 0 }
    }
    if (job.kind !== 'lookup') return { delay: 0, ...(this.files.call(job) ?? { result: EOPNOTSUPP }) }
    const { addresses = [], delay = 0, error } = this.named(job.host)
    if (error !== undefined) return { result: ERRORS[error], delay }
    const found = addresses.filter((each) => job.family === 0 || each.includes(':') === (job.family === 6))
    return found.length === 0 ? { result: NO_NAME, delay } : { result: found.length, found, delay }
  }

  private named(host: string): MemoryName {
    const known = this.names[host] ?? {}
    return isList(known) ? { addresses: known } : known
  }
}

/** How many of the bytes have found room. */
function spread(bytes: Buffer, into: readonly Uint8Array[]): number {
  let done = 0
  for (const each of into) {
    const part = bytes.subarray(done, done + each.length)
    each.set(part)
    done += part.length
  }
  return done
}

type Lane = 0 | 1 | 2

const LANES = [0, 1, 2] as const

function laneOf(job: Job): Lane {
  if (job.kind === 'lookup' || job.kind === 'reverse') return 1
  return job.kind === 'waitProcess' || ('waits' in job && job.waits) ? 2 : 0
}

function isList(known: readonly string[] | MemoryName): known is readonly string[] {
  return Array.isArray(known)
}
