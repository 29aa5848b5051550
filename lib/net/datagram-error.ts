/** What the network says of datagrams that were sent: of which one, why, and who says so. That it ends nothing is for the socket. */
import { EAGAIN, EINTR, EMSGSIZE, SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { ERROR } from '../kernel/layout.js'
import { BusyError, ClosedError } from '../io/errors.js'
import { ReadSlab } from '../io/read-slab.js'
import { Leaf } from '../task/leaf.js'
import type { DatagramEnd } from './datagram-end.js'
import type { DatagramHandle } from './datagram-handle.js'
import { DatagramRecords } from './datagram-records.js'

/** Who has found out: this machine, before the datagram left it, or another, which has sent a message of ICMP. */
export type DatagramErrorOrigin = 'local' | 'ICMP' | 'ICMPv6' | 'other'

/** What the network has said of a datagram. */
export interface DatagramError {
  /** What has become of it, such as `ECONNREFUSED` (nobody has the port) or `EHOSTUNREACH`; with `address` and `port`. */
  readonly error: SystemError
  /** Where it was to go, as `send` takes it; of an error of this machine Linux knows the port only on a connected socket. */
  readonly address: SocketAddress
  /** What came back of it: its beginning, or nothing. */
  readonly data: Buffer
  readonly origin: DatagramErrorOrigin
  /** Type and code of the message of ICMP; 0 for an error of this machine. */
  readonly type: number
  readonly code: number
  /** The address of who has said so: a router perhaps. */
  readonly reporter?: string
  /** With `EMSGSIZE`: how many bytes may go that way in one packet, headers included. */
  readonly mtu?: number
}

/** SO_EE_ORIGIN_* of Linux, as `Kernel.receiveDatagramError` has them. */
const ORIGINS: Readonly<Record<number, DatagramErrorOrigin>> = { 1: 'local', 2: 'ICMP', 3: 'ICMPv6' }

/** `recvError()` */
export class ReceiveDatagramError extends Leaf<DatagramError> {
  private readonly handle: DatagramHandle
  private readonly end: DatagramEnd<SocketAddress>

  constructor(handle: DatagramHandle, end: DatagramEnd<SocketAddress>) {
    super()
    this.handle = handle
    this.end = end
  }

  protected override attempt(): boolean {
    const { handle } = this
    if (handle.errorReader !== null && handle.errorReader !== this) throw new BusyError('receiving errors from this socket')
    if (handle.closed) throw new ClosedError('the socket')
    if ((handle.readiness & ERROR) === 0) return false
    handle.errorReader = null
    const { runtime, kernel, fd } = handle
    const records = DatagramRecords.of(runtime)
    const slab = ReadSlab.of(runtime)
    const buffer = slab.enter(null)
    let received = EINTR
    while (received === EINTR) received = kernel.receiveDatagramError(fd, records.bytes, buffer, buffer.length)
    if (received === EAGAIN) {
      handle.exhausted(ERROR)
      return false
    }
    if (received < 0) throw new SystemError(received, 'recv')
    return this.complete(this.decode(records, slab.take(records.length(0))))
  }

  protected override arm(): void {
    this.handle.errorReader = this
  }

  override disarm(): void {
    this.handle.errorReader = null
  }

  private decode(records: DatagramRecords, data: Buffer): DatagramError {
    const { end } = this
    const address = end.decode(records.bytes, records.addressAt(0), records.addressLength(0))
    const localLength = records.localLength(0)
    const { errno, origin, type, code, info } = records.networkError(0)
    return {
      error: new SystemError(errno, 'send', address),
      address,
      data,
      origin: ORIGINS[origin] ?? 'other',
      type,
      code,
      ...(localLength > 0 && { reporter: end.decode(records.bytes, records.localAt(0), localLength).address }),
      ...(errno === EMSGSIZE && info > 0 && { mtu: info })
    }
  }
}
