/** Many datagrams in one piece of memory, received and sent by one system call, without an object for each. */
import { EINVAL, SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { DATAGRAMS_MAX } from '../kernel/layout.js'
import { checkInteger, invalidType } from '../task/validate.js'
import type { AddressBook } from './address-book.js'
import { DatagramRecords, RECORD_BYTES } from './datagram-records.js'
import { datagramBytes, marksOf, peerOf, type DatagramPeer, type DatagramSendOptions } from './datagram-peer.js'

/** Options of a `DatagramSlab`. */
export interface DatagramSlabOptions {
  /** Datagrams it has places for: 1 to 256, 32 by default. */
  packets?: number | undefined
  /** Bytes of each place, 2048 by default. A longer datagram is cut; with `gro`, 65535 are needed. */
  size?: number | undefined
}

/**
 * Places for datagrams: data and addresses in one ArrayBuffer. It belongs to no socket, and to one operation at a time.
 * What was received stays in its place until the next `recvBatch` into it, and can be sent from there: to where it came
 * from, or with `set` and `resize` something else, to somebody else.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * const socket = yield* udp({ port: 7 })
 * const slab = new DatagramSlab({ packets: 32, size: 2048 })
 * for (;;) {
 *   const count = yield* socket.recvBatch(slab)
 *   yield* socket.sendBatch(slab, count)
 * }
 */
export class DatagramSlab {
  readonly packets: number
  readonly size: number
  /** @internal */
  readonly records: DatagramRecords
  /** @internal The place of the i-th datagram begins at `i * size`. */
  readonly data: Buffer
  /** How many datagrams the last `recvBatch` has received. */
  count = 0
  /** How many the last `sendBatch` has sent: all of them, but for those that failed, and those after a cancellation. */
  sent = 0
  /** @internal The first place that `sendBatch` has still to do something about. */
  progress = 0
  /** Of the socket that addresses came from. */
  private book: AddressBook | null = null
  /** Where datagrams are to go that were set and not sent since: only their socket can tell the bytes. */
  private readonly peers: (DatagramPeer | undefined)[] = []
  /** Invariant: true when `peers` has any. */
  private addressed = false
  /** Invariant: true when a record may have a result other than 0. */
  private failures = false

  constructor({ packets = 32, size = 2048 }: DatagramSlabOptions = {}) {
    checkInteger('options.packets', packets, 1, DATAGRAMS_MAX)
    checkInteger('options.size', size, 1, 65535)
    this.packets = packets
    this.size = size
    const buffer = new ArrayBuffer(packets * (RECORD_BYTES + size))
    this.records = new DatagramRecords(buffer, packets)
    this.data = Buffer.from(buffer, packets * RECORD_BYTES)
  }

  /** The data of the i-th datagram, where they lie: a view. Errors: `ERR_OUT_OF_RANGE`, as everywhere here. */
  view(i: number): Buffer {
    this.check(i)
    return this.data.subarray(i * this.size, i * this.size + this.records.length(i))
  }

  /** Bytes of the i-th datagram. */
  length(i: number): number {
    this.check(i)
    return this.records.length(i)
  }

  /** Whether more had come than fitted. */
  truncated(i: number): boolean {
    this.check(i)
    return this.records.truncated(i)
  }

  /** Bytes of each of the datagrams that the i-th place holds, where `gro` has joined some or they are to be sent so; 0 = one. */
  segment(i: number): number {
    this.check(i)
    return this.records.segment(i)
  }

  /** Whose the i-th datagram is, or where it is to go; null: to the connected peer. The same sender is the same object. */
  address(i: number): SocketAddress | null {
    this.check(i)
    const { records, book } = this
    const peer = this.peers[i]
    if (peer !== undefined) return peer.address
    const length = records.addressLength(i)
    return book === null || length <= 0 ? null : book.decode(records.bytes, records.addressAt(i), length)
  }

  /** With `info`: when the system got it, in milliseconds since 1970; 0 without. */
  receivedAt(i: number): number {
    this.check(i)
    return this.records.receivedAt(i)
  }

  /** With `info`: how many datagrams the socket had lost by then for want of room; 0 without. */
  dropped(i: number): number {
    this.check(i)
    return this.records.dropped(i)
  }

  /** Why the last `sendBatch` has not sent the i-th datagram; null if it has. */
  error(i: number): SystemError | null {
    this.check(i)
    const result = this.records.result(i)
    return result < 0 ? new SystemError(result, 'send', this.address(i) ?? undefined) : null
  }

  /**
   * Puts a datagram into the i-th place: `data` are copied, and go to `to`, or to the connected peer. Errors: as `send`,
   * and `ERR_OUT_OF_RANGE` if there is no room for them.
   */
  set(i: number, data: string | Uint8Array, to: DatagramSendOptions = {}): this {
    this.check(i)
    const bytes = datagramBytes(data)
    checkInteger('data.length', bytes.length, 0, this.size)
    const peer = peerOf(to)
    const { segment, tos } = marksOf(to)
    this.data.set(bytes, i * this.size)
    this.records.setLength(i, bytes.length)
    this.records.setAddress(i, undefined)
    this.records.setMarks(i, segment, tos)
    this.records.setResult(i, 0)
    this.peers[i] = peer
    if (peer !== undefined) this.addressed = true
    return this
  }

  /** Changes how many bytes of its place the i-th datagram has; its address stays. Errors: `ERR_OUT_OF_RANGE`. */
  resize(i: number, length: number): Buffer {
    this.check(i)
    checkInteger('length', length, 0, this.size)
    this.records.setLength(i, length)
    return this.view(i)
  }

  /** @internal The kernel has written `count` records. */
  filled(book: AddressBook, count: number): void {
    this.book = book
    this.count = count
    if (this.addressed) this.peers.fill(undefined, 0, count)
  }

  /** @internal The first `count` datagrams are about to be sent. Throws, having had no effect on them. */
  begin(book: AddressBook, count: number): void {
    this.progress = 0
    this.sent = 0
    if (this.failures) for (let i = 0; i < this.packets; i++) this.records.setResult(i, 0)
    this.failures = false
    if (!this.addressed) return
    for (let i = 0; i < count; i++) {
      const peer = this.peers[i]
      if (peer !== undefined) this.records.setAddress(i, book.encode(peer.host, peer.port))
    }
  }

  /** @internal */
  went(count: number): void {
    this.progress += count
    this.sent += count
  }

  /** @internal The datagram whose turn it is cannot be sent. */
  failed(error: number): void {
    this.records.setResult(this.progress++, error < 0 ? error : EINVAL)
    this.failures = true
  }

  private check(i: number): void {
    if (!Number.isInteger(i) || i < 0 || i >= this.packets) checkInteger('i', i, 0, this.packets - 1)
  }
}

export function checkSlab(slab: unknown): asserts slab is DatagramSlab {
  if (!(slab instanceof DatagramSlab)) throw invalidType('slab', 'a DatagramSlab', slab)
}
