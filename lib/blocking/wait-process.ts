/** Waiting for the end of a process. Starting one is for `node:child_process`. */
import { constants } from 'node:os'
import { check, ECHILD, ENOSYS } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { fd } from '../io/descriptor.js'
import { blockingCall } from '../jobs/blocking-call.js'
import { currentRuntime } from '../runtime/current.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'

/** How a process has ended. Of one that is no child of this process the system says neither. */
export interface ProcessEnd {
  readonly pid: number
  /** What it has exited with; null if a signal has killed it. */
  readonly code: number | null
  /** The signal that has killed it; null if it has exited. */
  readonly signal: NodeJS.Signals | null
}

/** Options of `blocking.waitpid`. */
export interface WaitOptions {
  /** Whether the system forgets the child then, as it should once. By default it does. */
  reap?: boolean | undefined
}

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]))

/** Read as soon as it is written: one is enough. */
const end = new Int32Array(3)

/**
 * Waits for the end of a process: of a child, and how it has ended; or of any other, of which the system says only that it
 * has. On Linux no thread waits for it (a pidfd, since 5.3). On cancel nothing has happened: it can be waited for again.
 *
 * Node itself waits for the children of `node:child_process`, for each by its number. For one of those use its 'exit' event,
 * or `reap: false`: whoever reaps first gets how it has ended, and if that is not Node, there is no 'exit' event.
 *
 * Errors: system errors such as `ESRCH`, there is no such process; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, thrown at
 * once.
 *
 * @example
 * const { code, signal } = yield* blocking.waitpid(4711)
 */
export function waitpid(pid: number, { reap = true }: WaitOptions = {}): Op<ProcessEnd> {
  checkInteger('pid', pid, 1, 0x7fff_ffff)
  if (typeof reap !== 'boolean') throw invalidType('options.reap', 'of type boolean', reap)
  return op(() => waiting(pid, reap))
}

function* waiting(pid: number, reap: boolean): Coroutine<ProcessEnd> {
  const { kernel } = currentRuntime()
  const opened = kernel.openProcess(pid)
  if (opened === ENOSYS) {
    yield* blockingCall({ kind: 'waitProcess', pid }, (result) => check(result, 'waitid'), true)
  } else {
    const process = fd(check(opened, 'pidfd_open'), { own: true })
    try {
      yield* process.readable()
    } finally {
      yield* process.close()
    }
  }
  return endOf(kernel, pid, reap) ?? { pid, code: null, signal: null }
}

/**
 * Waits for the end of any child, and reaps it: what a process has to do that is the first of its container, and gets the
 * children of others. A thread waits for it. On cancel nobody has been reaped.
 *
 * It takes the children of `node:child_process`, too, if it sees them before Node does; those have no 'exit' event then. So
 * do not use both. Errors: system errors such as `ECHILD`, there is no child.
 *
 * @example
 * for (;;) handle(yield* blocking.waitAny())
 */
export function waitAny(): Op<ProcessEnd> {
  return op(function* () {
    const { kernel } = currentRuntime()
    for (;;) {
      const ended = endOf(kernel, 0, true)
      if (ended !== null) return ended
      yield* blockingCall({ kind: 'waitProcess', pid: 0 }, (result) => check(result, 'waitid'), true)
    }
  })
}

/** Null if it has not ended, or somebody else has reaped it, or it is no child. */
function endOf(kernel: Kernel, pid: number, reap: boolean): ProcessEnd | null {
  const result = kernel.hasEnded(pid, reap ? 1 : 0, end)
  if (result === ECHILD && pid > 0) return null
  if (check(result, 'waitid') === 0) return null
  const [which, status, killed] = end as unknown as [number, number, number]
  return { pid: which, code: killed ? null : status, signal: killed ? (SIGNALS.get(status) ?? null) : null }
}
