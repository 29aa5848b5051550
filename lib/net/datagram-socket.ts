/** A UDP socket: what its users hold. Opening it is for `udp.ts`. */
import { check, ENOPROTOOPT, SystemError } from '../kernel/errno.js'
import type { Family, SocketAddress } from '../kernel/kernel.js'
import { DatagramOption } from '../kernel/layout.js'
import { lookup } from '../blocking/lookup.js'
import { CloseAtOnce } from '../io/close-at-once.js'
import { ClosedError } from '../io/errors.js'
import { CoreactorError } from '../task/errors.js'
import { immediate, op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'
import { AddressBook, plain } from './address-book.js'
import { LOCALHOST, numericAddress } from './address.js'
import type { DatagramEnd } from './datagram-end.js'
import { ReceiveDatagramError, type DatagramError } from './datagram-error.js'
import type { DatagramHandle } from './datagram-handle.js'
import { datagramBytes, marksOf, namedPeerOf, peerOf, type DatagramAddress, type DatagramSendOptions } from './datagram-peer.js'
import { checkSlab, type DatagramSlab } from './datagram-slab.js'
import { ReceiveBatch, ReceiveDatagram, ReceiveDatagramInto, type Datagram } from './receive-datagram.js'
import { SendBatch, SendDatagram } from './send-datagram.js'
import { Socket } from './socket.js'

/** Options of joining and leaving a multicast group. */
export interface GroupOptions {
  /** The interface, by name or number; by default the system chooses. */
  interface?: string | number | undefined
  /** Only what comes from this address. */
  source?: string | undefined
}

/** How datagrams for multicast groups are sent. */
export interface MulticastOptions {
  /** How many routers what is sent to a group may pass: 0 to 255; 1, the local network, until it is set. */
  ttl?: number | undefined
  /** Whether members on this machine get what is sent; true until it is set. */
  loop?: boolean | undefined
  /** The interface by which it is sent, by name or number. */
  interface?: string | number | undefined
}

/** An address of no family, as bytes: connecting to it undoes a connection (connect(2)). */
const NOBODY = new Uint8Array(16)

/** A UDP socket; `udp` opens one. */
export class DatagramSocket extends Socket implements DatagramEnd<SocketAddress> {
  /** Whether `recv` tells more of a datagram than whose it is. */
  readonly info: boolean
  /** @internal */
  connected = false
  /** @internal */
  declare readonly handle: DatagramHandle
  private readonly family: Family
  private readonly keepsErrors: boolean
  private readonly book: AddressBook
  private local: SocketAddress | undefined

  /** @internal Use `udp`. */
  constructor(handle: DatagramHandle, family: Family, info: boolean, errors: boolean) {
    super(handle)
    this.family = family
    this.info = info
    this.keepsErrors = errors
    this.book = new AddressBook(handle.kernel, family)
  }

  /** Where it receives, with the port that the system has chosen if it was 0; undefined once closed, unless it was asked for before. */
  get localAddress(): SocketAddress | undefined {
    if (this.connected) return this.askLocal()
    return (this.local ??= this.askLocal())
  }

  /** Whom `connect` has set; undefined without, or once closed. */
  get remoteAddress(): SocketAddress | undefined {
    if (this.closed || !this.connected) return undefined
    return plain(this.handle.kernel.remoteAddress(this.handle.fd))
  }

  /**
   * Waits for a datagram, which may be empty; whole, whatever its size. On cancel none has been received.
   *
   * Errors: `ClosedError`, `BusyError` (another task receives); on a connected socket, once for each time, what the network
   * has said of datagrams sent before, such as `ECONNREFUSED`, after which the socket goes on.
   *
   * @example
   * const socket = yield* udp({ port: 5353 })
   * const { data, address } = yield* socket.recv()
   * yield* socket.send(data, address)
   */
  recv(): Op<Datagram> {
    return new ReceiveDatagram(this)
  }

  /** As `recv`, into the caller's memory: `data` is the part of `buffer` that was written. What does not fit is cut off. */
  recvInto(buffer: Uint8Array): Op<Datagram> {
    if (!(buffer instanceof Uint8Array)) throw invalidType('buffer', 'an instance of Uint8Array', buffer)
    return new ReceiveDatagramInto(this, buffer)
  }

  /**
   * Waits for datagrams, and receives as many as are there and the slab has places for, by one system call; gives how many.
   * What was in the slab is gone. On cancel nothing has been received. Errors: as `recv`; `ERR_INVALID_ARG_TYPE`.
   */
  recvBatch(slab: DatagramSlab): Op<number> {
    checkSlab(slab)
    return new ReceiveBatch(this, this.book, slab)
  }

  /**
   * Waits for what the network says of a datagram that was sent, with the option `errors` of `udp`: which one, why, and who
   * says so. The socket goes on. A task that does nothing else, beside those that send and receive, hears of every one. On
   * cancel none has been received.
   *
   * Errors: `ClosedError`, `BusyError` (another task receives errors); `ERR_COREACTOR_NO_ERRORS` without the option.
   *
   * @example
   * const socket = yield* udp({ errors: true })
   * yield* socket.send('anybody?', { host: '127.0.0.1', port: 9 })
   * const { error, address } = yield* socket.recvError()
   * console.log(`${error.code} from port ${address.port}`)
   */
  recvError(): Op<DatagramError> {
    if (this.keepsErrors) return new ReceiveDatagramError(this.handle, this)
    throw new CoreactorError('ERR_COREACTOR_NO_ERRORS', 'this socket keeps no errors: open it with udp({ errors: true })')
  }

  /**
   * Sends a datagram, which may be empty, to an address, or to the connected peer. A name has to be looked up before,
   * with `blocking.lookup`: to do that for each datagram would have each of them wait for a thread. Waits while the system has
   * no room; the data are not to be changed until then. That it is sent does not mean that it arrives. On cancel it has not
   * been sent.
   *
   * Errors: `EMSGSIZE` (longer than a datagram can be: 65,507 bytes over IPv4), `EDESTADDRREQ` (neither address nor peer),
   * `EACCES` (broadcast without the option), other system errors; on a connected socket what `recv` tells, too, instead of
   * sending. `ClosedError`, `BusyError` (another task waits to send), `HostNotNumericError`; `ERR_INVALID_ARG_TYPE`,
   * `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   *
   * @example
   * const socket = yield* udp()
   * yield* socket.send('hello', { host: '127.0.0.1', port: 7000 })
   */
  send(data: string | Uint8Array, to: DatagramSendOptions = {}): Op<void> {
    const bytes = datagramBytes(data)
    const peer = peerOf(to)
    const { segment, tos } = marksOf(to)
    const encoded = peer === undefined ? undefined : this.book.encode(peer.host, peer.port)
    return new SendDatagram(this, { data: bytes, to: encoded, address: peer?.address, segment, tos })
  }

  /**
   * Sends the first `count` datagrams of the slab, by default as many as were received into it, in as few system calls as it
   * takes, and gives how many were sent. One that cannot be sent does not hold up the others: `slab.error(i)` says why.
   * Waits while the system has no room. On cancel a first part may have been sent: `slab.sent`.
   *
   * Errors: `ClosedError`, `BusyError` (another task waits to send); `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  sendBatch(slab: DatagramSlab, count: number = slab.count): Op<number> {
    checkSlab(slab)
    checkInteger('count', count, 0, slab.packets)
    return new SendBatch(this, this.book, slab, count)
  }

  /**
   * From now on datagrams come from this address only, and go there unless another is given; and what the network says of
   * them is told. A name is looked up, and its first address taken that the socket can send to. What has come from others
   * before may still be received. On cancel nothing has changed. Errors: system errors, such as `ENETUNREACH`; `LookupError`;
   * `ClosedError`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   *
   * @example
   * const socket = yield* udp()
   * yield* socket.connect({ host: 'time.example.org', port: 123 })
   */
  connect(address: DatagramAddress): Op<void> {
    const named = namedPeerOf(address)
    if (named === undefined) throw invalidType('address.port', 'of type number', undefined)
    const { host, port } = named
    if (host === LOCALHOST || numericAddress(host, port) !== null) return this.connectTo(host, port)
    return op(() => this.connectByName(host, port))
  }

  private *connectByName(host: string, port: number): Coroutine<void> {
    const found = yield* lookup(host, { all: true, family: this.family === 'IPv4' ? 4 : 0 })
    let first: unknown
    for (const { address } of found) {
      try {
        return yield* this.connectTo(address, port)
      } catch (error) {
        // No way there, or none for the socket's own address: another family's may be.
        if (!(error instanceof SystemError)) throw error
        first ??= error
      }
    }
    throw first
  }

  private connectTo(host: string, port: number): Op<void> {
    const encoded = this.book.encode(host, port)
    return immediate(() => {
      const { handle } = this
      this.checkOpen()
      // Known before the connection may narrow it down to the address of one interface.
      this.local ??= this.askLocal()
      check(handle.kernel.connect(handle.fd, encoded), 'connect', numericAddress(host, port) ?? undefined)
      this.connected = true
    })
  }

  /** Undoes `connect`; the port stays the same. Harmless without. Errors: `ClosedError`, system errors. */
  disconnect(): Op<void> {
    return immediate(() => {
      this.checkOpen()
      if (!this.connected) return
      const { handle, local } = this
      check(handle.kernel.connect(handle.fd, NOBODY), 'connect')
      this.connected = false
      // A port of the system's choice is lost with the connection on Linux.
      if (local === undefined || this.askLocal()?.port === local.port) return
      check(handle.kernel.bind(handle.fd, this.book.spoken(local)), 'bind', local)
    })
  }

  /**
   * Receives what is sent to a multicast group, too; and from then on nothing that is sent to groups which only others on
   * this machine have joined. Errors: system errors, such as `EINVAL` (not a group), `EADDRINUSE`
   * (it does already), `ENODEV`; `ClosedError`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   *
   * @example
   * const socket = yield* udp({ port: 5353, reuseAddress: true })
   * socket.joinGroup('224.0.0.251', { interface: 'eth0' })
   */
  joinGroup(group: string, options: GroupOptions = {}): this {
    return this.setMembership(1, group, options)
  }

  /** Undoes `joinGroup` with the same arguments. Errors: the same; `EADDRNOTAVAIL` (it did not). */
  leaveGroup(group: string, options: GroupOptions = {}): this {
    return this.setMembership(0, group, options)
  }

  /** How what is sent to groups goes. Errors: system errors, such as `ENODEV`; `ClosedError`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`. */
  setMulticast({ ttl, loop, interface: by }: MulticastOptions): this {
    if (ttl !== undefined) checkInteger('options.ttl', ttl, 0, 255)
    if (loop !== undefined && typeof loop !== 'boolean') throw invalidType('options.loop', 'of type boolean', loop)
    this.checkOpen()
    if (ttl !== undefined) this.set(DatagramOption.MULTICAST_HOPS, ttl)
    if (loop !== undefined) this.set(DatagramOption.MULTICAST_LOOP, Number(loop))
    if (by !== undefined) this.set(DatagramOption.MULTICAST_INTERFACE, this.interfaceIndex(by))
    return this
  }

  /** How many routers what is sent may pass: 1 to 255. Errors: `ClosedError`, system errors; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`. */
  setTtl(ttl: number): this {
    checkInteger('ttl', ttl, 1, 255)
    this.checkOpen()
    this.set(DatagramOption.HOPS, ttl)
    return this
  }

  /**
   * Closes now. Who is waiting on the socket gets `ClosedError`. Idempotent. In a cancelled scope the fd is freed all the
   * same; then `Cancelled` is thrown.
   */
  close(): Op<void> {
    return new CloseAtOnce(this.handle)
  }

  /** The datagrams that come, until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Datagram, void, undefined> {
    for (;;) {
      let datagram: Datagram
      try {
        datagram = await this.recv()
      } catch (error) {
        if (error instanceof ClosedError) return
        throw error
      }
      yield datagram
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.handle.close()
  }

  /** @internal */
  decode(bytes: Uint8Array, offset: number, length: number): SocketAddress {
    return this.book.decode(bytes, offset, length)
  }

  private askLocal(): SocketAddress | undefined {
    return this.closed ? undefined : plain(this.handle.kernel.localAddress(this.handle.fd))
  }

  private checkOpen(): void {
    if (this.closed) throw new ClosedError('the socket')
  }

  private set(option: number, value: number): void {
    check(this.handle.kernel.setDatagramOption(this.handle.fd, option, value), 'setsockopt')
  }

  private setMembership(member: number, group: string, { interface: by, source }: GroupOptions): this {
    const groupBytes = this.encodeAddress('group', group)
    const sourceBytes = source === undefined ? undefined : this.encodeAddress('options.source', source)
    this.checkOpen()
    const index = by === undefined ? 0 : this.interfaceIndex(by)
    check(this.handle.kernel.setMembership(this.handle.fd, member, groupBytes, index, sourceBytes), 'setsockopt')
    // Linux hands a socket what any other socket of the machine has joined (ip(7), IP_MULTICAST_ALL), also after it has left.
    const own = this.handle.kernel.setDatagramOption(this.handle.fd, DatagramOption.MULTICAST_ALL, 0)
    // Not known to Linux before 4.20.
    if (own !== ENOPROTOOPT) check(own, 'setsockopt')
    return this
  }

  /** Of either family, whatever the socket's: a group of IPv4 is one for a socket of IPv6, too. */
  private encodeAddress(name: string, address: unknown): Uint8Array {
    if (typeof address !== 'string') throw invalidType(name, 'of type string', address)
    const numeric = numericAddress(address, 0)
    if (numeric === null) throw invalidValue(name, 'must be an IP address', address)
    const bytes = this.handle.kernel.encodeAddress(numeric)
    if (typeof bytes === 'number') throw new SystemError(bytes, 'setsockopt', numeric)
    return bytes
  }

  private interfaceIndex(by: string | number): number {
    if (typeof by === 'string') return check(this.handle.kernel.interfaceIndex(by), 'if_nametoindex')
    checkInteger('options.interface', by, 0, 0x7fff_ffff)
    return by
  }
}
