/** A listening TCP socket, and accepting from it. */
import {
  check,
  EAGAIN,
  ECONNABORTED,
  EINTR,
  ENETDOWN,
  EOPNOTSUPP,
  EPERM,
  EPROTO,
  SystemError
} from '../kernel/errno.js'
import type { Kernel, SocketAddress } from '../kernel/kernel.js'
import { READABLE, SocketOption, WRITABLE } from '../kernel/layout.js'
import { CloseAtOnce } from '../io/close-at-once.js'
import { BusyError, ClosedError } from '../io/errors.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { Leaf } from '../task/leaf.js'
import { immediate, op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { lookup } from '../blocking/lookup.js'
import { checkInteger } from '../task/validate.js'
import { acceptPatiently } from './accept-policy.js'
import { endpoint, LOCALHOST, LOOPBACK, numericAddress, type AddressOptions } from './address.js'
import { Connection } from './connection.js'

export interface ListenOptions extends AddressOptions {
  /** Connections the system holds until they are accepted, 4096 by default; the system has its own ceiling. */
  backlog?: number | undefined
  /** Whether several sockets may listen on the same port, and share what comes. */
  reusePort?: boolean | undefined
  /** Whether `::` takes IPv6 only, and not IPv4 too. */
  ipv6Only?: boolean | undefined
}

/** Errors of a connection that was gone before it could be accepted (accept(2)), and of nothing else. */
const GONE_BEFORE = new Set([ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN, EOPNOTSUPP])

class Accept extends Leaf<Connection> {
  private readonly handle: Handle

  constructor(handle: Handle) {
    super()
    this.handle = handle
  }

  protected override attempt(): boolean {
    const { handle } = this
    if (handle.reader !== null && handle.reader !== this) throw new BusyError('accepting from this listener')
    if (handle.closed) throw new ClosedError('the listener')
    if ((handle.readiness & READABLE) === 0) return false
    handle.reader = null
    for (;;) {
      const fd = handle.kernel.accept(handle.fd)
      if (fd >= 0) return this.complete(accepted(handle, fd))
      if (fd === EAGAIN) {
        handle.exhausted(READABLE)
        return false
      }
      if (!GONE_BEFORE.has(fd)) throw new SystemError(fd, 'accept')
    }
  }

  protected override arm(): void {
    this.handle.reader = this
  }

  override disarm(): void {
    this.handle.reader = null
  }
}

function accepted(listener: Handle, fd: number): Connection {
  const handle = Handle.adopt(listener.runtime, fd)
  // A new socket has room: the first write need not wait for the event that says so.
  handle.readiness = WRITABLE
  return new Connection(handle)
}

export class Listener {
  /** @internal */
  readonly handle: Handle
  /** Where it listens, with the port the system has chosen if it was 0. */
  readonly address: SocketAddress

  /** @internal Use `listen`. */
  constructor(handle: Handle, address: SocketAddress) {
    this.handle = handle
    this.address = address
  }

  get fd(): number {
    return this.handle.fd
  }

  get closed(): boolean {
    return this.handle.closed
  }

  /**
   * Waits for a connection. On cancel none has been taken. Connections that were gone before they could be accepted are
   * passed over. Errors: `ClosedError`, `BusyError` (another task accepts), system errors such as `EMFILE`, after which
   * the connection still waits: pause before the next call, as iterating and `serve` do.
   */
  accept(): Op<Connection> {
    return new Accept(this.handle)
  }

  /**
   * Stops listening. Connections that were not accepted are reset by the system. Idempotent. In a cancelled scope the fd
   * is freed all the same; then `Cancelled` is thrown.
   */
  close(): Op<void> {
    return new CloseAtOnce(this.handle)
  }

  /** The connections that come, until the listener is closed. Out of fds, it pauses and goes on by itself. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Connection, void, undefined> {
    const accept = acceptPatiently(this)
    for (;;) {
      const connection = await accept()
      if (connection === null) return
      yield connection
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.handle.close()
  }
}

/**
 * Listens for TCP connections: on every address of the machine unless `host` says which; of a name, on the first of its
 * addresses (`localhost` is 127.0.0.1). Port 0 lets the system choose, see `Listener.address`.
 *
 * Errors: system errors such as `EADDRINUSE` and `EACCES` (syscall `listen`, with `address` and `port`); `LookupError`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const listener = yield* listen({ port: 7000, host: '127.0.0.1' })
 * const connection = yield* listener.accept()
 */
export function listen(options: ListenOptions): Op<Listener> {
  return listening(options)()
}

/** @internal Checks the options, and gives what makes the operation: for who drives it later, in one of its own. */
export function listening(options: ListenOptions): () => Op<Listener> {
  const where = endpoint(options, '::', 0)
  const { backlog = 4096 } = options
  checkInteger('options.backlog', backlog, 1, 0x7fff_ffff)
  const everywhere = options.host === undefined
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
      return new Listener(handle, typeof bound === 'number' || bound.family === 'Unix' ? where : bound)
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
