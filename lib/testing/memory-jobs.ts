/** The blocking jobs of the memory kernel: names from a table, and as many threads as a test wants. */
import { EOPNOTSUPP } from '../kernel/errno.js'
import type { Job } from '../kernel/kernel.js'
import type { Agenda } from './agenda.js'

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
  private readonly threads: number
  private readonly agenda: Agenda
  private readonly now: () => number
  /** Called when there is something in `ended`. */
  private readonly wake: () => void
  /** Queued, running, or ended with a result that was not taken. */
  private readonly entries = new Map<number, Entry>()
  private readonly queue: Entry[] = []
  private running = 0
  /** Those of `running` that are lookups. */
  private slow = 0
  private lastId = 0
  /** To be reported in the next turn. */
  readonly ended: Ended[] = []

  constructor(names: MemoryNames, threads: number, agenda: Agenda, now: () => number, wake: () => void) {
    this.names = names
    this.threads = threads
    this.agenda = agenda
    this.now = now
    this.wake = wake
  }

  /** Jobs that have not ended, and results that nobody has taken. */
  get size(): number {
    return this.entries.size
  }

  submit(job: Job, slot: number, generation: number): number {
    const entry: Entry = { id: ++this.lastId, job, slot, generation, found: undefined }
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
    return 1
  }

  take(id: number): unknown {
    const found = this.entries.get(id)?.found
    if (found !== undefined) this.entries.delete(id)
    return found
  }

  private begin(): void {
    while (this.running < this.threads) {
      // The kernel's rule: lookups never take more than half of the threads.
      const slowRoom = this.slow < Math.max(this.threads / 2, 1)
      const at = this.queue.findIndex(({ job }) => slowRoom || !isSlow(job))
      if (at < 0) return
      const [entry] = this.queue.splice(at, 1) as [Entry]
      const { result, found, delay } = this.call(entry.job)
      this.running++
      if (isSlow(entry.job)) this.slow++
      this.agenda.add(this.now() + delay, () => this.finish(entry, result, found))
    }
  }

  private finish(entry: Entry, result: number, found: unknown): void {
    this.running--
    if (isSlow(entry.job)) this.slow--
    this.begin()
    if (this.entries.get(entry.id) !== entry) return
    entry.found = found
    if (found === undefined) this.entries.delete(entry.id)
    this.ended.push({ slot: entry.slot, generation: entry.generation, result })
    this.wake()
  }

  private call(job: Job): { result: number; found?: unknown; delay: number } {
    if (job.kind === 'fstat') return { result: EOPNOTSUPP, delay: 0 }
    if (job.kind === 'reverse') {
      const [name = job.address] = Object.keys(this.names).filter((each) => this.named(each).addresses?.includes(job.address))
      return { result: 0, found: [name, String(job.port)], delay: 0 }
    }
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

function isSlow({ kind }: Job): boolean {
  return kind !== 'fstat'
}

function isList(known: readonly string[] | MemoryName): known is readonly string[] {
  return Array.isArray(known)
}
