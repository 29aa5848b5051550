/** Waiting for a signal from outside the process. Not an AbortSignal: those are for `task/abort.ts`. */
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { CoreactorError } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'

class UntilSignal extends Leaf<NodeJS.Signals> {
  private readonly signals: readonly NodeJS.Signals[]
  private received: NodeJS.Signals | null = null
  private readonly listener = (signal: NodeJS.Signals): void => {
    this.received = signal
    this.ignore()
    this.wake()
  }

  constructor(signals: readonly NodeJS.Signals[]) {
    super()
    this.signals = signals
  }

  protected override attempt(): boolean {
    return this.received !== null && this.complete(this.received)
  }

  protected override arm(): void {
    for (const signal of this.signals) process.on(signal, this.listener)
  }

  override disarm(): void {
    this.ignore()
  }

  private ignore(): void {
    for (const signal of this.signals) process.removeListener(signal, this.listener)
  }
}

/**
 * Waits for the first of these signals to the process, and gives its name. While it waits they have not their usual
 * effect; before and afterwards they have, so that a second Ctrl-C ends a program that takes long to stop after the first.
 * On cancel nothing is left behind. A signal that comes in the very turn in which this loses a `race` has had no effect:
 * where one race follows another, spawn a task that waits, and race that.
 *
 * Errors, thrown at once: `ERR_COREACTOR_MAIN_THREAD_ONLY` in a worker, which gets none; `ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE` for what is no signal, or cannot be caught, as SIGKILL.
 *
 * @example
 * const server = yield* serve({ port: 7000 }, talk)
 * yield* untilSignal('SIGTERM', 'SIGINT')
 * yield* server.close({ grace: 10_000 })
 */
export function untilSignal(...signals: NodeJS.Signals[]): Op<NodeJS.Signals> {
  if (signals.length === 0) throw invalidValue('signals', 'must name one at least', signals)
  for (const signal of signals as unknown[]) {
    if (typeof signal !== 'string') throw invalidType('signals', 'names of signals', signal)
    if (!Object.hasOwn(constants.signals, signal)) throw invalidValue('signals', 'must be names of signals', signal)
    if (signal === 'SIGKILL' || signal === 'SIGSTOP') throw invalidValue('signals', 'must be ones that can be caught', signal)
  }
  if (!isMainThread) {
    throw new CoreactorError('ERR_COREACTOR_MAIN_THREAD_ONLY', 'signals reach the main thread only: wait for them there')
  }
  return new UntilSignal(signals)
}
