/** Listening: for TCP connections here, for Unix ones in `unix-listener.ts`. */
import { check, EAFNOSUPPORT, EINVAL, SystemError } from '../kernel/errno.js'
import type { AnyAddress, Kernel, SocketAddress } from '../kernel/kernel.js'
import { SocketOption } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate, op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { lookup } from '../blocking/lookup.js'
import { checkInteger } from '../task/validate.js'
import { AcceptingSocket } from './accepting-socket.js'
import { endpoint, LOCALHOST, LOOPBACK, numericAddress, type AddressOptions } from './address.js'
import { Connection } from './connection.js'
import type { SeqpacketConnection } from './seqpacket.js'
import type { UnixConnection } from './unix-connection.js'
import { isUnix } from './unix-path.js'
import { listeningUnix, type UnixListener, type UnixListenOptions } from './unix-listener.js'

/** Where `listen` listens, and what the socket is like. */
export interface ListenOptions extends AddressOptions {
  /** Connections the system holds until they are accepted, 4096 by default; the system has its own ceiling. */
  backlog?: number | undefined
  /** Whether several sockets may listen on the same port, and share what comes. */
  reusePort?: boolean | undefined
  /** Whether `::` takes IPv6 only, and not IPv4 too. */
  ipv6Only?: boolean | undefined
}

/** A socket that listens already, and was passed to this process. */
export interface ListenFdOptions {
  /** From now on the library's. Made non-blocking, for every process that shares it: accepting would hold up the thread. */
  fd: number
}

/** A listening TCP socket. */
export class Listener extends AcceptingSocket<Connection, SocketAddress> {
  protected override wrap(handle: Handle): Connection {
    return new Connection(handle)
  }
}

/**
 * Listens for TCP connections: on every address of the machine unless `host` says which; of a name, on the first of its
 * addresses (`localhost` is 127.0.0.1). Port 0 lets the system choose, see `Listener.address`.
 *
 * With `fd` it takes over a socket that listens already, see `listenFds`; if that fails, the fd stays the caller's.
 *
 * Errors: system errors such as `EADDRINUSE` and `EACCES` (syscall `listen`, with `address` and `port`); `LookupError`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once. Of an `fd`: `EBADF`, `ENOTSOCK`,
 * `EINVAL` (it does not listen), `EAFNOSUPPORT` (neither IPv4 nor IPv6), `FdInUseError`.
 *
 * @example
 * const listener = yield* listen({ port: 7000, host: '127.0.0.1' })
 * const connection = yield* listener.accept()
 */
export function listen(options: ListenOptions | ListenFdOptions): Op<Listener>
/**
 * Listens on a Unix socket: at a path, or at an abstract name (`'\0name'`, Linux). Streams of bytes, or with
 * `type: 'seqpacket'` of messages. The file is removed when the listener is closed, if it is still the same.
 *
 * A file that a server which is gone has left behind is replaced: it must be a socket, ours, and nobody must be bound to
 * it. Those who listen through this library take turns meanwhile (an `flock` on the directory), so that of several that
 * start at once one gets the name, and the others `EADDRINUSE`.
 *
 * Errors: system errors such as `EADDRINUSE`, `EACCES` and `ENOENT` (syscall `listen`, with `address`);
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (the path is too long, or has a NUL in it), `ERR_OUT_OF_RANGE`, thrown
 * at once.
 *
 * @example
 * const listener = yield* listen({ path: '/run/my.sock', mode: 0o600 })
 * const connection = yield* listener.accept()
 * if (connection.peerCredentials().uid !== process.getuid?.()) yield* connection.close()
 */
export function listen(options: UnixListenOptions & { type: 'seqpacket' }): Op<UnixListener<SeqpacketConnection>>
export function listen(options: UnixListenOptions & { type?: 'stream' | undefined }): Op<UnixListener>
/**
 * Listens at an address of either kind, such as one that `parseAddress` has read.
 *
 * @example
 * const listener = yield* listen(parseAddress(process.env['LISTEN'] ?? '127.0.0.1:7000'))
 */
export function listen(address: AnyAddress): Op<Listener | UnixListener>
export function listen(
  options: ListenOptions | ListenFdOptions | UnixListenOptions
): Op<Listener | UnixListener<UnixConnection | SeqpacketConnection>> {
  return isUnix(options) ? op(listeningUnix(options)) : listening(options)()
}

/** @internal Checks the options, and gives what makes the operation: for who drives it later, in one of its own. */
export function listening(options: ListenOptions | ListenFdOptions): () => Op<Listener> {
  return isFd(options) ? adopting(options) : opening(options)
}

function isFd(options: ListenOptions | ListenFdOptions): options is ListenFdOptions {
  return options !== null && typeof options === 'object' && 'fd' in options && options.fd !== undefined
}

function adopting({ fd }: ListenFdOptions): () => Op<Listener> {
  checkInteger('options.fd', fd, 0, 0x7fff_ffff)
  return () =>
    immediate(() => {
      const runtime = currentRuntime()
      const { kernel } = runtime
      if (check(kernel.getOption(fd, SocketOption.ACCEPTS_CONNECTIONS), 'listen') === 0) throw new SystemError(EINVAL, 'listen')
      const address = kernel.localAddress(fd)
      if (typeof address === 'number' || address.family === 'Unix') throw new SystemError(EAFNOSUPPORT, 'listen')
      const handle = Handle.take(runtime, fd)
      // None of these fails for a socket that listens.
      kernel.closeOnExec(fd)
      kernel.setNonBlocking(fd)
      kernel.setOption(fd, SocketOption.NO_DELAY, 1)
      return new Listener(handle, address)
    })
}

function opening(options: ListenOptions): () => Op<Listener> {
  const where = endpoint(options, '::', 0)
  const { backlog = 4096 } = options
  checkInteger('options.backlog', backlog, 1, 0x7fff_ffff)
  const everywhere = options.host === undefined && options.address === undefined
  if (!('host' in where)) return () => immediate(() => listenOn(where))
  const { host, port } = where
  if (host === LOCALHOST) return () => immediate(() => listenOn(numericAddress(LOOPBACK[0], port) as SocketAddress))
  return () =>
    op(function* () {
      const { address } = yield* lookup(host)
      return listenOn(numericAddress(address, port) as SocketAddress)
    })

  function listenOn(address: SocketAddress): Listener {
    const runtime = currentRuntime()
    try {
      return open(runtime.kernel, address)
    } catch (error) {
      // A machine without IPv6.
      if (!everywhere || (error as SystemError).code !== 'EAFNOSUPPORT') throw error
      return open(runtime.kernel, { family: 'IPv4', address: '0.0.0.0', port: address.port })
    }

    function open(kernel: Kernel, where: SocketAddress): Listener {
      const fd = check(kernel.socket(where.family), 'socket', where)
      try {
        check(configure(kernel, fd, where), 'setsockopt')
        check(kernel.bind(fd, where), 'listen', where)
        check(kernel.listen(fd, backlog), 'listen', where)
      } catch (error) {
        kernel.closeFd(fd)
        throw error
      }
      const handle = Handle.adopt(runtime, fd)
      const bound = kernel.localAddress(fd)
      if (typeof bound === 'number') {
        // Nobody would learn which port the system has chosen.
        handle.close()
        throw new SystemError(bound, 'getsockname', where)
      }
      return new Listener(handle, bound.family === 'Unix' ? where : bound)
    }
  }

  function configure(kernel: Kernel, fd: number, where: SocketAddress): number {
    const settings: [option: number, value: number][] = [
      [SocketOption.REUSE_ADDRESS, 1],
      // Accepted sockets inherit it, which saves a call for each.
      [SocketOption.NO_DELAY, 1]
    ]
    if (options.reusePort === true) settings.push([SocketOption.REUSE_PORT, 1])
    if (where.family === 'IPv6') settings.push([SocketOption.V6_ONLY, options.ipv6Only === true ? 1 : 0])
    for (const [option, value] of settings) {
      const result = kernel.setOption(fd, option, value)
      if (result < 0) return result
    }
    return 0
  }
}
