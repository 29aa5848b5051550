/** One socket on its way to a connection, and the next address when the first refuses. */
import { check, ECONNREFUSED, EINPROGRESS, EINTR, ENOTCONN, SystemError } from '../kernel/errno.js'
import type { Kernel, SocketAddress } from '../kernel/kernel.js'
import { SocketOption, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { Leaf } from '../task/leaf.js'
import { Connection } from './connection.js'

/** What is set before the connection is begun. */
export interface SocketSettings {
  readonly noDelay: boolean
  readonly fastOpen: boolean
  /** The address to connect from; null for any. */
  readonly localAddress: SocketAddress | null
  /** 0 for any. */
  readonly localPort: number
}

/**
 * Connects to the first address, and only if that fails to the next one: for addresses that answer at once, one way or
 * the other, as those of this machine do. If all fail, the error is that of the first.
 */
export class Attempt extends Leaf<Connection> {
  private readonly addresses: readonly SocketAddress[]
  private readonly settings: SocketSettings
  /** The one of `addresses` that is being tried. */
  private at = 0
  private firstError: unknown = undefined
  /** Null until a connection has been begun, and while none is. */
  private handle: Handle | null = null

  constructor(addresses: readonly SocketAddress[], settings: SocketSettings) {
    super()
    this.addresses = addresses
    this.settings = settings
  }

  protected override attempt(): boolean {
    for (;;) {
      try {
        return this.advance()
      } catch (error) {
        this.firstError ??= error
        if (++this.at === this.addresses.length) throw this.firstError
      }
    }
  }

  protected override arm(): void {
    ;(this.handle as Handle).writer = this
  }

  /** Nobody will ever see the socket. */
  override disarm(): void {
    this.handle?.close()
  }

  private get address(): SocketAddress {
    return this.addresses[this.at] as SocketAddress
  }

  /** Throws what has gone wrong with this address. */
  private advance(): boolean {
    if (this.handle === null) {
      if (this.begin()) return this.finish()
    } else {
      if ((this.handle.readiness & WRITABLE) === 0) return false
      // Only now: an unconnected socket reports that it is writable and hung up (Linux), which says nothing.
      const error = this.handle.kernel.getOption(this.handle.fd, SocketOption.ERROR)
      if (error !== 0) this.fail(error < 0 ? error : -error)
    }
    const handle = this.handle as unknown as Handle
    const remote = handle.kernel.remoteAddress(handle.fd)
    if (remote === ENOTCONN) {
      handle.exhausted(WRITABLE)
      return false
    }
    if (typeof remote === 'number') this.fail(remote)
    this.refuseSelf(handle)
    return this.finish()
  }

  private finish(): true {
    const handle = this.handle as Handle
    handle.writer = null
    handle.readiness |= WRITABLE
    return this.complete(new Connection(handle))
  }

  /**
   * Watched only once `connect` has been called. True if the connection counts as open: with a cookie, it is begun by
   * the first data that are written.
   */
  private begin(): boolean {
    const runtime = currentRuntime()
    const { kernel } = runtime
    const { address, settings } = this
    const fd = check(kernel.socket(address.family), 'socket', address)
    let result = 0
    try {
      if (settings.noDelay) kernel.setOption(fd, SocketOption.NO_DELAY, 1)
      // Where it is not known or not allowed, the connection is an ordinary one.
      const fast = settings.fastOpen && kernel.setOption(fd, SocketOption.FAST_OPEN_CONNECT, 1) === 0
      if (settings.localAddress !== null || settings.localPort !== 0) bindTo(kernel, fd, localOf(settings, address))
      result = kernel.connect(fd, address)
      // EINTR leaves a connection that goes on by itself, like EINPROGRESS (POSIX).
      if (result !== EINPROGRESS && result !== EINTR) check(result, 'connect', address)
      if (!fast) result = EINPROGRESS
    } catch (error) {
      kernel.closeFd(fd)
      throw error
    }
    this.handle = Handle.adopt(runtime, fd)
    return result === 0
  }

  /** The system may pick the very port that is being connected to, which makes a socket that is its own peer. */
  private refuseSelf(handle: Handle): void {
    const local = handle.kernel.localAddress(handle.fd)
    if (typeof local === 'number' || local.family === 'Unix' || local.port !== this.address.port || local.address !== this.address.address) return
    this.fail(ECONNREFUSED)
  }

  private fail(errno: number): never {
    this.handle?.close()
    this.handle = null
    throw new SystemError(errno, 'connect', this.address)
  }
}

function localOf({ localAddress, localPort }: SocketSettings, { family }: SocketAddress): SocketAddress {
  return localAddress ?? { family, address: family === 'IPv6' ? '::' : '0.0.0.0', port: localPort }
}

function bindTo(kernel: Kernel, fd: number, local: SocketAddress): void {
  // A port that was used a moment ago may be used again; without one, the choice is left to `connect`, which does not
  // need one that is free for every peer. Failing costs only that.
  if (local.port === 0) kernel.setOption(fd, SocketOption.BIND_ADDRESS_NO_PORT, 1)
  else kernel.setOption(fd, SocketOption.REUSE_ADDRESS, 1)
  check(kernel.bind(fd, local), 'bind', local)
}
