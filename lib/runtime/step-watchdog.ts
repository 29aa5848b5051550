/**
 * The watchdog of the loop: a native thread that sees when this one has been in the same task's step for too long, and
 * says so on standard error while it still is. When the step has ended, this file says so again, with what is known then.
 * Not the watchdog of the service manager, which watches the process from outside: see `net/watchdog.ts`.
 *
 * What the native thread has to know is written down here: at each step whose it is and that it is another, and a text for
 * each name and place of spawning that there is, once.
 */
import { isMainThread, threadId } from 'node:worker_threads'
import { SystemError } from '../kernel/errno.js'
import type { Kernel, WatchedSteps } from '../kernel/kernel.js'
import { STEP_DEBUGGED, STEP_NAME_FACTOR, STEP_NUMBER, STEP_REPORTED, STEP_WHOSE } from '../kernel/layout.js'
import { ambientTask } from '../task/ambient.js'
import { debug } from '../task/debug.js'
import { installStepWatch, type StepWatch } from '../task/step-watch.js'
import type { Task } from '../task/task.js'
import { checkFunction, checkMilliseconds, invalidType, outOfRange } from '../task/validate.js'
import { callers } from './callers.js'
import { SLOW_STEP_MS } from './guard-rails.js'

/** A step that has kept everybody else waiting, and has ended. */
export interface BlockedStep {
  /** `name#id` of the task. */
  readonly task: string
  /** The stack of where it was spawned; undefined if that was before anybody watched. */
  readonly spawnedAt: string | undefined
  /** How long it took at least: the watchdog looks eight times in the `ms` that it was given. */
  readonly ms: number
  /** How much of it the thread has computed. The rest of the time it was kept waiting itself, by a call that blocks. */
  readonly cpuMs: number
}

/** When a step is too long, and who is told: `run(main, { watchdog })`. */
export interface WatchdogOptions {
  /** Milliseconds that a step may take; 100 by default, at least 1. */
  ms?: number | undefined
  /** Called after a step that was reported has ended, in place of a warning of the process. */
  onBlocked?: ((step: BlockedStep) => void) | undefined
}

const LONGEST_MS = 86_400_000

/** Frames looked at for where a task was spawned. */
const STACK_DEPTH = 10

/** As many as the native side numbers. Programs have some dozens; one that names each task otherwise runs out of them. */
const MOST_NAMES = 0xffff

/** What tasks are called, and where they were spawned. */
interface Name {
  readonly text: string
  readonly origin: string
}

class StepWatchdog implements StepWatch {
  private readonly steps: WatchedSteps
  private readonly record: Float64Array
  /** Indexed by number; 0 is nobody's. */
  private readonly names: Name[] = [{ text: '', origin: '' }]
  private readonly numbers = new Map<string, number>()
  /** What a body was called when it was spawned last, and by whom: looking for the place again would find the same. */
  private readonly bodies = new WeakMap<object, { readonly spawner: number; readonly name: number }>()
  private step = 0
  /** Told of what has ended. */
  onEnded: (step: BlockedStep, guarded: boolean) => void = () => undefined

  constructor(steps: WatchedSteps) {
    this.steps = steps
    this.record = steps.record
    this.lookForDebugger()
  }

  setLimit(ms: number): void {
    this.steps.setLimit(ms)
  }

  close(): void {
    this.steps.close()
  }

  spawned(task: Task, body: object): void {
    // It works for the one that has spawned it, and stands for that.
    if (task.principal !== task) return
    const spawner = ambientTask()
    const spawnerName = spawner === null ? 0 : this.nameOf(spawner)
    const known = this.bodies.get(body)
    if (known !== undefined && known.spawner === spawnerName) {
      task.watchedAs = shown(task, known.name)
      return
    }
    const origin = debug?.spawnedAt(task) ?? callers(STACK_DEPTH, this.names[spawnerName]?.origin)
    const name = this.numberOf(task.name, origin)
    task.watchedAs = shown(task, name)
    this.bodies.set(body, { spawner: spawnerName, name })
  }

  renamed(task: Task): void {
    const before = task.watchedAs
    if (before === undefined) return
    task.watchedAs = shown(task, this.numberOf(task.name, this.names[nameIn(before)]?.origin ?? ''))
    if (this.record[STEP_WHOSE] === before) this.record[STEP_WHOSE] = task.watchedAs
  }

  begin(task: Task): void {
    const { record } = this
    record[STEP_WHOSE] = task.watchedAs ?? this.show(task, '')
    record[STEP_NUMBER] = ++this.step
  }

  end(): void {
    if (this.record[STEP_REPORTED] !== 0) this.reported(true)
  }

  rest(): void {
    this.record[STEP_WHOSE] = 0
    this.end()
  }

  within(task: Task, step: () => void): void {
    const { record } = this
    const outer = record[STEP_WHOSE] as number
    if (task.watchedAs === undefined) this.show(task, debug?.spawnedAt(task) ?? callers(STACK_DEPTH))
    this.begin(task)
    step()
    this.end()
    // The outer one's time begins anew.
    record[STEP_WHOSE] = outer
    record[STEP_NUMBER] = ++this.step
  }

  continued<A>(task: Task, settle: (value: A) => void): (value: A) => void {
    // What settles a promise does not run what awaits it, and neither does the next microtask: that settles the promise of
    // the `await` itself. So the part that goes on is the second one from here, and is begun right before.
    const begin = (then: () => void) => (): void => {
      this.begin(task)
      queueMicrotask(then)
    }
    const end = (): void => {
      this.record[STEP_WHOSE] = 0
      if (this.record[STEP_REPORTED] !== 0) this.reported(false)
    }
    return (value) => {
      queueMicrotask(begin(begin(end)))
      settle(value)
    }
  }

  private nameOf(task: Task): number {
    return nameIn(task.watchedAs ?? this.show(task, ''))
  }

  /** Has the task stand in the record as whoever it works for, or else as itself. */
  private show(task: Task, origin: string): number {
    const { principal } = task
    const whose =
      principal === null || principal === task
        ? shown(task, this.numberOf(task.name, origin))
        : (principal.watchedAs ?? this.show(principal, ''))
    task.watchedAs = whose
    return whose
  }

  private numberOf(text: string, origin: string): number {
    const key = `${text}\n${origin}`
    let number = this.numbers.get(key)
    if (number === undefined) {
      // The native side calls what it has no name for just "task".
      if (this.names.length > MOST_NAMES) return 0
      number = this.names.push({ text, origin }) - 1
      this.numbers.set(key, number)
      this.steps.setName(number, text, origin)
    }
    return number
  }

  /** `guarded`: the guard rails, if there are any, have measured it, too. */
  private reported(guarded: boolean): void {
    const [whose, ms, cpuMs] = this.steps.takeReported()
    const { text, origin } = this.names[nameIn(whose)] as Name
    const task = `${text === '' ? 'task' : text}#${whose % STEP_NAME_FACTOR}`
    this.onEnded({ task, spawnedAt: origin === '' ? undefined : origin, ms, cpuMs }, guarded)
    this.lookForDebugger()
  }

  /** Of one that is attached later the first stop is taken for a call that blocks. */
  private lookForDebugger(): void {
    // Not imported: there are Nodes without it.
    const inspector = process.getBuiltinModule('node:inspector') as { url(): string | undefined } | undefined
    this.record[STEP_DEBUGGED] = inspector?.url() === undefined ? 0 : 1
  }
}

/** What stands in the record for a task: see STEP_WHOSE. */
function shown(task: Task, name: number): number {
  return name * STEP_NAME_FACTOR + task.id
}

function nameIn(whose: number): number {
  return Math.floor(whose / STEP_NAME_FACTOR)
}

/** Who has asked for a watch on this thread. */
interface Asked {
  readonly ms: number
  readonly onBlocked: WatchdogOptions['onBlocked']
  /** It was an environment variable: of less weight than a program. */
  readonly byDefault: boolean
}

const asked = new Set<Asked>()
let watchdog: StepWatchdog | null = null

/** Checks what `run` was given. */
export function checkWatchdog(options: unknown): asserts options is WatchdogOptions {
  if (typeof options !== 'object' || options === null) throw invalidType('options.watchdog', 'of type object', options)
  const { ms, onBlocked } = options as WatchdogOptions
  if (ms !== undefined) {
    checkMilliseconds('options.watchdog.ms', ms)
    if (ms < 1 || ms > LONGEST_MS) throw outOfRange('options.watchdog.ms', `>= 1 and <= ${LONGEST_MS}`, ms)
  }
  if (onBlocked !== undefined) checkFunction('options.watchdog.onBlocked', onBlocked)
}

/** Has this thread watched, by a thread of `kernel`'s, until what this returns is called. */
export function watchSteps(kernel: Kernel, { ms = SLOW_STEP_MS, onBlocked }: WatchdogOptions, byDefault = false): () => void {
  const ask: Asked = { ms, onBlocked, byDefault }
  if (watchdog === null) {
    const steps = kernel.watchSteps(ms, opening())
    if (typeof steps === 'number') throw new SystemError(steps, 'pthread_create')
    watchdog = new StepWatchdog(steps)
    watchdog.onEnded = tellOf
    installStepWatch(watchdog)
  }
  asked.add(ask)
  adjust(watchdog)
  return () => {
    if (!asked.delete(ask) || watchdog === null) return
    if (asked.size > 0) return adjust(watchdog)
    installStepWatch(null)
    watchdog.close()
    watchdog = null
  }
}

/** The strictest of those who have asked has it; who has a default has none if others have asked. */
function adjust(current: StepWatchdog): void {
  const all = [...asked]
  const explicit = all.filter(({ byDefault }) => !byDefault)
  current.setLimit(Math.min(...(explicit.length > 0 ? explicit : all).map(({ ms }) => ms)))
}

/** How a line begins that Node's own warnings could be mistaken for. */
function opening(): string {
  return `(node:${process.pid}${isMainThread ? '' : `, worker ${threadId}`}) [COREACTOR_BLOCKED] CoreactorWarning: `
}

function tellOf(step: BlockedStep, guarded: boolean): void {
  let told = false
  for (const { ms, onBlocked } of asked) {
    if (onBlocked === undefined || step.ms < ms) continue
    told = true
    // Not in the midst of a turn, and what it throws is nobody else's.
    queueMicrotask(() => onBlocked(step))
  }
  if (told || (guarded && debug !== null && step.ms >= SLOW_STEP_MS)) return
  const message = `the task ${step.task} ran for ${Math.round(step.ms)} ms without a wait, and everybody else waited for it`
  process.emitWarning(message, { type: 'CoreactorWarning', code: 'COREACTOR_SLOW_STEP', detail: step.spawnedAt ?? '' })
}
