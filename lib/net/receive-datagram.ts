/** Receiving datagrams: one, into the library's buffer or the caller's, or as many as there are into a slab. */
import { EAGAIN, EINTR, SystemError } from '../kernel/errno.js'
import { READABLE } from '../kernel/layout.js'
import { ReadSlab } from '../io/read-slab.js'
import type { AddressBook } from './address-book.js'
import { ofTheNetwork, type DatagramEnd } from './datagram-end.js'
import { DatagramRecords } from './datagram-records.js'
import type { DatagramSlab } from './datagram-slab.js'
import { Receiving } from './receiving.js'
import type { SocketAddress } from '../kernel/kernel.js'

/** A datagram that was received. */
export interface Datagram<A = SocketAddress> {
  readonly data: Buffer
  /** Whose it is, as `send` takes it. */
  readonly address: A
  /** There was more than fitted, which is lost. */
  readonly truncated: boolean
  /** With `gro`: the data are several datagrams of so many bytes each, the last one of what is left. */
  readonly segment?: number
  /** With `info`: the address it was sent to, which is a multicast group's perhaps. */
  readonly localAddress?: string
  /** With `info`: the number of the interface it came by. */
  readonly interface?: number
  /** With `info`: when the system got it, in milliseconds since 1970 with fractions. */
  readonly receivedAt?: number
  /** With `info`: the byte of the header that was the type of service, and is DSCP and ECN. */
  readonly tos?: number
  /** With `info`: how many datagrams this socket has lost so far for want of room. */
  readonly dropped?: number
}

abstract class ReceivingDatagrams<T, A> extends Receiving<T> {
  protected readonly end: DatagramEnd<A>

  constructor(end: DatagramEnd<A>) {
    super(end.handle)
    this.end = end
  }

  /** Datagrams received; 0: none is there, and the registration has been told. */
  protected receive(records: DatagramRecords, data: Uint8Array, size: number, count: number): number {
    const { handle, connected } = this.end
    for (;;) {
      const received = handle.kernel.receiveDatagrams(handle.fd, records.bytes, data, size, 0, count)
      if (received > 0) return received
      if (received === EAGAIN) {
        handle.exhausted(READABLE)
        return 0
      }
      // Each is told once: it does not come again.
      if (received !== EINTR && (connected || !ofTheNetwork(received))) throw new SystemError(received, 'recv')
    }
  }
}

/** `recv()` */
export class ReceiveDatagram<A> extends ReceivingDatagrams<Datagram<A>, A> {
  protected override take(): boolean {
    const { end } = this
    const { runtime } = end.handle
    const records = DatagramRecords.of(runtime)
    const slab = ReadSlab.of(runtime)
    const buffer = slab.enter(null)
    if (this.receive(records, buffer, buffer.length, 1) === 0) return false
    return this.complete(datagramOf(end, records, slab.take(records.length(0))))
  }
}

/** `recvInto(buffer)` */
export class ReceiveDatagramInto<A> extends ReceivingDatagrams<Datagram<A>, A> {
  private readonly into: Uint8Array

  constructor(end: DatagramEnd<A>, into: Uint8Array) {
    super(end)
    this.into = into
  }

  protected override take(): boolean {
    const { end, into } = this
    const records = DatagramRecords.of(end.handle.runtime)
    if (this.receive(records, into, into.length, 1) === 0) return false
    const data = Buffer.from(into.buffer as ArrayBuffer, into.byteOffset, records.length(0))
    return this.complete(datagramOf(end, records, data))
  }
}

/** `recvBatch(slab)` */
export class ReceiveBatch extends ReceivingDatagrams<number, SocketAddress> {
  private readonly book: AddressBook
  private readonly slab: DatagramSlab

  constructor(end: DatagramEnd<SocketAddress>, book: AddressBook, slab: DatagramSlab) {
    super(end)
    this.book = book
    this.slab = slab
  }

  protected override take(): boolean {
    const { end, slab } = this
    const received = this.receive(slab.records, slab.data, slab.size, slab.packets)
    if (received === 0) return false
    slab.filled(this.book, received)
    // Fewer than fit: no more are there. An error may have ended it, too, for which no event comes; but only of a peer.
    if (received < slab.packets && !end.connected) end.handle.exhausted(READABLE)
    return this.complete(received)
  }
}

function datagramOf<A>(end: DatagramEnd<A>, records: DatagramRecords, data: Buffer): Datagram<A> {
  const address = end.decode(records.bytes, records.addressAt(0), records.addressLength(0))
  const truncated = records.truncated(0)
  const segment = records.segment(0)
  if (!end.info && segment === 0) return { data, address, truncated }
  return { data, address, truncated, ...(segment > 0 && { segment }), ...(end.info && information(end, records)) }
}

function information<A>(end: DatagramEnd<A>, records: DatagramRecords): Partial<Datagram<A>> {
  const localLength = records.localLength(0)
  const local = localLength === 0 ? null : end.decode(records.bytes, records.localAt(0), localLength)
  const tos = records.tos(0)
  return {
    ...(local !== null && { localAddress: (local as SocketAddress).address, interface: records.interface(0) }),
    ...(tos >= 0 && { tos }),
    receivedAt: records.receivedAt(0),
    dropped: records.dropped(0)
  }
}
