/** One socket of the memory kernel: what TCP promises between two ends, without a network between them. */
import { EAGAIN, ECONNRESET, EISCONN, ENOTCONN, EPIPE } from '../kernel/errno.js'
import type { AnyAddress, SocketType } from '../kernel/kernel.js'
import { ABOUT_FDS, ERROR, READABLE, READ_CLOSED, WRITABLE, WRITE_CLOSED } from '../kernel/layout.js'

type State =
  | { kind: 'fresh' }
  | { kind: 'listening'; backlog: number; queue: MemorySocket[] }
  /** The queue of the listener was full: it is let in when there is room. */
  | { kind: 'connecting' }
  | { kind: 'refused' }
  | { kind: 'connected'; peer: MemorySocket }

export class MemorySocket {
  readonly type: SocketType = 'stream'
  readonly options = new Map<number, number>()
  local: AnyAddress
  remote: AnyAddress | null = null
  state: State = { kind: 'fresh' }
  /** -errno that option ERROR reports once. */
  pendingError = 0
  /** Told of every change that the kernel could report as an event. */
  changed: () => void = () => {}
  protected inbox: Uint8Array[] = []
  protected inboxBytes = 0
  /** What the peer has sent and a wire holds back; null while nobody does. */
  private transit: Uint8Array[] | null = null
  private transitBytes = 0
  protected readonly capacity: number
  /** The peer will send no more. */
  protected finished = false
  protected ownEnd = false
  /** The peer's fd is closed: what is sent meets nobody. */
  protected peerGone = false
  /** A reset that reading has still to report, once. */
  private resetUnread = false
  protected wasReset = false
  /** Whether the kind knows a reset. */
  protected readonly resets: boolean = true

  constructor(local: AnyAddress, capacity: number) {
    this.local = local
    this.capacity = capacity
  }

  get readiness(): number {
    const { state } = this
    if (state.kind === 'listening') return state.queue.length > 0 ? READABLE : 0
    if (state.kind === 'refused' || this.wasReset) {
      return READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | (this.pendingError !== 0 || this.resetUnread ? ERROR : 0)
    }
    if (state.kind !== 'connected') return 0
    let bits = state.peer.room > 0 || this.peerGone ? WRITABLE : 0
    const ended = this.finished && this.transitBytes === 0
    if (this.inbox.length > 0 || ended) bits |= READABLE
    if (ended) bits |= READ_CLOSED
    if (ended && this.ownEnd) bits |= WRITE_CLOSED
    return bits
  }

  get room(): number {
    return this.capacity - this.inboxBytes - this.transitBytes
  }

  /** How many bytes `send` would take now, or what it would answer. */
  get sendable(): number {
    if (this.state.kind !== 'connected') return this.send([])
    if (this.ownEnd || this.peerGone || this.wasReset) return EPIPE
    return this.state.peer.room > 0 ? this.state.peer.room : EAGAIN
  }

  /** Bytes on their way here. */
  get inTransit(): number {
    return this.transitBytes
  }

  /** From now on what the peer sends stays on its way. */
  hold(): void {
    this.transit ??= []
  }

  /** Lets so many bytes of what is on its way arrive; gives how many did. */
  pass(bytes: number): number {
    let passed = 0
    while (this.transit !== null && this.transit.length > 0 && passed < bytes) {
      const chunk = this.transit[0] as Uint8Array
      const part = chunk.subarray(0, bytes - passed)
      if (part.length === chunk.length) this.transit.shift()
      else this.transit[0] = chunk.subarray(part.length)
      this.transitBytes -= part.length
      this.arrive(part)
      passed += part.length
    }
    this.changed()
    return passed
  }

  /** Lets everything arrive, now and from now on. */
  flow(): void {
    this.pass(Infinity)
    this.transit = null
    this.changed()
  }

  join(peer: MemorySocket): void {
    this.state = { kind: 'connected', peer }
    this.changed()
  }

  receive(into: Uint8Array, offset: number, length: number): number {
    if (this.inbox.length > 0) {
      const taken = this.take(into, offset, length)
      // Room again: the sender's edge. A real socket waits for a third to be free; one byte is the harder test.
      if (this.state.kind === 'connected') this.state.peer.changed()
      return taken
    }
    if (this.resetUnread) {
      this.resetUnread = false
      return ECONNRESET
    }
    if ((this.finished && this.transitBytes === 0) || this.wasReset) return 0
    return this.state.kind === 'connected' ? EAGAIN : ENOTCONN
  }

  send(chunks: readonly Uint8Array[]): number {
    if (this.state.kind !== 'connected') return this.wasReset ? EPIPE : ENOTCONN
    if (this.ownEnd || this.peerGone || this.wasReset) return EPIPE
    const { peer } = this.state
    let sent = 0
    for (const chunk of chunks) {
      const size = Math.min(chunk.length, peer.room)
      if (size > 0) peer.put(new Uint8Array(chunk.subarray(0, size)))
      sent += size
      if (size < chunk.length) break
    }
    if (sent === 0) return chunks.some((chunk) => chunk.length > 0) ? EAGAIN : 0
    peer.changed()
    return sent
  }

  /** As `Kernel.receiveMessage`, of a stream; the sender has no address here. */
  receiveMessage(into: Uint8Array, offset: number, length: number, about: Int32Array, _from: Uint8Array): number {
    about.fill(0, 0, ABOUT_FDS)
    return this.receive(into, offset, length)
  }

  sendMessage(bytes: Uint8Array, to: AnyAddress | undefined): number {
    return to === undefined ? this.send([bytes]) : EISCONN
  }

  /** A socket of the same kind: the server's end of a connection. */
  another(local: AnyAddress): MemorySocket {
    return new MemorySocket(local, this.capacity)
  }

  endWriting(): number {
    if (this.state.kind !== 'connected' || this.wasReset) return ENOTCONN
    this.ownEnd = true
    this.state.peer.finished = true
    this.state.peer.changed()
    return 0
  }

  /** The fd is closed: unread input, and a linger of 0, make it a reset. */
  close(abortive: boolean): void {
    const { state } = this
    if (state.kind === 'listening') for (const waiting of state.queue) waiting.close(true)
    if (state.kind === 'connecting') this.state = { kind: 'fresh' }
    if (state.kind !== 'connected') return
    const { peer } = state
    peer.peerGone = true
    if (this.resets && (abortive || this.inbox.length > 0)) peer.reset()
    else if (!peer.wasReset) peer.finished = true
    peer.changed()
  }

  private reset(): void {
    const ended = this.finished && this.transitBytes === 0
    // Both ends have been sent: there is no connection any more that could be reset.
    if (ended && this.ownEnd) return
    // A reset overtakes what is on its way.
    this.transit = null
    this.transitBytes = 0
    this.wasReset = true
    // Who has read the end, or will, learns of the reset only in writing.
    this.resetUnread = !ended
    this.pendingError = ended ? EPIPE : ECONNRESET
  }

  protected put(chunk: Uint8Array): void {
    if (this.transit === null) return this.arrive(chunk)
    this.transit.push(chunk)
    this.transitBytes += chunk.length
  }

  private arrive(chunk: Uint8Array): void {
    this.inbox.push(chunk)
    this.inboxBytes += chunk.length
  }

  protected take(into: Uint8Array, offset: number, length: number): number {
    let taken = 0
    while (taken < length && this.inbox.length > 0) {
      const chunk = this.inbox[0] as Uint8Array
      const part = chunk.subarray(0, length - taken)
      into.set(part, offset + taken)
      taken += part.length
      if (part.length === chunk.length) this.inbox.shift()
      else this.inbox[0] = chunk.subarray(part.length)
    }
    this.inboxBytes -= taken
    return taken
  }
}
