/** Two sockets that are connected to each other, and known to nobody else. */
import { adoptBoth } from '../io/pipe.js'
import { SystemError } from '../kernel/errno.js'
import { WRITABLE } from '../kernel/layout.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidValue } from '../task/validate.js'
import { Connection } from './connection.js'

/** Options of `socketPair`. */
export interface SocketPairOptions {
  /** Byte streams in both directions. */
  type?: 'stream' | undefined
}

/**
 * Two Unix sockets that are connected to each other: what is written to one is read from the other, either side can end
 * its writing on its own, and one of the fds can be given to a child process. They have no addresses. Both are to be
 * closed. On cancel there are none. Errors: system errors such as `EMFILE`; `ERR_INVALID_ARG_VALUE` for another type.
 *
 * @example
 * const [here, there] = yield* socketPair()
 * yield* here.write('hello')
 * const chunk = yield* there.readSome()
 */
export function socketPair({ type = 'stream' }: SocketPairOptions = {}): Op<[first: Connection, second: Connection]> {
  if (type !== 'stream') throw invalidValue('options.type', "must be 'stream'", type)
  return immediate(() => {
    const runtime = currentRuntime()
    const fds = runtime.kernel.socketPair()
    if (typeof fds === 'number') throw new SystemError(fds, 'socketpair')
    const handles = adoptBoth(runtime, fds)
    // New sockets have room.
    for (const handle of handles) handle.readiness = WRITABLE
    return [new Connection(handles[0]), new Connection(handles[1])]
  })
}
