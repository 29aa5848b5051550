/**
 * What `COREACTOR_DEBUG=1` watches for: operations that nobody drives, steps that keep the others waiting, and where each
 * task was spawned. Reports are warnings of the process, with a code each.
 */
import type { Debug } from '../task/debug.js'
import type { Task } from '../task/task.js'

/** asyncio's `slow_callback_duration`. */
const SLOW_STEP_MS = 100

interface Site {
  readonly stack: string
}

export class GuardRails implements Debug {
  private readonly now: () => number
  private readonly spawns = new WeakMap<Task, string>()
  private readonly sites = new WeakMap<object, Site>()
  /** Of operations that have not been driven yet. */
  private readonly pending = new Set<Site>()
  /** Operations that were collected before anybody drove them. */
  private readonly registry = new FinalizationRegistry<Site>((site) => this.report(site))

  constructor(now: () => number) {
    this.now = now
  }

  created(op: object): void {
    const site = { stack: callers() }
    this.sites.set(op, site)
    this.pending.add(site)
    this.registry.register(op, site, op)
  }

  driven(op: object): void {
    this.pending.delete(this.sites.get(op) as Site)
    this.registry.unregister(op)
  }

  idle(): void {
    for (const site of this.pending) this.report(site)
  }

  spawned(task: Task): void {
    this.spawns.set(task, callers())
  }

  spawnedAt(task: Task): string | undefined {
    return this.spawns.get(task)
  }

  step(task: Task, step: () => void): void {
    const begun = this.now()
    step()
    const took = this.now() - begun
    if (took < SLOW_STEP_MS) return
    warn(
      'COREACTOR_SLOW_STEP',
      `the task ${task.label} ran for ${Math.round(took)} ms without a wait, and everybody else waited for it`,
      this.spawnedAt(task)
    )
  }

  private report(site: Site): void {
    if (!this.pending.delete(site)) return
    warn('COREACTOR_NEVER_DRIVEN', 'an operation was made and never driven: is a "yield*" or an "await" missing?', site.stack)
  }
}

/** The stack above the library's own constructors. */
function callers(): string {
  const { stack = '' } = new Error()
  const lines = stack.split('\n').slice(1)
  const first = lines.findIndex((line) => !line.includes(LIBRARY))
  return lines.slice(first < 0 ? 0 : first).join('\n')
}

/** Where the compiled library lies. */
const LIBRARY = new URL('..', import.meta.url).pathname

function warn(code: string, message: string, at: string | undefined): void {
  process.emitWarning(message, { type: 'CoreactorWarning', code, detail: at ?? '' })
}
