/** Sending datagrams: one, or a slab full. Whole or not at all; what waits is the caller, and nothing is queued here. */
import { EAGAIN, EINTR, ENOBUFS, SystemError } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { WRITABLE } from '../kernel/layout.js'
import { BusyError, ClosedError } from '../io/errors.js'
import { Leaf } from '../task/leaf.js'
import type { Deadline } from '../time/deadlines.js'
import type { AddressBook } from './address-book.js'
import { ofTheNetwork, type DatagramEnd } from './datagram-end.js'
import { DatagramRecords } from './datagram-records.js'
import type { DatagramSlab } from './datagram-slab.js'

/** A device whose queue is full (ENOBUFS) tells nobody when it no longer is: asked again after 1 ms, then after twice as long. */
const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 64

abstract class Sending<T> extends Leaf<T> implements Deadline {
  protected readonly end: DatagramEnd<unknown>
  /** How long to wait if the device is still full. */
  private pause = FIRST_PAUSE_MS
  private paused = false
  index = -1

  constructor(end: DatagramEnd<unknown>) {
    super()
    this.end = end
  }

  protected override attempt(): boolean {
    const { handle } = this.end
    this.stopClock()
    if (handle.writer !== null && handle.writer !== this) throw new BusyError('sending to this socket')
    if (handle.closed) throw new ClosedError('the socket')
    if ((handle.readiness & WRITABLE) === 0) return false
    handle.writer = null
    return this.transmit()
  }

  protected abstract transmit(): boolean

  /** As the kernel's call: how many were taken, or an error; 0: none, and it is to be tried again later. */
  protected sendDatagrams(records: DatagramRecords, data: Uint8Array, size: number, first: number, count: number): number {
    const { handle, connected } = this.end
    let sent = this.sendOnce(records, data, size, first, count)
    // What became of an earlier datagram, to whomever it went, was told instead of sending this one.
    if (!connected && sent < 0 && ofTheNetwork(sent)) sent = this.sendOnce(records, data, size, first, count)
    if (sent === EAGAIN) handle.exhausted(WRITABLE)
    else if (sent === ENOBUFS) this.paused = true
    else return sent
    return 0
  }

  private sendOnce(records: DatagramRecords, data: Uint8Array, size: number, first: number, count: number): number {
    const { handle } = this.end
    let sent = handle.kernel.sendDatagrams(handle.fd, records.bytes, data, size, first, count)
    while (sent === EINTR) sent = handle.kernel.sendDatagrams(handle.fd, records.bytes, data, size, first, count)
    return sent
  }

  protected override arm(): void {
    const { handle } = this.end
    handle.writer = this
    if (!this.paused) return
    const { runtime } = handle
    runtime.timers.start(this, runtime.now() + this.pause)
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS)
  }

  override disarm(): void {
    this.stopClock()
    this.end.handle.writer = null
  }

  /** The pause is over. */
  fire(): void {
    this.wake()
  }

  private stopClock(): void {
    if (!this.paused) return
    this.paused = false
    this.end.handle.runtime.timers.stop(this)
  }
}

/** What goes with a datagram. */
export interface Outgoing {
  readonly data: Uint8Array
  /** Undefined: to the connected peer. */
  readonly to: Uint8Array | undefined
  /** How errors call it. */
  readonly address: SocketAddress | undefined
  /** 0: the data are one datagram. */
  readonly segment: number
  /** -1: the socket's. */
  readonly tos: number
}

/** `send(data, …)` */
export class SendDatagram extends Sending<void> {
  private readonly outgoing: Outgoing

  constructor(end: DatagramEnd<unknown>, outgoing: Outgoing) {
    super(end)
    this.outgoing = outgoing
  }

  protected override transmit(): boolean {
    const { data, to, address, segment, tos } = this.outgoing
    const records = DatagramRecords.of(this.end.handle.runtime)
    records.setLength(0, data.length)
    records.setAddress(0, to)
    records.setMarks(0, segment, tos)
    const sent = this.sendDatagrams(records, data, data.length, 0, 1)
    if (sent < 0) throw new SystemError(sent, 'send', address)
    return sent === 1 && this.complete(undefined)
  }
}

/** `sendBatch(slab, count)` */
export class SendBatch extends Sending<number> {
  private readonly book: AddressBook
  private readonly slab: DatagramSlab
  private readonly count: number
  private begun = false

  constructor(end: DatagramEnd<unknown>, book: AddressBook, slab: DatagramSlab, count: number) {
    super(end)
    this.book = book
    this.slab = slab
    this.count = count
  }

  protected override transmit(): boolean {
    const { slab, count } = this
    if (!this.begun) slab.begin(this.book, count)
    this.begun = true
    while (slab.progress < count) {
      const sent = this.sendDatagrams(slab.records, slab.data, slab.size, slab.progress, count - slab.progress)
      if (sent === 0) return false
      if (sent > 0) slab.went(sent)
      else slab.failed(sent)
    }
    return this.complete(slab.sent)
  }
}
