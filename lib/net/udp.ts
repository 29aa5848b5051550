/** Opening a UDP socket. */
import { check, EAFNOSUPPORT, SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { DatagramOption, SocketOption, WRITABLE } from '../kernel/layout.js'
import { lookup } from '../blocking/lookup.js'
import { currentRuntime } from '../runtime/current.js'
import type { Runtime } from '../runtime/runtime.js'
import { immediate, op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { endpoint, LOCALHOST, LOOPBACK, numericAddress } from './address.js'
import { DatagramHandle } from './datagram-handle.js'
import { DatagramSocket } from './datagram-socket.js'

/** Options of `udp`. */
export interface UdpOptions {
  /** Where to receive: 0 to 65535; 0, by default, is a port of the system's choice. */
  port?: number | undefined
  /** On which of the machine's addresses, or of a name's the first; by default on all of both families. */
  host?: string | undefined
  /** Whether other sockets may have the port, too, if they allow it as well: for multicast, which all of them get. */
  reuseAddress?: boolean | undefined
  /** Whether several sockets may have the port, and share what comes. */
  reusePort?: boolean | undefined
  /** Whether `::` takes IPv6 only, and not IPv4 too. */
  ipv6Only?: boolean | undefined
  /** Whether it may send to broadcast addresses. */
  broadcast?: boolean | undefined
  /** Bytes that the system keeps until they are received, of which each datagram takes some hundred more; it has a ceiling. */
  receiveBuffer?: number | undefined
  /** Bytes that the system takes before `send` waits. */
  sendBuffer?: number | undefined
  /** Whether `recv` tells local address, interface, time, TOS and losses. */
  info?: boolean | undefined
  /** Whether the system may hand out datagrams of one sender in one piece (GRO), see `Datagram.segment`. */
  gro?: boolean | undefined
  /**
   * Whether what the network says of datagrams that were sent (ICMP: nobody has the port, no way there, too long) is kept for
   * `recvError`, with where they were to go. Then receive it: what is kept takes room of what comes. `ENOPROTOOPT` on systems
   * other than Linux.
   */
  errors?: boolean | undefined
}

/**
 * Opens a UDP socket, on every address of the machine unless `host` says which. It then speaks IPv4 and IPv6, and an IPv4
 * address is always written as one.
 *
 * Errors: system errors such as `EADDRINUSE` and `EACCES` (syscall `bind`, with `address` and `port`); `LookupError`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const socket = yield* udp({ port: 7000, host: '127.0.0.1' })
 * const { data, address } = yield* socket.recv()
 * yield* socket.send(`you said ${data}`, address)
 */
export function udp(options: UdpOptions = {}): Op<DatagramSocket> {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  const { port = 0, host, receiveBuffer, sendBuffer } = options
  if (receiveBuffer !== undefined) checkInteger('options.receiveBuffer', receiveBuffer, 1, 0x3fff_ffff)
  if (sendBuffer !== undefined) checkInteger('options.sendBuffer', sendBuffer, 1, 0x3fff_ffff)
  const where = endpoint({ ...options, port }, '::', 0)
  if (!('host' in where)) {
    return immediate(() => {
      const runtime = currentRuntime()
      try {
        return open(runtime, where, options)
      } catch (error) {
        // A machine without IPv6.
        if (host !== undefined || (error as SystemError).errno !== EAFNOSUPPORT) throw error
        return open(runtime, { family: 'IPv4', address: '0.0.0.0', port }, options)
      }
    })
  }
  if (where.host === LOCALHOST) return udp({ ...options, host: LOOPBACK[0] })
  return op(function* () {
    const { address } = yield* lookup(where.host)
    return open(currentRuntime(), numericAddress(address, port) as SocketAddress, options)
  })
}

function open(runtime: Runtime, where: SocketAddress, options: UdpOptions): DatagramSocket {
  const { kernel } = runtime
  const fd = check(kernel.socket(where.family, 'datagram'), 'socket', where)
  try {
    const set = (option: number, value: number): number => check(kernel.setOption(fd, option, value), 'setsockopt')
    const allow = (option: number): number => check(kernel.setDatagramOption(fd, option, 1), 'setsockopt')
    if (options.reuseAddress === true) set(SocketOption.REUSE_ADDRESS, 1)
    if (options.reusePort === true) set(SocketOption.REUSE_PORT, 1)
    if (where.family === 'IPv6') set(SocketOption.V6_ONLY, options.ipv6Only === true ? 1 : 0)
    if (options.receiveBuffer !== undefined) set(SocketOption.RECEIVE_BUFFER, options.receiveBuffer)
    if (options.sendBuffer !== undefined) set(SocketOption.SEND_BUFFER, options.sendBuffer)
    if (options.broadcast === true) allow(DatagramOption.BROADCAST)
    if (options.info === true) allow(DatagramOption.INFO)
    if (options.gro === true) allow(DatagramOption.COALESCE)
    if (options.errors === true) allow(DatagramOption.ERRORS)
    check(kernel.bind(fd, where), 'bind', where)
  } catch (error) {
    kernel.closeFd(fd)
    throw error
  }
  const handle = DatagramHandle.adopt(runtime, fd)
  // A new socket has room: the first datagram need not wait for the event that says so.
  handle.readiness = WRITABLE
  return new DatagramSocket(handle, where.family, options.info === true, options.errors === true)
}
