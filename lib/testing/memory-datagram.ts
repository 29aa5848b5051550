/** Datagrams of the memory kernel: sockets that have ports, what lies in them unread, and who gets what is sent. */
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EHOSTUNREACH,
  EINVAL,
  EMSGSIZE
} from '../kernel/errno.js'
import type { SocketAddress, SocketType } from '../kernel/kernel.js'
import {
  DATAGRAM_TRUNCATED,
  DATAGRAM_WITH_TOS,
  DatagramOption,
  ERROR,
  READABLE,
  RECORD_ADDRESS,
  RECORD_ADDRESS_LENGTH,
  RECORD_DROPPED,
  RECORD_ERROR,
  RECORD_ERROR_CODE,
  RECORD_ERROR_ORIGIN,
  RECORD_ERROR_TYPE,
  RECORD_FLAGS,
  RECORD_INTERFACE,
  RECORD_INTS,
  RECORD_LENGTH,
  RECORD_LOCAL,
  RECORD_LOCAL_LENGTH,
  RECORD_NANOSECONDS,
  RECORD_SECONDS,
  RECORD_SEGMENT,
  RECORD_TOS,
  SocketOption,
  WRITABLE
} from '../kernel/layout.js'
import type { Agenda } from './agenda.js'
import type { MemoryRoute } from './memory-kernel.js'
import { MemorySocket } from './memory-socket.js'

interface Packet {
  readonly from: SocketAddress
  readonly to: SocketAddress
  readonly bytes: Uint8Array
  readonly tos: number
}

interface Arrived extends Packet {
  readonly at: number
}

interface Refused extends Packet {
  readonly error: number
}

/** As the messages of ICMP are numbered: "destination unreachable", by its code (RFC 792, RFC 4443). */
const UNREACHABLE = {
  IPv4: { origin: 2, type: 3, port: 3, host: 1 },
  IPv6: { origin: 3, type: 1, port: 4, host: 3 }
}

/** RFC 768, less the headers. */
const LARGEST = 65507
const MOST_SEGMENTS = 64
/** Of an IPv4 address, its first number. */
const IPV4 = /^(\d+)\.\d+\.\d+\.\d+$/
/** The one interface. */
const LOOPBACK_INDEX = 1
const MAPPED = '::ffff:'

export class MemoryDatagramSocket extends MemorySocket {
  override readonly type: SocketType = 'datagram'
  declare local: SocketAddress
  /** By DatagramOption. */
  readonly datagramOptions = new Map<number, number>()
  /** The groups it is a member of, and from whom it wants what they get; null: from everybody. */
  readonly groups = new Map<string, Set<string> | null>()
  private readonly queue: Arrived[] = []
  private readonly refused: Refused[] = []
  private queued = 0
  private dropped = 0
  private readonly most: number

  constructor(local: SocketAddress, capacity: number) {
    super(local, capacity)
    this.most = capacity
  }

  override get readiness(): number {
    const pending = this.pendingError !== 0 || this.refused.length > 0 ? READABLE | ERROR : 0
    return WRITABLE | pending | (this.queue.length > 0 ? READABLE : 0)
  }

  /** Whether what comes from there is for this socket. */
  hears(from: SocketAddress): boolean {
    return this.remote === null || same(this.remote as SocketAddress, from)
  }

  hearsGroup(group: string, from: SocketAddress): boolean {
    const sources = this.groups.get(group)
    return sources !== undefined && (sources === null || sources.has(from.address)) && this.hears(from)
  }

  /** What finds no room is lost, as is usual. An empty datagram needs some, too. */
  deliver(packet: Packet, at: number): void {
    const cost = Math.max(packet.bytes.length, 1)
    if (this.queued + cost > this.most) {
      this.dropped++
      return
    }
    this.queued += cost
    this.queue.push({ ...packet, at })
    this.changed()
  }

  /** The network says so of a datagram that was sent; only who has a peer, or wants to know, is told. */
  told(error: number, packet: Packet): void {
    const keeps = this.datagramOptions.get(DatagramOption.ERRORS) === 1
    if (keeps) this.refused.push({ ...packet, error })
    if (keeps || this.remote !== null) {
      this.pendingError = error
      this.changed()
    }
  }

  /** What is known of the next datagram that has met nobody, and its data; false: there is none. */
  nextRefused(ints: Int32Array, bytes: Buffer, data: Uint8Array): boolean {
    const refused = this.refused.shift()
    if (refused === undefined) return false
    const { origin, type, port, host } = UNREACHABLE[refused.to.family]
    data.set(refused.bytes.subarray(0, data.length))
    ints.fill(0, 0, RECORD_ADDRESS / ints.BYTES_PER_ELEMENT)
    ints[RECORD_LENGTH] = Math.min(refused.bytes.length, data.length)
    ints[RECORD_TOS] = -1
    ints[RECORD_ADDRESS_LENGTH] = write(bytes, RECORD_ADDRESS, this.asSeen(refused.to))
    ints[RECORD_LOCAL_LENGTH] = write(bytes, RECORD_LOCAL, this.asSeen({ ...refused.to, port: 0 }))
    ints[RECORD_ERROR] = -refused.error
    ints[RECORD_ERROR_ORIGIN] = origin
    ints[RECORD_ERROR_TYPE] = type
    ints[RECORD_ERROR_CODE] = refused.error === ECONNREFUSED ? port : host
    return true
  }

  /** -errno, once; or 0. */
  takeError(): number {
    const error = this.pendingError
    this.pendingError = 0
    return error
  }

  /** The record of the next datagram, and its data; false: there is none. */
  next(ints: Int32Array, bytes: Buffer, data: Uint8Array): boolean {
    const packet = this.queue.shift()
    if (packet === undefined) return false
    this.queued -= Math.max(packet.bytes.length, 1)
    const part = packet.bytes.subarray(0, data.length)
    data.set(part)
    ints.fill(0, 0, RECORD_ADDRESS / ints.BYTES_PER_ELEMENT)
    ints[RECORD_LENGTH] = part.length
    ints[RECORD_FLAGS] = part.length < packet.bytes.length ? DATAGRAM_TRUNCATED : 0
    ints[RECORD_TOS] = -1
    ints[RECORD_ADDRESS_LENGTH] = write(bytes, RECORD_ADDRESS, this.asSeen(packet.from))
    if (this.datagramOptions.get(DatagramOption.INFO) !== 1) return true
    ints[RECORD_TOS] = packet.tos
    ints[RECORD_LOCAL_LENGTH] = write(bytes, RECORD_LOCAL, this.asSeen(packet.to))
    ints[RECORD_INTERFACE] = LOOPBACK_INDEX
    ints[RECORD_SECONDS] = Math.floor(packet.at / 1e3)
    ints[RECORD_NANOSECONDS] = Math.round((packet.at % 1e3) * 1e6)
    ints[RECORD_DROPPED] = this.dropped
    return true
  }

  /** An address of IPv4 is a mapped one to a socket of IPv6. */
  private asSeen(address: SocketAddress): SocketAddress {
    if (this.local.family === 'IPv4' || address.family === 'IPv6') return address
    return { family: 'IPv6', address: MAPPED + address.address, port: address.port }
  }
}

/** The ports, and what is between them. */
export class MemoryDatagrams {
  /** By port, the sockets that have it. */
  private readonly ports = new Map<number, MemoryDatagramSocket[]>()
  private readonly network: Readonly<Record<string, MemoryRoute>>
  private readonly agenda: Agenda
  private readonly now: () => number
  private readonly newPort: () => number

  constructor(network: Readonly<Record<string, MemoryRoute>>, agenda: Agenda, now: () => number, newPort: () => number) {
    this.network = network
    this.agenda = agenda
    this.now = now
    this.newPort = newPort
  }

  bind(socket: MemoryDatagramSocket, address: SocketAddress): number {
    if (address.family !== socket.local.family) return EAFNOSUPPORT
    if (socket.local.port !== 0) return EINVAL
    let { port } = address
    while (port === 0 || (address.port === 0 && this.ports.has(port))) port = this.newPort()
    const others = this.ports.get(port) ?? []
    if (others.some((other) => !shares(other, socket))) return EADDRINUSE
    socket.local = { ...address, port }
    this.ports.set(port, [...others, socket])
    return 0
  }

  /** Null: to nobody in particular any more. */
  connect(socket: MemoryDatagramSocket, address: SocketAddress | null): number {
    if (address !== null && address.family !== socket.local.family) return EAFNOSUPPORT
    if (socket.local.port === 0) this.bind(socket, socket.local)
    socket.remote = address === null ? null : unmapped(address)
    return 0
  }

  close(socket: MemoryDatagramSocket): void {
    const { port } = socket.local
    const others = this.ports.get(port)?.filter((other) => other !== socket) ?? []
    if (others.length > 0) this.ports.set(port, others)
    else this.ports.delete(port)
  }

  receive(socket: MemoryDatagramSocket, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number {
    const error = socket.takeError()
    if (error !== 0) return error
    for (let i = first; i < first + count; i++) {
      const { ints, bytes } = recordAt(records, i)
      if (!socket.next(ints, bytes, data.subarray(i * size, (i + 1) * size))) return i === first ? EAGAIN : i - first
    }
    return count
  }

  receiveError(socket: MemoryDatagramSocket, records: Uint8Array, data: Uint8Array): number {
    const { ints, bytes } = recordAt(records, 0)
    return socket.nextRefused(ints, bytes, data) ? 1 : EAGAIN
  }

  send(socket: MemoryDatagramSocket, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number {
    for (let i = first; i < first + count; i++) {
      const error = socket.takeError()
      const result = error !== 0 ? error : this.sendOne(socket, recordAt(records, i), data.subarray(i * size, (i + 1) * size))
      if (result < 0) return i === first ? result : i - first
    }
    return count
  }

  setMembership(socket: MemoryDatagramSocket, member: number, group: SocketAddress, source: SocketAddress | undefined): number {
    const { groups } = socket
    if (!isGroup(group.address)) return EINVAL
    const sources = groups.get(group.address)
    if (source === undefined) {
      if (member === 1 && sources !== undefined) return EADDRINUSE
      if (member === 1) groups.set(group.address, null)
      else if (sources === undefined) return EADDRNOTAVAIL
      else groups.delete(group.address)
      return 0
    }
    if (sources === null) return EINVAL
    if (member === 1) {
      groups.set(group.address, new Set([...(sources ?? []), source.address]))
      return 0
    }
    if (sources === undefined || !sources.delete(source.address)) return EADDRNOTAVAIL
    if (sources.size === 0) groups.delete(group.address)
    return 0
  }

  private sendOne(socket: MemoryDatagramSocket, { ints, bytes }: RecordView, data: Uint8Array): number {
    const length = ints[RECORD_LENGTH] as number
    const addressLength = ints[RECORD_ADDRESS_LENGTH] as number
    const segment = ints[RECORD_SEGMENT] as number
    const to = addressLength === 0 ? (socket.remote as SocketAddress | null) : read(bytes, RECORD_ADDRESS, addressLength)
    if (to === null) return EDESTADDRREQ
    if (addressLength > 0 && to.family !== socket.local.family) return EAFNOSUPPORT
    if (to.port === 0 || length > data.length) return EINVAL
    if (length > LARGEST) return EMSGSIZE
    const target = unmapped(to)
    if (target.address === '255.255.255.255' && socket.datagramOptions.get(DatagramOption.BROADCAST) !== 1) return EACCES
    const route = this.network[target.address] ?? {}
    if (route.unreachable === true && route.delay === undefined) return EHOSTUNREACH
    const piece = segment > 0 ? segment : Math.max(length, 1)
    if (length > piece * MOST_SEGMENTS) return EINVAL
    if (socket.local.port === 0) this.bind(socket, socket.local)
    const tos = ((ints[RECORD_FLAGS] as number) & DATAGRAM_WITH_TOS) !== 0 ? (ints[RECORD_TOS] as number) : 0
    const from = senderOf(socket, target)
    for (let at = 0; at < Math.max(length, 1); at += piece) {
      const packet = { from, to: target, bytes: data.slice(at, Math.min(at + piece, length)), tos }
      this.carry(socket, packet, route)
    }
    return 0
  }

  private carry(socket: MemoryDatagramSocket, packet: Packet, { delay = 0, unreachable = false, refuses = false }: MemoryRoute): void {
    const arrive = (): void => {
      if (unreachable) socket.told(EHOSTUNREACH, packet)
      else if (refuses || !this.deliver(socket, packet)) socket.told(ECONNREFUSED, packet)
    }
    if (delay === 0) arrive()
    else if (delay < Infinity) this.agenda.add(this.now() + delay, arrive)
  }

  /** Whether there is, or may be, somebody for it. */
  private deliver(sender: MemoryDatagramSocket, packet: Packet): boolean {
    const { from, to } = packet
    const sockets = this.ports.get(to.port) ?? []
    if (isGroup(to.address)) {
      const loop = sender.datagramOptions.get(DatagramOption.MULTICAST_LOOP) ?? 1
      if (loop === 1) for (const each of sockets) if (each.hearsGroup(to.address, from)) each.deliver(packet, this.now())
      return true
    }
    const hearing = sockets.filter((each) => each.hears(from))
    // Whose peer it is comes first; of those without one, the last to come.
    const receiver = hearing.find((each) => each.remote !== null) ?? hearing.at(-1)
    receiver?.deliver(packet, this.now())
    return receiver !== undefined
  }
}

interface RecordView {
  readonly ints: Int32Array
  readonly bytes: Buffer
}

function recordAt(records: Uint8Array, i: number): RecordView {
  const size = RECORD_INTS * Int32Array.BYTES_PER_ELEMENT
  const at = records.byteOffset + i * size
  const buffer = records.buffer as ArrayBuffer
  return { ints: new Int32Array(buffer, at, RECORD_INTS), bytes: Buffer.from(buffer, at, size) }
}

/** As `encodeAddress` of the memory kernel has it. */
function write(bytes: Buffer, offset: number, address: SocketAddress): number {
  return bytes.write(JSON.stringify(address), offset)
}

function read(bytes: Buffer, offset: number, length: number): SocketAddress {
  return JSON.parse(bytes.toString('utf8', offset, offset + length)) as SocketAddress
}

function unmapped(address: SocketAddress): SocketAddress {
  const plain = address.address.slice(MAPPED.length)
  return address.address.startsWith(MAPPED) && IPV4.test(plain) ? { family: 'IPv4', address: plain, port: address.port } : address
}

function same(one: SocketAddress, other: SocketAddress): boolean {
  return one.port === other.port && one.address === other.address
}

/** Whose it is to the receiver: a socket on every address sends from the one that the receiver has. */
function senderOf({ local }: MemoryDatagramSocket, to: SocketAddress): SocketAddress {
  const { address, port } = unmapped(local)
  if (address !== '::' && address !== '0.0.0.0') return unmapped(local)
  return to.family === 'IPv4' ? { family: 'IPv4', address: '127.0.0.1', port } : { family: 'IPv6', address: '::1', port }
}

function shares(one: MemoryDatagramSocket, other: MemoryDatagramSocket): boolean {
  return [SocketOption.REUSE_ADDRESS, SocketOption.REUSE_PORT].some((option) => one.options.get(option) === 1 && other.options.get(option) === 1)
}

function isGroup(address: string): boolean {
  const first = IPV4.exec(address)?.[1]
  return first === undefined ? /^ff/i.test(address) : Number(first) >= 224 && Number(first) <= 239
}
