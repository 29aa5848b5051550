/** A server in the shape of `net.Server`. Accepting is for `acceptor.ts`; what a socket is, for `socket.ts`. */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { EventEmitter } from 'node:events'
import type { BlockList } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import { check, EADDRINUSE, EINVAL, WATCH_CALL, type SystemError } from '../kernel/errno.js'
import type { AnyAddress, Kernel } from '../kernel/kernel.js'
import { SocketOption } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import type { Stream } from '../io/stream.js'
import { Connection } from '../net/connection.js'
import { NamedHandle } from '../net/unix-name.js'
import { ownRuntime } from '../runtime/current.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { Acceptor } from './acceptor.js'
import { isPath, normalized, toNumber, type Callback0 } from './arguments.js'
import { alreadyListening, checkPort, notRunning, systemError } from './errors.js'
import { AcceptedOptions, checkedBlockList, checkedFlag, infoOf, Socket, type AddressInfo, type Counting } from './socket.js'

/** What `createServer` takes, and gives to every connection. As Node's `net.ServerOpts`. */
export interface ServerOptions {
  allowHalfOpen?: boolean | undefined
  pauseOnConnect?: boolean | undefined
  noDelay?: boolean | undefined
  keepAlive?: boolean | undefined
  /** Milliseconds. */
  keepAliveInitialDelay?: number | undefined
  highWaterMark?: number | undefined
  /** The connections are for `tls` to wrap, or for `http2` without TLS: see `SocketOptions`. False by default. */
  wrapped?: boolean | undefined
  /** Addresses from which connections are not taken. */
  blockList?: BlockList | undefined
}

/** Where a server listens: at a port, at a path, or with a socket that listens already. As Node's `net.ListenOptions`. */
export interface ListenOptions {
  port?: number | string | null | undefined
  host?: string | undefined
  path?: string | undefined
  fd?: number | undefined
  backlog?: number | undefined
  exclusive?: boolean | undefined
  reusePort?: boolean | undefined
  ipv6Only?: boolean | undefined
  readableAll?: boolean | undefined
  writableAll?: boolean | undefined
  signal?: AbortSignal | undefined
}

/** Called with each connection ('connection'). */
export type ConnectionListener = (socket: Socket) => void

/** What 'drop' tells of a connection that was not taken. */
export interface DropData {
  localAddress?: string
  localPort?: number
  localFamily?: string
  remoteAddress?: string
  remotePort?: number
  remoteFamily?: string
}

/** What Node listens with: the kernel makes 512 of it. */
const BACKLOG = 511

const serverSocket = channel('net.server.socket')
const serverListen = tracingChannel('net.server.listen')

/** Listens at a port or at a path, and makes a `Socket` of every connection. As `net.Server` of Node. */
export class Server extends EventEmitter implements Counting {
  allowHalfOpen!: boolean
  pauseOnConnect!: boolean
  noDelay!: boolean
  keepAlive!: boolean
  /** Seconds, as Node has it. */
  keepAliveInitialDelay!: number
  highWaterMark!: number
  /** @internal */
  _wrapped!: boolean
  maxConnections?: number
  dropMaxConnection?: boolean
  blockList?: BlockList
  _connections!: number
  _connectionKey?: string
  _pipeName?: string
  _unref!: boolean
  /** Another one after each `listen` and `close`: a lookup that comes too late is of no interest. */
  _listeningId!: number
  /** @internal */
  _acceptor!: Acceptor | null

  constructor(options?: ServerOptions | ConnectionListener, listener?: ConnectionListener) {
    super()
    prepareServer(this, options, listener)
  }

  get listening(): boolean {
    return this._acceptor !== null
  }

  listen(port?: number | string, host?: string, backlog?: number, listening?: Callback0): this
  listen(port?: number | string, host?: string, listening?: Callback0): this
  listen(port?: number | string, backlog?: number, listening?: Callback0): this
  listen(port?: number | string, listening?: Callback0): this
  listen(options: ListenOptions | object, backlog?: number, listening?: Callback0): this
  listen(options: ListenOptions | object, listening?: Callback0): this
  listen(...args: unknown[]): this {
    const [given, callback] = normalized(args)
    if (this._acceptor !== null) throw alreadyListening()
    if (serverListen.hasSubscribers) serverListen.asyncStart.publish({ server: this, options: given })
    if (callback !== null) this.once('listening', callback)
    const fromArguments = toNumber(args.length > 1 && args[1]) || toNumber(args.length > 2 && args[2]) || 0
    const options = (given['_handle'] ?? given['handle'] ?? given) as ListenOptions
    this._listeningId++
    addSignal(this, options.signal)
    if (typeof options.fd === 'number' && options.fd >= 0) {
      const { fd } = options
      begin(this, null, -1, () => acceptorOfFd(this, fd, fromArguments || BACKLOG))
      return this
    }
    const nowhere = args.length === 0 || typeof args[0] === 'function'
    const { path } = options
    let { port } = options
    if (nowhere || (port === undefined && 'port' in options) || port === null) port = 0
    const backlog = options.backlog || fromArguments || BACKLOG
    if (typeof port === 'number' || typeof port === 'string') {
      const number = checkPort('options.port', port)
      if (options.host) lookupAndListen(this, options.host, number, backlog, options)
      else listenEverywhere(this, number, backlog, options)
      return this
    }
    if (path !== undefined && path !== '' && isPath(path)) {
      listenOnPath(this, path, backlog, options)
      return this
    }
    if (!('port' in options) && !('path' in options)) {
      throw invalidValue('options', 'must have the property "port" or "path"', options)
    }
    throw invalidValue('options', 'is invalid', options)
  }

  address(): AddressInfo | string | null {
    if (this._acceptor === null) return this._pipeName ?? null
    const { address } = this._acceptor
    return address.family === 'Unix' ? (this._pipeName ?? address.path) : infoOf(address)
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this._connections)
    return this
  }

  close(callback?: (error?: Error) => void): this {
    this._listeningId++
    if (typeof callback === 'function') {
      if (this._acceptor === null) this.once('close', () => callback(notRunning()))
      else this.once('close', callback)
    }
    this._acceptor?.close()
    this._acceptor = null
    this._emitCloseIfDrained()
    return this
  }

  ref(): this {
    this._unref = false
    this._acceptor?.reference(true)
    return this
  }

  unref(): this {
    this._unref = true
    this._acceptor?.reference(false)
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this._acceptor === null) return
    await new Promise<void>((resolve, reject) => this.close((error) => (error === undefined ? resolve() : reject(error))))
  }

  override [EventEmitter.captureRejectionSymbol](error: Error, event: string, ...args: unknown[]): void {
    if (event === 'connection') (args[0] as Socket).destroy(error)
    else this.emit('error', error)
  }

  _emitCloseIfDrained(): void {
    if (this._acceptor !== null || this._connections > 0) return
    process.nextTick(emitClose, this)
  }

  /** @internal */
  _accepted(stream: Stream): void {
    const { maxConnections, blockList } = this
    if (maxConnections !== undefined && maxConnections > 0 && this._connections >= maxConnections) {
      const data = dropData(stream)
      stream.closeNow()
      this.emit('drop', data)
      return
    }
    if (blockList !== undefined && isBlocked(blockList, stream)) return stream.closeNow()
    const socket = new Socket(new AcceptedOptions(stream, this))
    if (this.noDelay) socket.setNoDelay(true)
    if (this.keepAlive) socket.setKeepAlive(true, this.keepAliveInitialDelay * 1000)
    this._connections++
    socket.server = this
    socket._server = this
    this.emit('connection', socket)
    if (serverSocket.hasSubscribers) serverSocket.publish({ socket })
  }
}

/** What a server is before it listens. Not in the constructor, for those who call it without `new`. */
export function prepareServer(server: Server, options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): void {
  let given: ServerOptions = {}
  if (typeof options === 'function') {
    server.on('connection', options)
  } else if (options === undefined || options === null || typeof options === 'object') {
    given = { ...options }
    if (typeof listener === 'function') server.on('connection', listener)
  } else {
    throw invalidType('options', 'of type object', options)
  }
  server._connections = 0
  server._acceptor = null
  server._unref = false
  server._listeningId = 1
  server.allowHalfOpen = given.allowHalfOpen || false
  server.pauseOnConnect = Boolean(given.pauseOnConnect)
  server.noDelay = Boolean(given.noDelay)
  server.keepAlive = Boolean(given.keepAlive)
  server.keepAliveInitialDelay = ~~((atLeastZero('keepAliveInitialDelay', given.keepAliveInitialDelay) ?? 0) / 1000)
  const mark = checkedNumber('highWaterMark', given.highWaterMark)
  server.highWaterMark = mark === undefined || mark < 0 ? getDefaultHighWaterMark(false) : mark
  server._wrapped = checkedFlag('wrapped', given.wrapped)
  const blockList = checkedBlockList(given.blockList)
  if (blockList !== null) server.blockList = blockList
}

function checkedNumber(name: string, value: unknown): number | undefined {
  if (value !== undefined && typeof value !== 'number') throw invalidType(`options.${name}`, 'of type number', value)
  return value
}

function atLeastZero(name: string, value: unknown): number | undefined {
  const number = checkedNumber(name, value)
  return number === undefined ? undefined : Math.max(0, number)
}

function addSignal(server: Server, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  if (signal === null || typeof signal !== 'object' || !('aborted' in signal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', signal)
  }
  const aborted = (): void => void server.close()
  if (signal.aborted) return process.nextTick(aborted)
  signal.addEventListener('abort', aborted, { once: true })
  server.once('close', () => signal.removeEventListener('abort', aborted))
}

/** Makes the acceptor, or has the server tell what is wrong in the next tick. */
function begin(server: Server, address: string | null, port: number, open: () => Acceptor): void {
  try {
    server._acceptor = open()
  } catch (error) {
    const { errno } = error as SystemError
    if (errno === undefined) throw error
    const failure = systemError(errno, 'listen', { address, port, inWords: true })
    if (serverListen.hasSubscribers) serverListen.error.publish({ server, error: failure })
    process.nextTick(emitError, server, failure)
    return
  }
  if (serverListen.hasSubscribers) serverListen.asyncEnd.publish({ server })
  if (server._unref) server._acceptor.reference(false)
  server._connectionKey = `${port < 0 ? -1 : address?.includes(':') === false ? 4 : 6}:${address}:${port}`
  process.nextTick(emitListening, server)
}

function lookupAndListen(server: Server, host: string, port: number, backlog: number, options: ListenOptions): void {
  const id = server._listeningId
  dns.lookup(host, (error, address, family) => {
    if (id !== server._listeningId) return
    if (error !== null && error !== undefined) {
      server.emit('error', error)
      return
    }
    begin(server, address, port, () => bindAndListen(server, { family: family === 6 ? 'IPv6' : 'IPv4', address, port }, backlog, options))
  })
}

function listenEverywhere(server: Server, port: number, backlog: number, options: ListenOptions): void {
  begin(server, '::', port, () => {
    try {
      return bindAndListen(server, { family: 'IPv6', address: '::', port }, backlog, options)
    } catch (error) {
      // A machine without IPv6; or one where the port is taken for IPv6 only, which Node tries just as well.
      if (port !== 0 && (error as SystemError).errno === EADDRINUSE) throw error
      return bindAndListen(server, { family: 'IPv4', address: '0.0.0.0', port }, backlog, options)
    }
  })
}

function bindAndListen(server: Server, where: AnyAddress, backlog: number, options: ListenOptions): Acceptor {
  const { kernel } = ownRuntime()
  const fd = check(kernel.socket(where.family), 'socket')
  return closingOnError(kernel, fd, () => {
    kernel.setOption(fd, SocketOption.REUSE_ADDRESS, 1)
    if (where.family === 'IPv6') kernel.setOption(fd, SocketOption.V6_ONLY, options.ipv6Only === true ? 1 : 0)
    if (options.reusePort === true) check(kernel.setOption(fd, SocketOption.REUSE_PORT, 1), 'listen')
    check(kernel.bind(fd, where), 'listen')
    check(kernel.listen(fd, backlog), 'listen')
    return acceptorOn(server, Handle, fd)
  })
}

function listenOnPath(server: Server, path: string, backlog: number, options: ListenOptions): void {
  const { readableAll = false, writableAll = false } = options
  if (path.startsWith('\0') && (readableAll || writableAll)) {
    throw invalidValue('options', 'can not set readableAll or writableAllt to true when path is abstract unix socket', options)
  }
  server._pipeName = path
  begin(server, path, -1, () => {
    const { kernel } = ownRuntime()
    const fd = check(kernel.socket('Unix'), 'socket')
    return closingOnError(kernel, fd, () => {
      check(kernel.bind(fd, { family: 'Unix', path }), 'listen')
      const file = path.startsWith('\0') ? -1 : kernel.socketFile(path)
      const { identity, mode } = typeof file === 'number' ? { identity: null, mode: 0 } : file
      const wider = (mode & 0o777) | (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0)
      if (identity !== null && wider !== (mode & 0o777)) check(kernel.setFileMode(path, identity, wider), 'listen')
      const listening = kernel.listen(fd, backlog)
      if (listening < 0 && identity !== null) kernel.unlink(path)
      check(listening, 'listen')
      const acceptor = acceptorOn(server, NamedHandle, fd)
      if (identity !== null) (acceptor.handle as NamedHandle).file = { path, identity }
      return acceptor
    })
  })
}

/** An fd that is bound, or listens already; somebody else has opened it, and it is the server's from here on. */
function acceptorOfFd(server: Server, fd: number, backlog: number): Acceptor {
  const runtime = ownRuntime()
  const { kernel } = runtime
  const what = kernel.describeFd(fd)
  if (typeof what === 'number') check(what === 0 ? EINVAL : what, 'listen')
  if (typeof what === 'number' || what.is !== 'socket' || what.type !== 'stream') check(EINVAL, 'listen')
  check(kernel.listen(fd, backlog), 'listen')
  kernel.setNonBlocking(fd)
  const handle = Handle.take(runtime, fd)
  return acceptorFor(server, handle)
}

function acceptorOn(server: Server, Kind: typeof Handle, fd: number): Acceptor {
  return acceptorFor(server, Kind.adopt(ownRuntime(), fd))
}

function acceptorFor(server: Server, handle: Handle): Acceptor {
  const address = handle.kernel.localAddress(handle.fd)
  if (typeof address === 'number') {
    handle.close()
    check(address, 'listen')
  }
  return new Acceptor(handle, address as AnyAddress, {
    accepted: (stream) => server._accepted(stream),
    failed: (error) => void server.emit('error', systemError(error.errno, 'accept'))
  })
}

/** `adopt` closes the fd itself when it fails: closing it again would close another's. */
function closingOnError<T>(kernel: Kernel, fd: number, body: () => T): T {
  let adopted = false
  try {
    return body()
  } catch (error) {
    adopted = (error as SystemError).syscall === WATCH_CALL
    if (!adopted) kernel.closeFd(fd)
    throw error
  }
}

function isBlocked(blockList: BlockList, stream: Stream): boolean {
  const remote = stream instanceof Connection ? stream.remoteAddress : undefined
  return remote !== undefined && blockList.check(remote.address, remote.family === 'IPv6' ? 'ipv6' : 'ipv4')
}

function dropData(stream: Stream): DropData | undefined {
  if (!(stream instanceof Connection)) return undefined
  const { localAddress: local, remoteAddress: remote } = stream
  return {
    ...(local === undefined ? {} : { localAddress: local.address, localPort: local.port, localFamily: local.family }),
    ...(remote === undefined ? {} : { remoteAddress: remote.address, remotePort: remote.port, remoteFamily: remote.family })
  }
}

function emitError(server: Server, error: Error): void {
  server.emit('error', error)
}

function emitListening(server: Server): void {
  if (server._acceptor !== null) server.emit('listening')
}

function emitClose(server: Server): void {
  server.emit('close')
}
