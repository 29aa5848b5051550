/** Several addresses of one name, tried as RFC 8305 has it: the next one soon, the others not given up, the first wins. */
import { SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { Event } from '../sync/event.js'
import { current } from '../task/ambient.js'
import { enterScope } from '../task/enter-scope.js'
import type { Scope } from '../task/scope.js'
import type { Task } from '../task/task.js'
import type { Coroutine, Op } from '../task/types.js'
import { moveOnAfter } from '../time/timeout.js'
import type { Connection } from './connection.js'

/** Every address of a name has failed, and not all for the same reason. `code` and the rest are those of the first. */
export class ConnectError extends AggregateError {
  readonly code: string
  /** Negative, as in Node. */
  readonly errno: number
  readonly syscall: string
  readonly hostname: string
  readonly port: number
  /** Of each address, in the order in which they were tried. */
  declare readonly errors: SystemError[]

  constructor(errors: readonly SystemError[], hostname: string, port: number) {
    super(errors, `connect to ${hostname}:${port} failed: ${errors.map(({ message }) => message).join('; ')}`)
    const first = errors[0] as SystemError
    this.code = first.code
    this.errno = first.errno
    this.syscall = first.syscall
    this.hostname = hostname
    this.port = port
  }

  override get name(): string {
    return 'ConnectError'
  }
}

/** The families in turn, beginning with that of the first; within a family the order stays (RFC 8305, 4). */
export function interleave(addresses: readonly SocketAddress[]): SocketAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const others = addresses.filter(({ family }) => family !== addresses[0]?.family)
  const mixed: SocketAddress[] = []
  for (let i = 0; i < Math.max(first.length, others.length); i++) {
    for (const each of [first[i], others[i]]) if (each !== undefined) mixed.push(each)
  }
  return mixed
}

/**
 * Connects to the first of `addresses` that answers. Each attempt begins `delay` milliseconds after the one before, or as
 * soon as that has failed (RFC 8305, 5). Those that lose are closed.
 */
export function* connectToFirst(
  addresses: readonly SocketAddress[],
  delay: number,
  attempt: (address: SocketAddress) => Op<Connection>
): Coroutine<Connection | readonly SystemError[]> {
  let winner: Connection | null = null
  const failures: SystemError[] = []
  try {
    yield* enterScope(function* (attempts: Scope) {
      const contend = function* connecting(i: number, failed: Event): Coroutine<void> {
        try {
          winner = yield* attempt(addresses[i] as SocketAddress)
        } catch (error) {
          if (!(error instanceof SystemError)) throw error
          failures[i] = error
          failed.set()
          return
        }
        // Those that have connected in this very turn are called off, too, which closes them.
        attempts.cancelBy('another address was first', current as Task, true)
      }
      for (let i = 0; i < addresses.length; i++) {
        const failed = new Event()
        attempts.spawn(contend, i, failed)
        if (i + 1 < addresses.length) {
          yield* moveOnAfter(delay, function* () {
            yield* failed.wait()
          })
        }
      }
    })
    // Cancelled while the losers were closed: whoever gave up does not look for a connection any more.
    const task = current as Task
    if (task.scope.cancelRequested) throw task.cancellation()
  } catch (error) {
    ;(winner as Connection | null)?.abandon()
    throw error
  }
  return winner ?? failures
}
