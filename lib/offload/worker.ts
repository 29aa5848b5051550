/**
 * What runs in the thread or process: takes jobs, one at a time, and says how they ended. Loaded as its main script; knows
 * nothing of pools, and loads the rest of the library only for a job that is a coroutine.
 */
import { CoreactorError } from '../task/errors.js'
import { isCoroutineFunction, type Coroutine } from '../task/types.js'
import { notCloneable, OffloadError } from './errors.js'
import { find } from './find.js'
import { setRunningJob, type RunningJob } from './job.js'
import { openLink } from './link.js'
import { EACH, type Problem, type Source, type ToWorker } from './messages.js'
import { fromThrown, toThrown, type Thrown } from './thrown.js'
import { Moved, pack, unpack, type AnyFunction } from './values.js'

interface Call {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

const link = openLink()
/** Calls to the caller's functions that have no answer yet. */
const calls = new Map<number, Call>()
let lastCall = 0
let running: WorkerJob | null = null

link.receive((message) => {
  switch (message.do) {
    case 'job':
      running = new WorkerJob(message)
      void running.run()
      break
    case 'cancel':
      if (running?.id === message.id) running.cancel(fromThrown(message.reason))
      break
    case 'answer':
      take(message.call)?.resolve(unpack(message.result, null)[0])
      break
    case 'refuse':
      take(message.call)?.reject(fromThrown(message.error, message.call))
      break
    case 'end':
      process.exit()
  }
})

function take(id: number): Call | undefined {
  const call = calls.get(id)
  calls.delete(id)
  return call
}

class WorkerJob implements RunningJob {
  readonly id: number
  private made: AbortController | null = null
  private readonly source: Source
  private readonly message: Extract<ToWorker, { do: 'job' }>

  constructor(message: Extract<ToWorker, { do: 'job' }>) {
    this.id = message.id
    this.source = message.source
    this.message = message
  }

  /** Made when it is asked for: it is a fifth of what a job costs that does nothing. */
  get controller(): AbortController {
    return (this.made ??= new AbortController())
  }

  readonly poll = (): void => {
    if (link.cancelled === this.id) this.cancel(new CoreactorError('ERR_COREACTOR_CANCELLED', 'cancelled'))
  }

  cancel(reason: unknown): void {
    // Idempotent: the first reason stays.
    this.controller.abort(reason)
  }

  /** Also of a cancellation whose message is still on its way, as far as that is known. */
  private throwIfCancelled(): void {
    this.poll()
    this.made?.signal.throwIfAborted()
  }

  emit(value: unknown): Promise<unknown> {
    if (this.message.each) return this.call(EACH, [value])
    throw new OffloadError('ERR_COREACTOR_NO_EACH', 'the job gives values while it runs: take them with the option "each"')
  }

  async run(): Promise<void> {
    setRunningJob(this)
    try {
      this.succeed(await this.execute())
    } catch (error) {
      this.fail(error)
    }
    // Its next job may have come already: it has not, as the pool waits for the end of this one.
    setRunningJob(null)
  }

  private async execute(): Promise<unknown> {
    const { args } = this.message
    const found = await find(this.source)
    // Cancelled while its module was loaded: what waits for an abort would wait for one that has been.
    this.throwIfCancelled()
    const given = unpack(args, (number) => (...values) => this.call(number, values))
    if (isCoroutineFunction(found)) return this.drive(found, given)
    const result = (await found(...given)) as AsyncGenerator<unknown, unknown> | undefined
    const gives = typeof result === 'object' && result !== null && Symbol.asyncIterator in result && 'next' in result
    return gives ? this.giveEach(result) : result
  }

  /** A coroutine has a runtime of its own, and ends when its tasks have. */
  private async drive(body: AnyFunction, args: unknown[]): Promise<unknown> {
    const { run } = await import('../runtime/run.js')
    return run(() => body(...args) as Coroutine<unknown>, { signal: this.controller.signal })
  }

  private async giveEach(values: AsyncGenerator<unknown, unknown>): Promise<unknown> {
    let finished = false
    try {
      for (;;) {
        const { done, value } = await values.next()
        finished = done === true
        if (finished) return value
        await this.emit(value)
        this.throwIfCancelled()
      }
    } finally {
      if (!finished) await values.return(undefined)
    }
  }

  private call(to: number, values: readonly unknown[]): Promise<unknown> {
    const call = ++lastCall
    const answer = new Promise((resolve, reject) => {
      const { args, transfer } = packed(values, 'an argument of the function that was called')
      link.send({ did: 'call', id: this.id, call, to, args }, transfer)
      calls.set(call, { resolve, reject })
    })
    // Who does not wait for the answer does not want to hear of an error either; the worker would end of it.
    answer.catch(() => {})
    return answer
  }

  private succeed(value: unknown): void {
    const what = 'the result'
    const { args: result, transfer } = packed([value], what)
    try {
      link.send({ did: 'return', id: this.id, result }, transfer)
    } catch (error) {
      throw notCloneable(what, error)
    }
  }

  private fail(error: unknown): void {
    const thrown = withoutFrames(toThrown(error))
    // Errors of ours are told in our words, with what has caused them.
    let problem: Problem | null = null
    if (error instanceof OffloadError) problem = { code: error.code, message: error.message }
    else if (error instanceof ReferenceError && 'inline' in this.source) {
      const message = `the inline function uses what is not in it, nor global: ${error.message}`
      problem = { code: 'ERR_COREACTOR_NOT_SELF_CONTAINED', message }
    }
    link.send({ did: 'throw', id: this.id, error: thrown, problem }, [])
  }
}

/** Its caller in here is of no interest: below the job's frames there will be those of who had it done. */
function withoutFrames(thrown: Thrown): Thrown {
  const lines = thrown.stack?.split('\n').filter((line) => !line.includes(import.meta.url))
  return { ...thrown, stack: lines?.join('\n') }
}

/** Values to be sent, with what goes along with those that were marked by `job.transfer`. */
function packed(values: readonly unknown[], what: string): { args: ReturnType<typeof pack>; transfer: Moved['transfer'] } {
  const transfer = values.flatMap((value) => (value instanceof Moved ? value.transfer : []))
  const bare = values.map((value) => (value instanceof Moved ? value.value : value))
  return { args: pack(bare, transfer, null, () => what), transfer }
}
