/**
 * The jobs of one runtime: how many are under way, and who waits because the kernel has no room for more. What a job is,
 * and who wants its result, is said elsewhere.
 */
import type { Runtime } from '../runtime/runtime.js'
import type { Waiter } from '../task/types.js'

export class JobLine {
  private static readonly lines = new WeakMap<Runtime, JobLine>()
  /** The last one that was asked for: it is nearly always the same. */
  private static last: JobLine | null = null
  readonly runtime: Runtime
  /** Those that have been submitted and not ended, abandoned ones not counted. */
  running = 0
  /** Those that the kernel had no room for, in the order in which they came. */
  private readonly line = new Set<Waiter>()

  private constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  static of(runtime: Runtime): JobLine {
    const { last } = JobLine
    if (last !== null && last.runtime === runtime) return last
    let line = JobLine.lines.get(runtime)
    if (line === undefined) JobLine.lines.set(runtime, (line = new JobLine(runtime)))
    JobLine.last = line
    return line
  }

  /** How many wait here. */
  get size(): number {
    return this.line.size
  }

  /** Whether it is the turn of `call`: nobody waits who came before. */
  admits(call: Waiter): boolean {
    for (const first of this.line) return first === call
    return true
  }

  join(call: Waiter): void {
    this.line.add(call)
  }

  leave(call: Waiter): void {
    if (this.line.delete(call)) this.wakeFirst()
  }

  /** There may be room. */
  wakeFirst(): void {
    for (const first of this.line) return first.wake()
  }
}
