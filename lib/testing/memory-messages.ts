/** Unix sockets of the memory kernel that carry messages: connected ones, and datagrams. Nothing is a file, and no fds are passed. */
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EISCONN, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPIPE } from '../kernel/errno.js'
import type { AnyAddress, SocketType, UnixAddress } from '../kernel/kernel.js'
import { ABOUT_ADDRESS, ABOUT_FDS, ABOUT_FLAGS, Message, READABLE, READ_CLOSED, WRITABLE } from '../kernel/layout.js'
import { encoded, UNBOUND } from './memory-address.js'
import { MemorySocket } from './memory-socket.js'

/** A connected one (seqpacket): what a stream is, except that what was sent apart stays apart. */
export class MemoryPacketSocket extends MemorySocket {
  override readonly type: SocketType = 'seqpacket'
  /** A Unix socket knows none. */
  protected override readonly resets: boolean = false

  override send(chunks: readonly Uint8Array[]): number {
    if (this.state.kind !== 'connected') return ENOTCONN
    if (this.ownEnd || this.peerGone) return EPIPE
    const message = new Uint8Array(Buffer.concat(chunks))
    if (message.length > this.capacity) return EMSGSIZE
    const peer = this.state.peer as MemoryPacketSocket
    // An empty one needs some room, too.
    if (peer.room < Math.max(message.length, 1)) return EAGAIN
    peer.put(message)
    peer.changed()
    return message.length
  }

  override receiveMessage(into: Uint8Array, offset: number, length: number, about: Int32Array): number {
    about.fill(0, 0, ABOUT_FDS)
    const [next] = this.inbox
    if (next !== undefined) about[ABOUT_FLAGS] = Message.STAMPED | (next.length > length ? Message.TRUNCATED : 0)
    return this.receive(into, offset, length)
  }

  override another(local: AnyAddress): MemoryPacketSocket {
    return new MemoryPacketSocket(local, this.capacity)
  }

  /** One message; what of it does not fit is lost. */
  protected override take(into: Uint8Array, offset: number, length: number): number {
    const message = this.inbox.shift() as Uint8Array
    this.inboxBytes -= message.length
    into.set(message.subarray(0, length), offset)
    return Math.min(message.length, length)
  }
}

interface Datagram {
  readonly from: UnixAddress
  readonly bytes: Uint8Array
}

export class MemoryUnixDatagramSocket extends MemorySocket {
  override readonly type: SocketType = 'datagram'
  declare local: UnixAddress
  private readonly names: MemoryUnixNames
  private readonly queue: Datagram[] = []
  private queued = 0
  /** Who is connected to this socket and found no room in it. */
  private readonly waiting = new Set<MemoryUnixDatagramSocket>()
  private peer: MemoryUnixDatagramSocket | null = null
  private isClosed = false

  constructor(names: MemoryUnixNames, capacity: number) {
    super(UNBOUND.Unix, capacity)
    this.names = names
  }

  override get readiness(): number {
    const hasRoom = this.peer === null || this.peer.isClosed || this.peer.queued < this.capacity
    return (this.queue.length > 0 ? READABLE : 0) | (hasRoom ? WRITABLE : 0) | (this.isClosed ? READ_CLOSED : 0)
  }

  bind(address: UnixAddress): number {
    return this.names.give(address.path, this) ? ((this.local = address), 0) : EADDRINUSE
  }

  connectTo(address: UnixAddress): number {
    const peer = this.names.owner(address.path)
    if (peer === undefined) return ECONNREFUSED
    this.peer = peer
    this.remote = address
    return 0
  }

  override send(chunks: readonly Uint8Array[]): number {
    return this.sendMessage(Buffer.concat(chunks), undefined)
  }

  override sendMessage(bytes: Uint8Array, to: AnyAddress | undefined): number {
    const target = to === undefined ? this.peer : this.names.owner((to as UnixAddress).path)
    if (target === null) return ENOTCONN
    if (target === undefined || target.isClosed) return ECONNREFUSED
    if (bytes.length > this.capacity) return EMSGSIZE
    // One that is connected hears its peer only.
    if (target.peer !== null && target.peer !== this) return EISCONN
    const cost = Math.max(bytes.length, 1)
    if (target.queued + cost > target.capacity) {
      if (to === undefined) target.waiting.add(this)
      return EAGAIN
    }
    target.queued += cost
    target.queue.push({ from: this.local, bytes: new Uint8Array(bytes) })
    target.changed()
    return bytes.length
  }

  override receive(into: Uint8Array, offset: number, length: number): number {
    const datagram = this.queue.shift()
    if (datagram === undefined) return EAGAIN
    this.queued -= Math.max(datagram.bytes.length, 1)
    into.set(datagram.bytes.subarray(0, length), offset)
    for (const sender of this.waiting) sender.changed()
    this.waiting.clear()
    return Math.min(datagram.bytes.length, length)
  }

  override receiveMessage(into: Uint8Array, offset: number, length: number, about: Int32Array, from: Uint8Array): number {
    about.fill(0, 0, ABOUT_FDS)
    const [next] = this.queue
    if (next !== undefined) {
      about[ABOUT_FLAGS] = Message.STAMPED | (next.bytes.length > length ? Message.TRUNCATED : 0)
      if (next.from.path !== '') {
        const address = encoded(next.from)
        from.set(address)
        about[ABOUT_ADDRESS] = address.length
      }
    }
    return this.receive(into, offset, length)
  }

  override endWriting(): number {
    return EOPNOTSUPP
  }

  override close(): void {
    this.isClosed = true
    this.names.take(this.local.path, this)
    for (const sender of this.waiting) sender.changed()
  }
}

/** Who has which name. */
export class MemoryUnixNames {
  private readonly owners = new Map<string, MemoryUnixDatagramSocket>()

  owner(path: string): MemoryUnixDatagramSocket | undefined {
    return this.owners.get(path)
  }

  /** False: it is another's. */
  give(path: string, socket: MemoryUnixDatagramSocket): boolean {
    if (this.owners.has(path)) return false
    this.owners.set(path, socket)
    return true
  }

  take(path: string, socket: MemoryUnixDatagramSocket): void {
    if (this.owners.get(path) === socket) this.owners.delete(path)
  }
}
