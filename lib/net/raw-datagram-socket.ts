/** A datagram socket of any family and protocol that the system has: netlink, raw IP, packets, CAN. Addresses are bytes. */
import { check } from '../kernel/errno.js'
import type { SocketFamily, SocketType } from '../kernel/kernel.js'
import { WRITABLE } from '../kernel/layout.js'
import { CloseAtOnce } from '../io/close-at-once.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate } from '../task/op.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import type { DatagramEnd } from './datagram-end.js'
import { datagramBytes } from './datagram-peer.js'
import { ReceiveDatagram, type Datagram } from './receive-datagram.js'
import { SendDatagram } from './send-datagram.js'
import { Socket } from './socket.js'

/** The system's largest: `sockaddr_storage`. */
const ADDRESS_MAX = 128

/** Options of `datagramSocket`. */
export interface RawDatagramOptions {
  /** `'IPv4'`, `'IPv6'`, `'Unix'`, or the number that this system has for it (`AF_NETLINK` is 16 on Linux). */
  family: SocketFamily
  /** `'datagram'` by default; `'raw'`, or a number. */
  type?: SocketType | undefined
  /** A number; 0, by default, is the usual one of family and type. */
  protocol?: number | undefined
  /** What to bind to, as the system writes it, family included. By default it is not bound. */
  address?: Uint8Array | undefined
}

/** A datagram socket of any family, with addresses as bytes; `datagramSocket` opens one. */
export class RawDatagramSocket extends Socket implements DatagramEnd<Buffer> {
  /** @internal What the system says of earlier datagrams is for its users to judge. */
  readonly connected = true
  /** @internal */
  readonly info = false

  /**
   * Waits for a datagram of up to 64 KiB. On cancel none has been received. Errors: `ClosedError`, `BusyError` (another task
   * receives), system errors such as `ENOBUFS` (netlink: some have been lost).
   */
  recv(): Op<Datagram<Buffer>> {
    return new ReceiveDatagram(this)
  }

  /**
   * Sends a datagram to an address, or to where the system sends what has none. Waits while the system has no room. On cancel
   * it has not been sent. Errors: system errors; `ClosedError`, `BusyError`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  send(data: string | Uint8Array, address?: Uint8Array): Op<void> {
    const bytes = datagramBytes(data)
    if (address !== undefined) checkAddress('address', address)
    return new SendDatagram(this, { data: bytes, to: address, address: undefined, segment: 0, tos: -1 })
  }

  /** As that of a `DatagramSocket`. */
  close(): Op<void> {
    return new CloseAtOnce(this.handle)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.handle.close()
  }

  /** @internal */
  decode(bytes: Uint8Array, offset: number, length: number): Buffer {
    return Buffer.from(bytes.subarray(offset, offset + length))
  }
}

/**
 * Opens a datagram socket of a family that the library has no words for: netlink, packets, raw IP, CAN. Many are root's.
 *
 * Errors: system errors such as `EPERM`, and `EAFNOSUPPORT` where the system has no such family; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const AF_NETLINK = 16
 * const NETLINK_ROUTE = 0
 * const socket = yield* datagramSocket({ family: AF_NETLINK, type: 'raw', protocol: NETLINK_ROUTE })
 * const { data } = yield* socket.recv()
 */
export function datagramSocket(options: RawDatagramOptions): Op<RawDatagramSocket> {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  const { family, type = 'datagram', protocol = 0, address } = options
  checkInteger('options.protocol', protocol, 0, 0x7fff_ffff)
  for (const [name, value] of [['options.family', family], ['options.type', type]] as const) {
    if (typeof value !== 'string') checkInteger(name, value, 0, 0x7fff_ffff)
  }
  if (address !== undefined) checkAddress('options.address', address)
  return immediate(() => {
    const runtime = currentRuntime()
    const { kernel } = runtime
    const what = `family ${family}, type ${type}, protocol ${protocol}`
    const fd = check(kernel.socket(family, type, protocol), 'socket', { what })
    const bound = address === undefined ? 0 : kernel.bind(fd, address)
    if (bound < 0) kernel.closeFd(fd)
    check(bound, 'bind', { what })
    const handle = Handle.adopt(runtime, fd)
    handle.readiness = WRITABLE
    return new RawDatagramSocket(handle)
  })
}

function checkAddress(name: string, address: unknown): void {
  if (!(address instanceof Uint8Array)) throw invalidType(name, 'an instance of Uint8Array', address)
  checkInteger(`${name}.length`, address.length, 2, ADDRESS_MAX)
}
