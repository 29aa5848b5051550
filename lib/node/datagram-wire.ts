/**
 * A UDP socket driven by callbacks instead of tasks: what is between a socket in the shape of node:dgram and the fd below.
 * Receives in batches while it is told to, gathers what is to be sent, and keeps the process alive as a handle of libuv
 * would: while it receives, if it is referenced, and while datagrams wait for room. Knows nothing of names and events.
 */
import { AsyncResource } from 'node:async_hooks'
import { EAGAIN, EBADF, ENOBUFS, errnoOf } from '../kernel/errno.js'
import type { SocketAddress } from '../kernel/kernel.js'
import { READABLE, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { AddressBook } from '../net/address-book.js'
import { ofTheNetwork } from '../net/datagram-end.js'
import type { Callback, Dirty, Runtime } from '../runtime/runtime.js'
import type { Deadline } from '../time/deadlines.js'
import { DatagramRoom, type Datagram } from './datagram-room.js'

/** Who is told what happens, in a turn or in a tick after it. */
export interface DatagramUser {
  /** `data` is the user's own; `from` is not to be changed. */
  received(data: Buffer, from: SocketAddress): void
  failed(errno: number): void
}

/** `errno` is 0, or what sending has failed with. */
export type DatagramSent = (errno: number, bytes: number) => void

interface Outgoing extends Datagram {
  readonly sent: DatagramSent | null
}

interface Incoming {
  readonly data: Buffer
  readonly from: SocketAddress
}

const ECANCELED = errnoOf('ECANCELED') as number

/** A device whose queue is full (ENOBUFS) tells nobody when it no longer is. */
const PAUSE_MS = 1

const SETTLED = Promise.resolve()

export class DatagramWire implements Callback, Dirty, Deadline {
  index = -1
  readonly handle: Handle
  readonly book: AddressBook
  private readonly runtime: Runtime
  private readonly room: DatagramRoom
  private readonly user: DatagramUser
  private readonly context: AsyncResource | null
  /** It has one peer: what the network says of earlier datagrams is told then. */
  connected = false
  private receiving = false
  private referenced = true
  /** What was received together and is handed out one by one: those from `next` on are still to come. */
  private batch: Incoming[] = []
  private next = 0
  private handingOut = false
  private queue: Outgoing[] = []
  /** Invariant: true while the kernel has no room for the first of the queue. */
  private blocked = false
  /** Invariant: true exactly while `flush` is due. */
  private flushing = false
  /** Invariant: true exactly while `call` is due. */
  private called = false
  /** Invariant: true exactly while this keeps the process alive. */
  private holding = false
  private over = false
  private readonly inNextTick = (): void => process.nextTick(this.handOutNext)
  private readonly handOutNext = (): void => this.handOut()
  private readonly flushInTick = (): void => this.flush()

  /** The fd is the wire's from here on. `context` null: nobody in this thread uses async contexts. */
  constructor(handle: Handle, family: 'IPv4' | 'IPv6', user: DatagramUser, context: AsyncResource | null) {
    this.handle = handle
    this.runtime = handle.runtime
    this.room = DatagramRoom.of(handle.runtime)
    this.book = new AddressBook(handle.kernel, family, false)
    this.user = user
    this.context = context
    handle.readiness |= WRITABLE
    handle.reader = this
    handle.writer = this
  }

  /** Datagrams that the kernel had no room for, and their bytes. */
  get waiting(): { count: number; bytes: number } {
    if (!this.blocked) return { count: 0, bytes: 0 }
    return { count: this.queue.length, bytes: this.queue.reduce((sum, { size }) => sum + size, 0) }
  }

  start(): void {
    this.receiving = true
    this.update()
    if ((this.handle.readiness & READABLE) !== 0) this.wake()
  }

  reference(on: boolean): void {
    this.referenced = on
    this.update()
  }

  /**
   * Sends soon: what is sent in answer to datagrams that came together goes with one system call. The data are not to be
   * changed until then.
   */
  send(data: Uint8Array | readonly Uint8Array[], to: Uint8Array | undefined, sent: DatagramSent | null): void {
    this.queue.push({ data, size: sizeOf(data), to, sent })
    if (this.flushing || this.blocked) return
    this.flushing = true
    if (this.next < this.batch.length || this.handingOut) this.runtime.flushLater(this)
    else process.nextTick(this.flushInTick)
  }

  /** Sends at once what the kernel takes; cancels the rest. Nobody is told of datagrams any more. Idempotent. */
  close(): void {
    if (this.over) return
    if (!this.blocked) this.transmit()
    this.over = true
    this.batch = []
    this.next = 0
    const { queue, runtime, handle } = this
    this.queue = []
    this.blocked = false
    runtime.timers.stop(this)
    handle.reader = null
    handle.writer = null
    this.update()
    handle.close()
    for (const { sent } of queue) sent?.(ECANCELED, 0)
  }

  /** The kernel has reported something. */
  wake(): void {
    if (this.called || this.over) return
    this.called = true
    this.runtime.callSoon(this)
  }

  call(): void {
    this.called = false
    if (this.over) return
    if (this.handle.closed) return this.lost()
    if (this.blocked && (this.handle.readiness & WRITABLE) !== 0) this.transmit()
    if (this.receiving && (this.handle.readiness & READABLE) !== 0) this.receive()
  }

  /** The pause is over. */
  fire(): void {
    this.handle.readiness |= WRITABLE
    this.wake()
  }

  flush(): void {
    this.flushing = false
    if (!this.over && !this.blocked) this.transmit()
  }

  private receive(): void {
    // The last of them will ask again.
    if (this.next < this.batch.length) return
    const { handle, room, connected } = this
    const received = room.receive(handle)
    if (received < 0) return this.notReceived(received)
    const batch: Incoming[] = (this.batch = [])
    this.next = 0
    for (let i = 0; i < received; i++) {
      const { records } = room
      const length = records.addressLength(i)
      batch.push({ data: room.copy(i), from: this.book.decode(records.bytes, records.addressAt(i), length) })
    }
    // Fewer than fit: no more are there. An error may have ended it, too, for which no event comes; but only of a peer.
    if (received < room.places && !connected) handle.exhausted(READABLE)
    // In a turn of its own, after everybody else's.
    else this.wake()
    this.handOut()
  }

  /** Somebody else has closed the fd. */
  private lost(): void {
    this.close()
    this.tell(EBADF)
  }

  private notReceived(errno: number): void {
    if (errno === EAGAIN) return this.handle.exhausted(READABLE)
    this.wake()
    // Each is told once: it does not come again.
    if (!this.connected && ofTheNetwork(errno)) return
    this.tell(errno)
  }

  private tell(errno: number): void {
    if (this.context === null) this.user.failed(errno)
    else this.context.runInAsyncScope(this.user.failed, this.user, errno)
  }

  /**
   * The next datagram of the batch. Those after it come once all that this one has set off has run, as with a callback of
   * libuv's for each: whoever waits for them by `once` and a promise loses none.
   */
  private handOut(): void {
    const { batch, context, user } = this
    const incoming = batch[this.next++]
    if (incoming === undefined) return
    this.handingOut = true
    try {
      if (context === null) user.received(incoming.data, incoming.from)
      else context.runInAsyncScope(user.received, user, incoming.data, incoming.from)
    } finally {
      this.handingOut = false
      // A microtask, and a tick after all microtasks.
      if (this.next < this.batch.length) void SETTLED.then(this.inNextTick)
      else if (this.batch.length > 0) this.handedOut()
    }
  }

  private handedOut(): void {
    this.batch = []
    this.next = 0
    if ((this.handle.readiness & READABLE) !== 0) this.wake()
  }

  private transmit(): void {
    this.blocked = false
    const { queue } = this
    let done = 0
    while (done < queue.length) {
      const sent = this.sendSome(done)
      if (sent === 0) break
      for (let i = 0; i < Math.max(sent, 1); i++) {
        const { sent: told, size } = queue[done++] as Outgoing
        if (told !== null) told(Math.min(sent, 0), size)
      }
    }
    if (done === queue.length) this.queue = []
    else if (done > 0) queue.splice(0, done)
    this.update()
  }

  /** How many of the queue from `first` on were taken; 0: no room; or what the first of them has failed with. */
  private sendSome(first: number): number {
    const { handle, room, queue, connected } = this
    const last = queue.length - 1
    let sent = room.send(handle, queue, first, last)
    // What became of an earlier datagram, to whomever it went, was told instead of sending this one.
    if (!connected && sent < 0 && ofTheNetwork(sent)) sent = room.send(handle, queue, first, last)
    if (sent === EAGAIN) handle.exhausted(WRITABLE)
    else if (sent === ENOBUFS) this.runtime.timers.start(this, this.runtime.now() + PAUSE_MS)
    else return sent
    this.blocked = true
    return 0
  }

  private update(): void {
    const hold = !this.over && ((this.receiving && this.referenced) || this.blocked)
    if (hold === this.holding) return
    this.holding = hold
    if (hold) this.runtime.hold()
    else this.runtime.letGo()
  }
}

function sizeOf(data: Uint8Array | readonly Uint8Array[]): number {
  return data instanceof Uint8Array ? data.length : data.reduce((sum, { length }) => sum + length, 0)
}
