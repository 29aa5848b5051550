/** A TCP connection: a byte stream with two addresses and the options of its protocol. */
import { check } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress } from '../kernel/kernel.js'
import { SocketOption } from '../kernel/layout.js'
import { ClosedError } from '../io/errors.js'
import { checkInteger } from '../task/validate.js'
import type { ProxyInfo } from './proxy-protocol.js'
import { SocketStream } from './socket-stream.js'

/** How a dead peer is found out. What is left out stays as the system has it. */
export interface KeepAliveOptions {
  /** Seconds of silence before the first probe. */
  idle?: number | undefined
  /** Seconds between probes. */
  interval?: number | undefined
  /** Probes without an answer that end the connection with ETIMEDOUT. */
  count?: number | undefined
}

/** A TCP connection, as `connect`, `accept` and `serve` give it. */
export class Connection extends SocketStream {
  private local: SocketAddress | undefined
  private remote: SocketAddress | undefined
  private behind: ProxyInfo | null = null

  /** What a proxy has said about this connection, and its own address; null without `proxyProtocol` of `serve`. */
  get proxy(): ProxyInfo | null {
    return this.behind
  }

  /**
   * This side's address; undefined once the connection is closed, unless it was asked for before. Behind a proxy that has
   * said so, the address that the client has connected to.
   */
  get localAddress(): SocketAddress | undefined {
    return (this.local ??= known(this.closed ? -1 : this.handle.kernel.localAddress(this.handle.fd)))
  }

  /**
   * The peer's address; undefined once the connection is gone, unless it was asked for before. Behind a proxy that has said
   * so, the client's.
   */
  get remoteAddress(): SocketAddress | undefined {
    return (this.remote ??= known(this.closed ? -1 : this.handle.kernel.remoteAddress(this.handle.fd)))
  }

  /** @internal From now on it is the client's for whom the proxy has connected, if the proxy says which. */
  receivedFor(proxy: ProxyInfo): void {
    this.behind = proxy
    this.remote = known(proxy.source) ?? this.remote
    this.local = known(proxy.destination) ?? this.local
  }

  /** Whether small segments go out at once (the default here) or are held back while others are unacknowledged. */
  setNoDelay(on = true): this {
    this.set(SocketOption.NO_DELAY, on ? 1 : 0)
    return this
  }

  /** Whether the system probes a silent peer. */
  setKeepAlive(on = true, options: KeepAliveOptions = {}): this {
    const { idle, interval, count } = options
    checkKeepAlive('options', options)
    this.set(SocketOption.KEEP_ALIVE, on ? 1 : 0)
    if (idle !== undefined) this.set(SocketOption.KEEP_ALIVE_IDLE, idle)
    if (interval !== undefined) this.set(SocketOption.KEEP_ALIVE_INTERVAL, interval)
    if (count !== undefined) this.set(SocketOption.KEEP_ALIVE_COUNT, count)
    return this
  }

  private set(option: number, value: number): void {
    if (this.closed) throw new ClosedError('the connection')
    check(this.handle.kernel.setOption(this.handle.fd, option, value), 'setsockopt')
  }
}

/** @internal Throws unless what there is in `options` is in range. `name` is how they call it. */
export function checkKeepAlive(name: string, options: KeepAliveOptions): void {
  const { idle, interval, count } = options
  if (idle !== undefined) checkInteger(`${name}.idle`, idle, 1, 32767)
  if (interval !== undefined) checkInteger(`${name}.interval`, interval, 1, 32767)
  if (count !== undefined) checkInteger(`${name}.count`, count, 1, 127)
}

function known(address: AnyAddress | number | null): SocketAddress | undefined {
  return address === null || typeof address === 'number' || address.family === 'Unix' ? undefined : address
}
