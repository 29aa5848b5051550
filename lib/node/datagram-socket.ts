/** A UDP socket in the shape of node:dgram's: its methods, events and errors. What goes over the fd is `datagram-wire.ts`. */
import { AsyncResource } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { EventEmitter } from 'node:events'
import { isIP, type BlockList, type LookupFunction } from 'node:net'
import { check, EBADF, EINVAL, SystemError } from '../kernel/errno.js'
import type { Kernel, SocketAddress } from '../kernel/kernel.js'
import { DatagramOption, SocketOption } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { ownRuntime } from '../runtime/current.js'
import { contexts } from '../task/ambient.js'
import { checkFunction, checkInteger, invalidType, invalidValue } from '../task/validate.js'
import type { Callback0 } from './arguments.js'
import { listOf, part } from './datagram-arguments.js'
import {
  alreadyBound,
  alreadyConnected,
  badBufferSize,
  badSocketType,
  bufferSizeError,
  checkDatagramPort,
  datagramNotRunning,
  missingArgument,
  notConnected
} from './datagram-errors.js'
import { DatagramWire, type DatagramUser } from './datagram-wire.js'
import { invalidFdType, ipBlocked, systemError } from './errors.js'
import { setGroup, setMulticastInterface } from './multicast.js'
import type { AddressInfo } from './socket.js'

/** IPv4 or IPv6. As in Node. */
export type SocketType = 'udp4' | 'udp6'

/** What `createSocket` takes. As Node's `dgram.SocketOptions`. */
export interface SocketOptions {
  type: SocketType
  /** Whether `bind` takes an address that another socket has. */
  reuseAddr?: boolean | undefined
  /** Whether several sockets may have the port, and share what comes. */
  reusePort?: boolean | undefined
  /** Whether `::` takes IPv6 only, and not IPv4 too. */
  ipv6Only?: boolean | undefined
  /** Bytes; set when it is bound. */
  recvBufferSize?: number | undefined
  sendBufferSize?: number | undefined
  /** In place of `dns.lookup`. */
  lookup?: LookupFunction | undefined
  /** Closes the socket when it is aborted. */
  signal?: AbortSignal | undefined
  /** Datagrams from these addresses are passed over. */
  receiveBlockList?: BlockList | undefined
  /** To these addresses nothing is sent. */
  sendBlockList?: BlockList | undefined
}

/** Where `bind` binds: to `port`, or to any that is free; at `address`, or at all. As Node's `dgram.BindOptions`. */
export interface BindOptions {
  port?: number | undefined
  address?: string | undefined
  /** Always so here: nothing is shared with the primary of a cluster. */
  exclusive?: boolean | undefined
  /** A UDP socket that is bound already. */
  fd?: number | undefined
}

/** Whom a datagram is from, and its bytes (`size`). As Node's `dgram.RemoteInfo`. */
export interface RemoteInfo {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
  size: number
}

/** Called with each datagram ('message'). The buffer is the listener's to keep. */
export type MessageListener = (message: Buffer, remote: RemoteInfo) => void
/** Called when a datagram was given to the system, with its bytes, or could not be. That says nothing of its arrival. */
export type SendCallback = (error: Error | null, bytes?: number) => void

type Bytes = string | NodeJS.ArrayBufferView
type BindState = 'unbound' | 'binding' | 'bound'
type ConnectState = 'disconnected' | 'connecting' | 'connected'
type Found = (error: Error | null, address: string) => void

const NOBODY = new Uint8Array(16)
const INT32_MAX = 0x7fff_ffff

const socketMade = channel('udp.socket')

/** A UDP socket; what it receives is its 'message' events. As `dgram.Socket` of Node. */
export class Socket extends EventEmitter {
  type!: SocketType
  /** @internal Null: no fd has been needed so far, or it is closed. */
  _wire!: DatagramWire | null
  /** @internal */
  _closed!: boolean
  /** @internal */
  _bindState!: BindState
  /** @internal */
  _connectState!: ConnectState
  /** @internal What is to be done when it is bound. */
  _waiting!: Callback0[] | null
  /** @internal */
  _options!: Partial<SocketOptions>
  /** @internal */
  _referenced!: boolean
  /** @internal Null: nobody in this thread uses async contexts. */
  _context!: AsyncResource | null

  constructor(type: SocketType | SocketOptions, listener?: MessageListener) {
    super()
    prepareDatagram(this, type, listener)
  }

  bind(port?: number, address?: string, listening?: Callback0): this
  bind(port?: number, listening?: Callback0): this
  bind(listening: Callback0): this
  bind(options: BindOptions, listening?: Callback0): this
  bind(...args: unknown[]): this {
    running(this)
    if (this._bindState !== 'unbound') throw alreadyBound()
    this._bindState = 'binding'
    const last = args[args.length - 1]
    if (typeof last === 'function') onceListening(this, last as Callback0)
    const [first, second] = args
    const options: BindOptions = typeof first === 'object' && first !== null ? first : {}
    const { fd } = options
    if (typeof fd === 'number' && Number.isInteger(fd) && fd > 0 && fd <= INT32_MAX) {
      openFd(this, fd)
      return this
    }
    const port = options === first ? options.port : first
    const address = options === first ? options.address : typeof second === 'function' ? '' : second
    lookupFor(this, (address || anyAddress(this)) as string, (error, ip) => bindTo(this, error, ip, port))
    return this
  }

  /** As `bind` to an address, not a name, and at once; 'listening' follows. Gives the address. Throws what goes wrong. */
  bindSync(options: Pick<BindOptions, 'port' | 'address'> = {}): AddressInfo {
    running(this)
    if (options === null || typeof options !== 'object') throw invalidType('options', 'of type object', options)
    if (this._bindState !== 'unbound') throw alreadyBound()
    const port = checkDatagramPort('options.port', options.port ?? 0, true)
    const address = numeric('options.address', options.address, anyAddress(this), 'bindSync')
    const errno = openAndBind(this, address, port)
    if (errno < 0) throw systemError(errno, 'bind', { address, port: port || undefined })
    startReceiving(this)
    process.nextTick(emitIfOpen, this, 'listening')
    return this.address()
  }

  connect(port: number, address?: string, connected?: Callback0): void
  connect(port: number, connected?: Callback0): void
  connect(port: number, address?: string | Callback0, connected?: Callback0): void {
    const to = checkDatagramPort('Port', port, false)
    const callback = typeof address === 'function' ? address : connected
    const host = typeof address === 'function' || address === undefined ? '' : address
    if (typeof host !== 'string') throw invalidType('address', 'of type string', host)
    running(this)
    if (this._connectState !== 'disconnected') throw alreadyConnected()
    this._connectState = 'connecting'
    if (this._bindState === 'unbound') this.bind({ port: 0, exclusive: true })
    const begin = (): void => {
      if (callback) this.once('connect', callback)
      lookupFor(this, host, (error, ip) => connectTo(this, error ?? connectNow(this, ip, host, to), callback))
    }
    if (this._bindState === 'bound') begin()
    else whenBound(this, begin)
  }

  /** As `connect` to an address, not a name, and at once; 'connect' follows. Throws what goes wrong. */
  connectSync(port: number, address?: string): void {
    running(this)
    const to = checkDatagramPort('Port', port, false)
    if (this._connectState !== 'disconnected') throw alreadyConnected()
    const ip = numeric('address', address, loopback(this), 'connectSync')
    if (this._bindState === 'unbound') this.bindSync()
    else if (this._bindState === 'binding') throw alreadyBound()
    const error = connectNow(this, ip, ip, to)
    if (error !== null) throw error
    this._connectState = 'connected'
    process.nextTick(emitIfOpen, this, 'connect')
  }

  disconnect(): void {
    if (this._connectState !== 'connected' || this._wire === null) throw notConnected()
    const { handle, book } = this._wire
    const { kernel, fd } = handle
    const local = kernel.localAddress(fd)
    const errno = kernel.connect(fd, NOBODY)
    if (errno < 0) throw systemError(errno, 'connect')
    this._wire.connected = false
    this._connectState = 'disconnected'
    // A port of the system's choice is lost with the connection on Linux.
    const after = kernel.localAddress(fd)
    if (typeof local === 'number' || typeof after === 'number' || local.family === 'Unix') return
    if ((after as SocketAddress).port !== local.port) kernel.bind(fd, book.spoken({ ...local, address: anyAddress(this) }))
  }

  send(message: Bytes | readonly Bytes[], port?: number, address?: string | null, callback?: SendCallback): void
  send(message: Bytes | readonly Bytes[], port?: number, callback?: SendCallback): void
  send(message: Bytes | readonly Bytes[], callback?: SendCallback): void
  send(message: Bytes, offset: number, length: number, port?: number, address?: string, callback?: SendCallback): void
  send(message: Bytes, offset: number, length: number, port?: number, callback?: SendCallback): void
  send(message: Bytes, offset: number, length: number, callback?: SendCallback): void
  send(message: unknown, offset?: unknown, length?: unknown, port?: unknown, address?: unknown, callback?: unknown): void {
    const connected = this._connectState === 'connected'
    let data = message
    if (!connected) {
      if (address || (port && typeof port !== 'function')) {
        data = part(message, offset, length)
      } else {
        callback = port
        port = offset
        address = length
      }
    } else {
      if (typeof length === 'number') {
        data = part(message, offset, length)
        if (typeof port === 'function') {
          callback = port
          port = null
        }
      } else {
        callback = offset
      }
      if (port || address) throw alreadyConnected()
    }
    const list = listOf(data)
    const to = connected ? 0 : checkDatagramPort('Port', port, false)
    if (typeof address === 'function') {
      callback = address
      address = undefined
    } else if (address !== undefined && address !== null && typeof address !== 'string') {
      throw invalidType('address', 'of type string', address)
    }
    running(this)
    const told = typeof callback === 'function' ? (callback as SendCallback) : null
    if (this._bindState === 'unbound') this.bind({ port: 0, exclusive: true })
    sendWhenBound(this, list, to, address as string | null | undefined, told)
  }

  /** As `send`, with all arguments. */
  sendto(message: Bytes, offset: number, length: number, port: number, address: string, callback?: SendCallback): void {
    checkNumber('offset', offset)
    checkNumber('length', length)
    checkNumber('port', port)
    if (typeof address !== 'string') throw invalidType('address', 'of type string', address)
    this.send(message, offset, length, port, address, callback)
  }

  close(callback?: Callback0): this {
    if (typeof callback === 'function') this.on('close', callback)
    if (this._waiting !== null) {
      this._waiting.push(() => void this.close())
      return this
    }
    running(this)
    this._closed = true
    this._wire?.close()
    this._wire = null
    process.nextTick(emit, this, 'close')
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this._closed) return
    await new Promise<void>((resolve) => this.close(resolve))
  }

  address(): AddressInfo {
    running(this)
    return addressInfo(opened(this, 'getsockname').localAddress(fdOf(this)), 'getsockname')
  }

  remoteAddress(): AddressInfo {
    running(this)
    if (this._connectState !== 'connected') throw notConnected()
    return addressInfo(opened(this, 'getpeername').remoteAddress(fdOf(this)), 'getpeername')
  }

  ref(): this {
    reference(this, true)
    return this
  }

  unref(): this {
    reference(this, false)
    return this
  }

  setBroadcast(on: boolean): void {
    setOption(this, 'setBroadcast', DatagramOption.BROADCAST, on ? 1 : 0)
  }

  setTTL(ttl: number): number {
    checkNumber('ttl', ttl)
    setOption(this, 'setTTL', DatagramOption.HOPS, inRange(ttl, 1))
    return ttl
  }

  setMulticastTTL(ttl: number): number {
    checkNumber('ttl', ttl)
    setOption(this, 'setMulticastTTL', DatagramOption.MULTICAST_HOPS, inRange(ttl, 0))
    return ttl
  }

  setMulticastLoopback(on: boolean): boolean {
    setOption(this, 'setMulticastLoopback', DatagramOption.MULTICAST_LOOP, on ? 1 : 0)
    return on
  }

  setMulticastInterface(address: string): void {
    running(this)
    if (typeof address !== 'string') throw invalidType('interfaceAddress', 'of type string', address)
    const kernel = opened(this, 'setMulticastInterface')
    done('setMulticastInterface', setMulticastInterface(kernel, fdOf(this), familyOf(this), address))
  }

  addMembership(group: string, by?: string): void {
    running(this)
    if (!group) throw missingArgument('multicastAddress')
    done('addMembership', changeGroup(this, 1, group, by))
  }

  dropMembership(group: string, by?: string): void {
    running(this)
    if (!group) throw missingArgument('multicastAddress')
    done('dropMembership', changeGroup(this, 0, group, by))
  }

  addSourceSpecificMembership(source: string, group: string, by?: string): void {
    checkSource(this, source, group)
    done('addSourceSpecificMembership', changeGroup(this, 1, group, by, source))
  }

  dropSourceSpecificMembership(source: string, group: string, by?: string): void {
    checkSource(this, source, group)
    done('dropSourceSpecificMembership', changeGroup(this, 0, group, by, source))
  }

  setRecvBufferSize(size: number): void {
    bufferSize(this, 'recv', size)
  }

  setSendBufferSize(size: number): void {
    bufferSize(this, 'send', size)
  }

  getRecvBufferSize(): number {
    return bufferSize(this, 'recv', 0)
  }

  getSendBufferSize(): number {
    return bufferSize(this, 'send', 0)
  }

  /** Bytes that wait because the system has no room for them. */
  getSendQueueSize(): number {
    running(this)
    return this._wire?.waiting.bytes ?? 0
  }

  /** Datagrams that do. */
  getSendQueueCount(): number {
    running(this)
    return this._wire?.waiting.count ?? 0
  }
}

/** What the constructor does; also for an object that is to become a socket without it. */
export function prepareDatagram(socket: Socket, type: unknown, listener: unknown): void {
  const options = type !== null && typeof type === 'object' ? (type as SocketOptions) : null
  if (options?.recvBufferSize) checkInteger('options.recvBufferSize', options.recvBufferSize, 0, 2 ** 32 - 1)
  if (options?.sendBufferSize) checkInteger('options.sendBufferSize', options.sendBufferSize, 0, 2 ** 32 - 1)
  checkBlockList('options.receiveBlockList', options?.receiveBlockList)
  checkBlockList('options.sendBlockList', options?.sendBlockList)
  if (options?.lookup !== undefined) checkFunction('lookup', options.lookup)
  const speaks = options === null ? type : options.type
  if (speaks !== 'udp4' && speaks !== 'udp6') throw badSocketType()
  socket.type = speaks
  socket._wire = null
  socket._closed = false
  socket._bindState = 'unbound'
  socket._connectState = 'disconnected'
  socket._waiting = null
  socket._options = { ...options }
  socket._referenced = true
  socket._context = contexts.capture() === null ? null : new AsyncResource('COREACTOR_UDP')
  if (typeof listener === 'function') socket.on('message', listener as MessageListener)
  if (options?.signal !== undefined) watchSignal(socket, options.signal)
  if (socketMade.hasSubscribers) socketMade.publish({ socket })
}

function watchSignal(socket: Socket, signal: AbortSignal): void {
  if (signal === null || typeof signal !== 'object' || !('aborted' in signal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', signal)
  }
  const aborted = (): void => {
    if (!socket._closed) socket.close()
  }
  if (signal.aborted) return aborted()
  signal.addEventListener('abort', aborted, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', aborted))
}

function checkBlockList(name: string, list: unknown): void {
  if (list && typeof (list as BlockList).check !== 'function') throw invalidType(name, 'an instance of net.BlockList', list)
}

function checkNumber(name: string, value: unknown): void {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
}

function checkSource(socket: Socket, source: unknown, group: unknown): void {
  running(socket)
  if (typeof source !== 'string') throw invalidType('sourceAddress', 'of type string', source)
  if (typeof group !== 'string') throw invalidType('groupAddress', 'of type string', group)
}

function numeric(name: string, address: unknown, otherwise: string, method: string): string {
  if (address === undefined || address === null || address === '') return otherwise
  if (typeof address !== 'string') throw invalidType(name, 'of type string', address)
  if (isIP(address) === 0) throw invalidValue(name, `must be a numeric IP address; ${method} does not perform DNS resolution`, address)
  return address
}

/** Hops as the system takes them; out of range is what it refuses. */
function inRange(ttl: number, least: number): number {
  const hops = ttl | 0
  return hops < least || hops > 255 ? EINVAL : hops
}

function running(socket: Socket): void {
  if (socket._closed) throw datagramNotRunning()
}

function familyOf(socket: Socket): 4 | 6 {
  return socket.type === 'udp4' ? 4 : 6
}

const anyAddress = (socket: Socket): string => (socket.type === 'udp4' ? '0.0.0.0' : '::')
const loopback = (socket: Socket): string => (socket.type === 'udp4' ? '127.0.0.1' : '::1')

function fdOf(socket: Socket): number {
  return (socket._wire as DatagramWire).handle.fd
}

function opened(socket: Socket, syscall: string): Kernel {
  running(socket)
  if (socket._wire === null) throw systemError(EBADF, syscall)
  return socket._wire.handle.kernel
}

function done(syscall: string, errno: number): void {
  if (errno < 0) throw systemError(errno, syscall)
}

function setOption(socket: Socket, syscall: string, option: number, value: number): void {
  const kernel = opened(socket, syscall)
  done(syscall, value < 0 ? value : kernel.setDatagramOption(fdOf(socket), option, value))
}

function bufferSize(socket: Socket, which: 'recv' | 'send', size: number): number {
  running(socket)
  if (size >>> 0 !== size) throw badBufferSize()
  const syscall = `uv_${which}_buffer_size`
  if (socket._wire === null) throw bufferSizeError(EBADF, syscall)
  if (size > INT32_MAX) throw bufferSizeError(EINVAL, syscall)
  const { kernel } = socket._wire.handle
  const option = which === 'recv' ? SocketOption.RECEIVE_BUFFER : SocketOption.SEND_BUFFER
  const result = size === 0 ? kernel.getOption(fdOf(socket), option) : kernel.setOption(fdOf(socket), option, size)
  if (result < 0) throw bufferSizeError(result, syscall)
  return result
}

/** A socket that has no fd is bound to a port of the system's choice by this, as libuv does it. */
function changeGroup(socket: Socket, member: 0 | 1, group: string, by: string | undefined, source?: string): number {
  if (socket._wire === null) {
    const errno = openAndBind(socket, anyAddress(socket), 0, true)
    socket._bindState = 'unbound'
    if (errno < 0) return errno
  }
  const { kernel } = (socket._wire as unknown as DatagramWire).handle
  return setGroup(kernel, fdOf(socket), member, group, by || undefined, source)
}

function reference(socket: Socket, on: boolean): void {
  socket._referenced = on
  socket._wire?.reference(on)
}

function addressInfo(address: ReturnType<Kernel['localAddress']>, syscall: string): AddressInfo {
  if (typeof address === 'number') throw systemError(address, syscall)
  const { family, address: text, port } = address as SocketAddress
  return { address: text, family, port }
}

function onceListening(socket: Socket, callback: Callback0): void {
  const forget = (): void => {
    socket.removeListener(EventEmitter.errorMonitor, forget)
    socket.removeListener('listening', listening)
  }
  const listening = function (this: Socket): void {
    forget()
    callback.call(this)
  }
  socket.on(EventEmitter.errorMonitor, forget)
  socket.on('listening', listening)
}

/** Calls `found` later, never at once. */
function lookupFor(socket: Socket, address: string, found: Found): void {
  const family = familyOf(socket)
  const host = address || loopback(socket)
  const { lookup } = socket._options
  if (lookup === undefined && isIP(host) === family) process.nextTick(found, null, host)
  else (lookup ?? (dns.lookup as LookupFunction))(host, family as never, found as never)
}

function bindTo(socket: Socket, error: Error | null, ip: string, wanted: unknown): void {
  if (socket._closed) return
  if (error) {
    socket._bindState = 'unbound'
    socket.emit('error', error)
    return
  }
  // What is no port is none, and what is too large is cut: node:dgram does not look.
  const port = (Number(wanted) >>> 0) & 0xffff
  const errno = openAndBind(socket, ip, port)
  if (errno < 0) {
    socket.emit('error', systemError(errno, 'bind', { address: ip, port: port || undefined }))
    return
  }
  startReceiving(socket)
  socket.emit('listening')
}

/** 0, or what the system says; then nothing is left of it. */
function openAndBind(socket: Socket, ip: string, port: number, reuse = socket._options.reuseAddr): number {
  socket._bindState = 'unbound'
  if (isIP(ip) !== familyOf(socket) || socket._wire !== null) return EINVAL
  const runtime = ownRuntime()
  const { kernel } = runtime
  const family = socket.type === 'udp4' ? 'IPv4' : 'IPv6'
  const { reusePort, ipv6Only } = socket._options
  let fd = -1
  try {
    fd = check(kernel.socket(family, 'datagram'), 'socket')
    if (reuse) check(kernel.setOption(fd, SocketOption.REUSE_ADDRESS, 1), 'setsockopt')
    if (reusePort) check(kernel.setOption(fd, SocketOption.REUSE_PORT, 1), 'setsockopt')
    if (ipv6Only && family === 'IPv6') check(kernel.setOption(fd, SocketOption.V6_ONLY, 1), 'setsockopt')
    check(kernel.bind(fd, { family, address: ip, port }), 'bind')
  } catch (error) {
    if (fd >= 0) kernel.closeFd(fd)
    return errnoFrom(error)
  }
  try {
    wireOver(socket, Handle.adopt(runtime, fd))
  } catch (error) {
    return errnoFrom(error)
  }
  return 0
}

function errnoFrom(error: unknown): number {
  if (error instanceof SystemError) return error.errno
  throw error
}

function openFd(socket: Socket, fd: number): void {
  const runtime = ownRuntime()
  const what = runtime.kernel.describeFd(fd)
  const isUdp = typeof what === 'object' && what.is === 'socket' && what.type === 'datagram' && what.family !== 'Unix'
  if (!isUdp) throw invalidFdType(typeof what === 'number' ? 'INVALID' : kindOf(what))
  const handle = Handle.take(runtime, fd)
  runtime.kernel.setNonBlocking(fd)
  wireOver(socket, handle)
  startReceiving(socket)
  socket.emit('listening')
}

function kindOf(what: Exclude<ReturnType<Kernel['describeFd']>, number>): string {
  if (what.is === 'file') return 'FILE'
  if (what.is === 'pipe') return 'PIPE'
  return what.is === 'socket' && what.type === 'stream' ? (what.family === 'Unix' ? 'PIPE' : 'TCP') : 'UNKNOWN'
}

function wireOver(socket: Socket, handle: Handle): void {
  socket._wire = new DatagramWire(handle, socket.type === 'udp4' ? 'IPv4' : 'IPv6', new Receiver(socket), socket._context)
  socket._wire.reference(socket._referenced)
}

function startReceiving(socket: Socket): void {
  const { recvBufferSize, sendBufferSize } = socket._options
  socket._bindState = 'bound'
  ;(socket._wire as DatagramWire).start()
  if (recvBufferSize) bufferSize(socket, 'recv', recvBufferSize)
  if (sendBufferSize) bufferSize(socket, 'send', sendBufferSize)
}

class Receiver implements DatagramUser {
  private readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
  }

  received(data: Buffer, { address, family, port }: SocketAddress): void {
    const { socket } = this
    const { receiveBlockList } = socket._options
    if (receiveBlockList && isBlocked(receiveBlockList, address)) return
    socket.emit('message', data, { address, family, port, size: data.length })
  }

  failed(errno: number): void {
    this.socket.emit('error', systemError(errno, 'recvmsg'))
  }
}

function isBlocked(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** Null, or what is wrong. */
function connectNow(socket: Socket, ip: string, address: string, port: number): Error | null {
  const { _wire: wire } = socket
  if (wire === null) return datagramNotRunning()
  const { sendBlockList } = socket._options
  if (sendBlockList && isBlocked(sendBlockList, ip)) return ipBlocked(ip)
  const to = encoded(socket, ip, port)
  const errno = typeof to === 'number' ? to : wire.handle.kernel.connect(wire.handle.fd, to)
  if (errno < 0) return systemError(errno, 'connect', { address, port: port || undefined })
  wire.connected = true
  return null
}

function connectTo(socket: Socket, error: Error | null, callback: ((error?: Error) => void) | undefined): void {
  if (socket._closed) return
  if (error === null) {
    socket._connectState = 'connected'
    process.nextTick(emit, socket, 'connect')
    return
  }
  socket._connectState = 'disconnected'
  process.nextTick(() => {
    if (!callback) return socket.emit('error', error)
    socket.removeListener('connect', callback)
    return callback(error)
  })
}

/** The bytes of an address that the socket can speak to, or an error. */
function encoded(socket: Socket, ip: string, port: number): Uint8Array | number {
  if (isIP(ip) !== familyOf(socket)) return EINVAL
  try {
    return (socket._wire as DatagramWire).book.encode(ip, port)
  } catch (error) {
    return errnoFrom(error)
  }
}

function whenBound(socket: Socket, action: Callback0): void {
  if (socket._waiting !== null) return void socket._waiting.push(action)
  socket._waiting = [action]
  const listening = (): void => {
    socket.removeListener(EventEmitter.errorMonitor, failed)
    const waiting = socket._waiting ?? []
    socket._waiting = null
    for (const each of waiting) each()
  }
  const failed = (): void => {
    socket.removeListener('listening', listening)
    socket._waiting = null
  }
  socket.once(EventEmitter.errorMonitor, failed)
  socket.once('listening', listening)
}

type List = Uint8Array | readonly Uint8Array[]

function sendWhenBound(socket: Socket, list: List, port: number, address: string | null | undefined, told: SendCallback | null): void {
  if (socket._bindState !== 'bound') {
    whenBound(socket, () => {
      running(socket)
      // It may have been connected meanwhile, and node:dgram says so.
      if (socket._connectState === 'connected' && port !== 0) throw alreadyConnected()
      sendWhenBound(socket, list, port, address, told)
    })
    return
  }
  if (port === 0) return transmit(socket, list, undefined, address, 0, told)
  const host = address || loopback(socket)
  if (socket._options.lookup === undefined && isIP(host) === familyOf(socket)) return sendTo(socket, list, host, address, port, told)
  lookupFor(socket, host, (error, ip) => {
    if (error) process.nextTick(() => (told === null ? socket.emit('error', error) : told(error)))
    else if (!socket._closed) sendTo(socket, list, ip, address, port, told)
  })
}

function sendTo(socket: Socket, list: List, ip: string, address: string | null | undefined, port: number, told: SendCallback | null): void {
  const { sendBlockList } = socket._options
  if (sendBlockList && isBlocked(sendBlockList, ip)) {
    if (told !== null) process.nextTick(told, ipBlocked(ip))
    return
  }
  const to = encoded(socket, ip, port)
  if (typeof to !== 'number') return transmit(socket, list, to, address, port, told)
  if (told !== null) process.nextTick(told, systemError(to, 'send', { address, port }))
}

/** `to` undefined: the connected peer. */
function transmit(
  socket: Socket,
  list: List,
  to: Uint8Array | undefined,
  address: string | null | undefined,
  port: number,
  told: SendCallback | null
): void {
  const wire = socket._wire as DatagramWire
  if (told === null) return wire.send(list, to, null)
  const callback = socket._context === null && contexts.capture() === null ? told : AsyncResource.bind(told)
  wire.send(list, to, (errno, bytes) => {
    if (errno === 0) process.nextTick(callback, null, bytes)
    else process.nextTick(callback, systemError(errno, 'send', { address, port: port || undefined }))
  })
}

function emit(socket: Socket, event: string): void {
  socket.emit(event)
}

function emitIfOpen(socket: Socket, event: string): void {
  if (!socket._closed) socket.emit(event)
}
