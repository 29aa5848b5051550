/** The sockets that whoever started this process has opened for it (sd_listen_fds(3)). Listening on them is for `listener.ts`. */
import { check } from '../kernel/errno.js'
import { currentRuntime } from '../runtime/current.js'
import { CoreactorError } from '../task/errors.js'

/** One descriptor that was passed to this process: `serve` and `listen` take it as it is. */
export interface ListenFd {
  readonly fd: number
  /** What the socket unit calls it (`FileDescriptorName=`), `'unknown'` if nobody has said. */
  readonly name: string
}

/** Options of `listenFds`. */
export interface ListenFdsOptions {
  /** Whether the variables are removed from `process.env`, so that nobody asks again; false by default. */
  unset?: boolean | undefined
}

/** Below it are the standard streams (SD_LISTEN_FDS_START). */
const FIRST = 3
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']

/**
 * The descriptors that systemd, or whoever else follows its protocol, has passed to this process: none if `LISTEN_FDS` is
 * not set, or `LISTEN_PID` is another process. From then on children do not inherit them. What each of them is shows when
 * it is listened on. Synchronous; as often as you like, unless `unset`.
 *
 * Errors: `ERR_COREACTOR_LISTEN_FDS` for variables that make no sense, among them a name for some of the descriptors only;
 * `SystemError` (`EBADF`) when there are fewer descriptors than were announced.
 *
 * @example
 * const inherited = listenFds()
 * const server = yield* serve({ listen: inherited.length > 0 ? inherited : [{ port: 7000 }] }, function* (connection) {
 *   yield* connection.write('hello')
 * })
 */
export function listenFds({ unset = false }: ListenFdsOptions = {}): ListenFd[] {
  const { LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names } = process.env
  try {
    if (pid === undefined || fds === undefined) return []
    if (numberIn('LISTEN_PID', pid, 1) !== process.pid) return []
    const count = numberIn('LISTEN_FDS', fds, 0)
    const named = names === undefined ? null : names.split(':')
    if (named !== null && count > 0 && named.length !== count) {
      throw new CoreactorError('ERR_COREACTOR_LISTEN_FDS', `LISTEN_FDNAMES has ${named.length} names for ${count} descriptors`)
    }
    const { kernel } = currentRuntime()
    return Array.from({ length: count }, (_, i) => {
      check(kernel.closeOnExec(FIRST + i), 'fcntl')
      return { fd: FIRST + i, name: named?.[i] ?? 'unknown' }
    })
  } finally {
    if (unset) for (const variable of VARIABLES) delete process.env[variable]
  }
}

function numberIn(variable: string, text: string, least: number): number {
  const number = /^[0-9]+$/.test(text) ? Number(text) : NaN
  if (number >= least && number <= 0x7fff_ffff - FIRST) return number
  throw new CoreactorError('ERR_COREACTOR_LISTEN_FDS', `${variable} is not a number that it can be: "${text}"`)
}
