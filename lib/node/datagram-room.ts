/** The memory through which datagrams come and go, a batch at a time: one per runtime, for the next system call only. */
import type { Handle } from '../io/handle.js'
import { DatagramRecords, RECORD_BYTES } from '../net/datagram-records.js'
import type { Runtime } from '../runtime/runtime.js'

/** Datagrams received by one system call: as many as libuv takes before it is the others' turn. */
const RECEIVE_PLACES = 32
/**
 * More than the longest datagram has, so that none is ever cut. Most of it is never touched; and no multiple of a page, as
 * otherwise all places would compete for the same few lines of the cache.
 */
const RECEIVE_PLACE = 64 * 1024 + 64

/** Datagrams sent by one system call. */
const SEND_PLACES = 64
/** What is longer is sent from where it lies, alone. More than a frame of Ethernet has. */
const SEND_PLACE = 2048

/** The most that V8 keeps within the object itself, so that an ArrayBuffer of its own costs nothing. */
const INLINE_BYTES = 64

export interface Datagram {
  readonly data: Uint8Array | readonly Uint8Array[]
  readonly size: number
  /** Undefined: the connected peer. */
  readonly to: Uint8Array | undefined
}

export class DatagramRoom {
  private static readonly rooms = new WeakMap<Runtime, DatagramRoom>()
  readonly places = RECEIVE_PLACES
  readonly records = recordsFor(Math.max(RECEIVE_PLACES, SEND_PLACES))
  private readonly incoming = Buffer.allocUnsafeSlow(RECEIVE_PLACES * RECEIVE_PLACE)
  private readonly outgoing = Buffer.allocUnsafeSlow(SEND_PLACES * SEND_PLACE)

  static of(runtime: Runtime): DatagramRoom {
    let room = DatagramRoom.rooms.get(runtime)
    if (room === undefined) DatagramRoom.rooms.set(runtime, (room = new DatagramRoom()))
    return room
  }

  /** How many have come, or an error. They are here until the next call of anything but `copy`. */
  receive({ kernel, fd }: Handle): number {
    return kernel.receiveDatagrams(fd, this.records.bytes, this.incoming, RECEIVE_PLACE, 0, RECEIVE_PLACES)
  }

  /** The i-th that has come, as a buffer that is the caller's own. */
  copy(i: number): Buffer {
    const length = this.records.length(i)
    const own = length <= INLINE_BYTES ? Buffer.alloc(length) : Buffer.allocUnsafe(length)
    this.incoming.copy(own, 0, i * RECEIVE_PLACE, i * RECEIVE_PLACE + length)
    return own
  }

  /** How many of `[first, last]` were taken, or what the first of them has failed with. */
  send({ kernel, fd }: Handle, datagrams: readonly Datagram[], first: number, last: number): number {
    const { records, outgoing } = this
    const { data, size } = datagrams[first] as Datagram
    if (first === last || size > SEND_PLACE) {
      const bytes = data instanceof Uint8Array ? data : Buffer.concat(data)
      this.describe(0, datagrams[first] as Datagram)
      return kernel.sendDatagrams(fd, records.bytes, bytes, bytes.length, 0, 1)
    }
    let count = 0
    for (let i = first; i <= last && count < SEND_PLACES; i++) {
      const datagram = datagrams[i] as Datagram
      if (datagram.size > SEND_PLACE) break
      this.describe(count, datagram)
      this.gather(datagram.data, count++ * SEND_PLACE)
    }
    return kernel.sendDatagrams(fd, records.bytes, outgoing, SEND_PLACE, 0, count)
  }

  private describe(i: number, { size, to }: Datagram): void {
    this.records.setLength(i, size)
    this.records.setAddress(i, to)
    this.records.setMarks(i, 0, -1)
  }

  private gather(data: Uint8Array | readonly Uint8Array[], at: number): void {
    if (data instanceof Uint8Array) return this.outgoing.set(data, at)
    let end = at
    for (const piece of data) {
      this.outgoing.set(piece, end)
      end += piece.length
    }
  }
}

function recordsFor(count: number): DatagramRecords {
  return new DatagramRecords(new ArrayBuffer(count * RECORD_BYTES), count)
}
