/** Opening a TCP connection. */
import { check, ECONNREFUSED, EINPROGRESS, EINTR, ENOTCONN, SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { SocketOption, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { Leaf } from '../task/leaf.js'
import type { Op } from '../task/types.js'
import { socketAddress, type AddressOptions } from './address.js'
import { Connection } from './connection.js'

export interface ConnectOptions extends AddressOptions {}

class Connect extends Leaf<Connection> {
  private readonly address: SocketAddress
  /** Null until the connection has been begun. */
  private handle: Handle | null = null

  constructor(address: SocketAddress) {
    super()
    this.address = address
  }

  protected override attempt(): boolean {
    if (this.handle === null) {
      this.handle = this.begin()
    } else {
      if ((this.handle.readiness & WRITABLE) === 0) return false
      // Only now: an unconnected socket reports that it is writable and hung up (Linux), which says nothing.
      const error = this.handle.kernel.getOption(this.handle.fd, SocketOption.ERROR)
      if (error !== 0) this.fail(error < 0 ? error : -error)
    }
    const { handle } = this
    const remote = handle.kernel.remoteAddress(handle.fd)
    if (remote === ENOTCONN) {
      handle.exhausted(WRITABLE)
      return false
    }
    if (typeof remote === 'number') this.fail(remote)
    this.refuseSelf(handle)
    handle.writer = null
    handle.readiness |= WRITABLE
    return this.complete(new Connection(handle))
  }

  protected override arm(): void {
    ;(this.handle as Handle).writer = this
  }

  /** Nobody will ever see the socket. */
  override disarm(): void {
    this.handle?.close()
  }

  /** Watched only once `connect` has been called. */
  private begin(): Handle {
    const runtime = currentRuntime()
    const { kernel } = runtime
    const fd = check(kernel.socket(this.address.family), 'socket')
    kernel.setOption(fd, SocketOption.NO_DELAY, 1)
    const result = kernel.connect(fd, this.address)
    // EINTR leaves a connection that goes on by itself, like EINPROGRESS (POSIX).
    if (result < 0 && result !== EINPROGRESS && result !== EINTR) {
      kernel.closeFd(fd)
      throw new SystemError(result, 'connect', this.address)
    }
    return Handle.adopt(runtime, fd)
  }

  /** The system may pick the very port that is being connected to, which makes a socket that is its own peer. */
  private refuseSelf(handle: Handle): void {
    const local = handle.kernel.localAddress(handle.fd)
    if (typeof local === 'number' || local.family === 'Unix' || local.port !== this.address.port || local.address !== this.address.address) return
    this.fail(ECONNREFUSED)
  }

  private fail(errno: number): never {
    this.handle?.close()
    throw new SystemError(errno, 'connect', this.address)
  }
}

/**
 * Opens a TCP connection. The host is a numeric address or `localhost` (the default). TCP_NODELAY is on: what is small
 * is gathered before it is written, see `Connection.write`. On cancel the socket is closed.
 *
 * Errors: system errors such as `ECONNREFUSED` (with `address` and `port`); `HostNotNumericError`,
 * `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * await using connection = await connect({ port: 6379 })
 */
export function connect(options: ConnectOptions): Op<Connection> {
  return new Connect(socketAddress(options, 'localhost', 1))
}
