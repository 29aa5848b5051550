/** Handing a connection over to Node for good: its fd to a real `net.Socket`. */
import { Socket } from 'node:net'
import { BusyError, ClosedError } from '../io/errors.js'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import { ownRuntime } from '../runtime/current.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'

/** Options of `detach`. */
export interface DetachOptions {
  /** Whether the socket stays open for writing when the peer has finished; false by default, as in Node. */
  allowHalfOpen?: boolean | undefined
}

/**
 * Sends what was written, and gives the connection to a `net.Socket` of Node's, which owns the fd from then on: for
 * libraries that do more with Node's own sockets than with others, as `tls` does. What was received and not read is read
 * there first. The connection is closed then, the socket is not. On cancel nothing has happened.
 *
 * Errors: `ClosedError`, `BusyError` (a task reads or writes), what writing has failed with; `ERR_INVALID_ARG_TYPE`.
 *
 * @example
 * const secure = new tls.TLSSocket(yield* detach(connection), { isServer: true, key, cert })
 */
export function detach(connection: Connection | UnixConnection, options: DetachOptions = {}): Op<Socket> {
  if (!(connection instanceof Connection) && !(connection instanceof UnixConnection)) {
    throw invalidType('connection', 'a Connection or a UnixConnection', connection)
  }
  const { allowHalfOpen = false } = options
  if (typeof allowHalfOpen !== 'boolean') throw invalidType('options.allowHalfOpen', 'of type boolean', allowHalfOpen)
  return op(function* () {
    if (connection.closed) throw new ClosedError('the connection')
    if (connection.bufferedBytes > 0) yield* connection.flush()
    const { handle, input, writeClosed } = connection
    if (handle.reader !== null) throw new BusyError('reading from this connection')
    connection.written?.check(NOBODY)
    if (handle.runtime !== ownRuntime()) throw invalidValue('connection', 'must be one of this system', connection)
    const unread = input === null || input.length === 0 ? null : input.take(input.length)
    const { kernel } = handle
    const fd = handle.release()
    connection.closing = true
    kernel.letGo(fd)
    const socket = new Socket({ fd, readable: true, writable: !writeClosed, allowHalfOpen })
    if (unread !== null) socket.unshift(unread)
    return socket
  })
}

/** Never parked: a call that is no operation, and has to know whether one is. */
const NOBODY = { wake() {} }
