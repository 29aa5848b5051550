/** A connection for libraries that expect a socket of Node's. */
import type { Stream } from '../io/stream.js'
import { invalidType } from '../task/validate.js'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import { Socket } from './socket.js'

/** Options of `toNode`. */
export interface ToNodeOptions {
  /** Whether the socket stays open for writing when the peer has finished; false by default, as in Node. */
  allowHalfOpen?: boolean | undefined
  /** Bytes that are kept in each direction before the other side is held up; what Node's streams have by default. */
  highWaterMark?: number | undefined
  /** For `tls` to wrap, or for `http2` without TLS: see `SocketOptions` of `coreactor/net`. False by default. */
  wrapped?: boolean | undefined
  /** Destroys the socket when it is aborted. */
  signal?: AbortSignal | undefined
}

/**
 * A socket in the shape of `net.Socket` over a connection, for `http`, `http2`, `tls`, database drivers and whatever else
 * expects one: a Duplex with timeouts, addresses, `ref` and `unref`. Reading and writing are the socket's from here on; for
 * others that is `BusyError`. The connection stays its owner's: closing it closes the socket, and the other way round. So a
 * handler of `serve` has to wait for the end of the socket. What was read too much comes first.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`.
 *
 * @example
 * yield* serve({ port: 8080 }, function* (connection) {
 *   const socket = toNode(connection)
 *   httpServer.emit('connection', socket)
 *   yield* until(once(socket, 'close'))
 * })
 */
export function toNode(connection: Connection | UnixConnection, options: ToNodeOptions = {}): Socket {
  if (!(connection instanceof Connection) && !(connection instanceof UnixConnection)) {
    throw invalidType('connection', 'a Connection or a UnixConnection', connection)
  }
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  return socketOver(connection, options)
}

function socketOver(stream: Stream, options: ToNodeOptions): Socket {
  const socket = new Socket({ ...options, stream } as ToNodeOptions)
  socket._given = true
  // Nobody knows how the connection is set, so that whatever is asked for is set.
  socket._noDelay = null
  return socket
}
