/**
 * A socket in the shape of `net.Socket`, over a coreactor stream: what libraries that were written for Node expect. Serves
 * `toNode` and `coreactor/net` alike. How bytes move is for `wire.ts`, how a connection is made for `connecting.ts`.
 *
 * It behaves as Node's does to the word where that can be seen, and where it cannot, `docs/node-net.md` says so.
 */
import { Duplex, type DuplexOptions } from 'node:stream'
import { SocketOption } from '../kernel/layout.js'
import type { Stream } from '../io/stream.js'
import { Connection } from '../net/connection.js'
import { ownRuntime } from '../runtime/current.js'
import { checkFunction, invalidType, invalidValue, outOfRange } from '../task/validate.js'
import type { AnyAddress } from '../kernel/kernel.js'
import { streamOfFd } from './adopt-fd.js'
import { connectArguments, type Callback0, type ConnectOptions } from './arguments.js'
import { Connecting } from './connecting.js'
import { closedBeforeConnection, invalidHandleType, nodeError, socketClosed } from './errors.js'
import { IdleTimer } from './idle-timer.js'
import { Wire, type ReadTarget, type WireUser, type Written } from './wire.js'
import type { Piece } from '../io/write-buffer.js'
import type { BlockList } from 'node:net'

/** Has a socket read into memory of the user's own, and calls in place of 'data'. As `onread` of Node. */
export interface OnRead {
  /** What is received into, again and again; or a function that gives one for each read. */
  buffer: Uint8Array | (() => Uint8Array)
  /** Called with each read. False: read no more until `resume`. */
  callback(count: number, buffer: Uint8Array): boolean
}

/** What `new Socket` takes. As Node's `net.SocketConstructorOpts`. */
export interface SocketOptions {
  fd?: number | undefined
  allowHalfOpen?: boolean | undefined
  readable?: boolean | undefined
  writable?: boolean | undefined
  signal?: AbortSignal | undefined
  onread?: OnRead | undefined
  noDelay?: boolean | undefined
  keepAlive?: boolean | undefined
  /** Milliseconds. */
  keepAliveInitialDelay?: number | undefined
  highWaterMark?: number | undefined
  readableHighWaterMark?: number | undefined
  writableHighWaterMark?: number | undefined
  blockList?: BlockList | undefined
  /**
   * The socket is for `tls` to wrap, or for `http2` without TLS, from its first byte on, and for nobody else: what it emits
   * is valid during the event 'data' only, and a buffer that is written to it is freed when the kernel has taken it, so that
   * it is of no bytes then. That spares the garbage collector two buffers for each record. False by default, and not known
   * to `node:net`.
   */
  wrapped?: boolean | undefined
}

/** What the library itself passes on. */
export interface InternalOptions extends SocketOptions {
  stream?: Stream | undefined
  pauseOnCreate?: boolean | undefined
  manualStart?: boolean | undefined
}

/** What a server gives its connections. */
interface OfServer {
  readonly allowHalfOpen: boolean
  readonly pauseOnConnect: boolean
  readonly highWaterMark: number
  readonly _wrapped: boolean
}

/** The options of a connection that was accepted, as `checkedOptions` would make them, which took 2 us for each. */
export class AcceptedOptions implements InternalOptions {
  readonly stream: Stream
  readonly allowHalfOpen: boolean
  readonly pauseOnCreate: boolean
  readonly wrapped: boolean
  readonly readableHighWaterMark: number
  readonly writableHighWaterMark: number
  readonly readable = true
  readonly writable = true
  readonly emitClose = false
  readonly autoDestroy = true
  readonly decodeStrings = false

  constructor(stream: Stream, { allowHalfOpen, pauseOnConnect, highWaterMark, _wrapped }: OfServer) {
    this.stream = stream
    this.allowHalfOpen = Boolean(allowHalfOpen)
    this.pauseOnCreate = pauseOnConnect
    this.wrapped = _wrapped
    this.readableHighWaterMark = this.writableHighWaterMark = highWaterMark
  }
}

/** Where a socket is bound. As Node's `net.AddressInfo`. */
export interface AddressInfo {
  address: string
  family: string
  port: number
}

/** The longest that a timer of Node's can be. */
const TIMEOUT_MAX = 2 ** 31 - 1

/** A TCP or Unix connection as a stream of Node's. As `net.Socket` of Node. */
export class Socket extends Duplex {
  connecting!: boolean
  /** The idle timeout in milliseconds, as `setTimeout` has set it. */
  timeout?: number
  autoSelectFamilyAttemptedAddresses!: string[]
  /** The server that has accepted it; http has its own meaning for it. */
  server!: unknown
  resetAndClosing?: boolean
  _hadError!: boolean
  _parent!: null
  _host!: string | null
  _server!: Counting | null
  _pendingData!: string | Uint8Array | readonly Piece[] | null
  _pendingEncoding!: BufferEncoding | ''
  _aborted?: boolean
  /** @internal */
  _wire!: Wire | null
  /** @internal */
  _dialling!: Connecting | null
  /** @internal */
  _idle!: IdleTimer | null
  /** @internal Null: not known. */
  _noDelay!: boolean | null
  /** @internal */
  _keepAlive!: boolean
  /** @internal Seconds. */
  _keepAliveDelay!: number
  /** @internal */
  _referenced!: boolean
  /** @internal */
  _target!: ReadTarget | null
  /** @internal */
  _wrapped!: boolean
  /** @internal What the wire had left, and had sent, when the idle timer looked last. */
  _progress!: number
  /** @internal Of a socket that was closed. */
  _bytes!: { read: number; written: number }
  /** @internal Connected when it was made. */
  _given!: boolean
  /** @internal */
  _peer!: AddressInfo | null
  /** @internal */
  _blockList!: BlockList | null
  /** @internal */
  _signal!: AbortSignal | null

  constructor(options?: SocketOptions | number) {
    const checked = checkedOptions(options)
    super(checked as DuplexOptions)
    prepare(this, checked)
  }

  get pending(): boolean {
    return this._wire === null || this.connecting
  }

  get _connecting(): boolean {
    return this.connecting
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  get bufferSize(): number {
    return this._wire === null && !this.connecting ? (undefined as unknown as number) : this.writableLength
  }

  get bytesRead(): number {
    return this._wire === null ? this._bytes.read : this._wire.stream.bytesRead
  }

  get _bytesDispatched(): number {
    return this._wire === null ? this._bytes.written : dispatched(this._wire)
  }

  get bytesWritten(): number {
    let bytes = this._bytesDispatched
    const { _pendingData: data } = this
    const { writableBuffer } = this as unknown as { writableBuffer: readonly Piece[] | undefined }
    if (writableBuffer === undefined) return undefined as unknown as number
    for (const { chunk, encoding } of writableBuffer) bytes += byteLength(chunk, encoding)
    if (Array.isArray(data)) for (const { chunk, encoding } of data as readonly Piece[]) bytes += byteLength(chunk, encoding)
    else if (data !== null) bytes += byteLength(data as string | Uint8Array, this._pendingEncoding || 'utf8')
    return bytes
  }

  get remoteAddress(): string | undefined {
    return peerOf(this)?.address
  }

  get remoteFamily(): string | undefined {
    return peerOf(this)?.family
  }

  get remotePort(): number | undefined {
    return peerOf(this)?.port
  }

  get localAddress(): string | undefined {
    return localOf(this)?.address
  }

  get localPort(): number | undefined {
    return localOf(this)?.port
  }

  get localFamily(): string | undefined {
    return localOf(this)?.family
  }

  address(): AddressInfo | Record<string, never> {
    return localOf(this) ?? {}
  }

  connect(options: ConnectOptions, connected?: Callback0): this
  connect(port: number | string, host: string, connected?: Callback0): this
  connect(port: number | string, connected?: Callback0): this
  connect(path: string, connected?: Callback0): this
  connect(...args: unknown[]): this {
    return this._connect(...connectArguments(args))
  }

  /** @internal */
  _connect(options: ConnectOptions, connected: Callback0 | null): this {
    if (connected !== null) this.once('connect', connected)
    if (this._given && this._wire !== null) {
      process.nextTick(emitConnected, this)
      return this
    }
    // Given up before it has begun: it stays closed.
    if (this.destroyed && this._signal?.aborted === true) return this
    if (Object.hasOwn(this, 'write')) Reflect.deleteProperty(this, 'write')
    if (this.destroyed) renew(this)
    this._dialling?.cancel()
    this._unrefTimer()
    const connecting = (this._dialling = new Connecting(this, options))
    connecting.begin()
    return this
  }

  setTimeout(ms: number, callback?: Callback0): this {
    if (this.destroyed) return this
    this.timeout = ms
    const patience = checkedTimeout(ms)
    if (callback !== undefined) checkFunction('callback', callback)
    if (patience > 0 || this._idle !== null) {
      this._idle ??= new IdleTimer(this._wire?.stream.handle.runtime ?? ownRuntime(), () => this._onTimeout())
      this._idle.set(patience)
    }
    if (callback !== undefined) {
      if (patience === 0) this.removeListener('timeout', callback)
      else this.once('timeout', callback)
    }
    return this
  }

  _unrefTimer(): void {
    if (this._idle !== null) this._idle.refresh()
  }

  _onTimeout(): void {
    const { _wire: wire } = this
    // A write that goes on, however slowly, is no idleness.
    if (wire !== null && wire.unsent > 0 && wire.stream.bytesWritten !== this._progress) {
      this._progress = wire.stream.bytesWritten
      this._idle?.set(this.timeout as number)
      return
    }
    this.emit('timeout')
  }

  setNoDelay(on?: boolean): this {
    const enable = on === undefined ? true : Boolean(on)
    if (this._noDelay === enable) return this
    this._noDelay = enable
    if (this._wire !== null) setOption(this._wire, SocketOption.NO_DELAY, enable ? 1 : 0)
    return this
  }

  setKeepAlive(on?: boolean, initialDelay?: number): this {
    const enable = Boolean(on)
    const delay = ~~((initialDelay as number) / 1000)
    const same = this._keepAlive === enable && (!enable || this._keepAliveDelay === delay)
    this._keepAlive = enable
    this._keepAliveDelay = delay
    if (this._wire !== null && !same) applyKeepAlive(this, this._wire)
    return this
  }

  ref(): this {
    this._referenced = true
    this._wire?.reference(true)
    return this
  }

  unref(): this {
    this._referenced = false
    this._wire?.reference(false)
    return this
  }

  override end(...args: unknown[]): this {
    ;(Duplex.prototype.end as (...args: unknown[]) => unknown).apply(this, args)
    return this
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  resetAndDestroy(): this {
    if (this.connecting) {
      if (this._dialling?.isUnix === true) throw invalidHandleType()
      this.once('connect', () => this._reset())
    } else if (this._wire === null) {
      this.destroy(socketClosed())
    } else if (!(this._wire.stream instanceof Connection)) {
      throw invalidHandleType()
    } else {
      this._reset()
    }
    return this
  }

  _reset(): this {
    this.resetAndClosing = true
    return this.destroy()
  }

  override pause(): this {
    if (this._target !== null) this._wire?.stopReading()
    return super.pause()
  }

  override resume(): this {
    if (this._target !== null) this._wire?.startReading()
    return super.resume()
  }

  override read(size?: number): unknown {
    if (this._target !== null) this._wire?.startReading()
    return super.read(size)
  }

  override _read(size: number): void {
    if (this.connecting || this._wire === null) this.once('connect', () => this._read(size))
    else this._wire.startReading()
  }

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, done: Written): void {
    const { _wire: wire } = this
    if (wire === null || this.connecting) return this._writeLater(chunk, encoding, done, () => this._write(chunk, encoding, done))
    if (this._idle !== null) this._idle.refresh()
    wire.write(chunk, encoding, done)
    this._progress = -1
  }

  override _writev(pieces: Piece[], done: Written): void {
    const { _wire: wire } = this
    if (wire === null || this.connecting) return this._writeLater(pieces, '', done, () => this._writev(pieces, done))
    if (this._idle !== null) this._idle.refresh()
    wire.writeAll(pieces, done)
    this._progress = -1
  }

  private _writeLater(
    data: string | Uint8Array | readonly Piece[],
    encoding: BufferEncoding | '',
    done: Written,
    write: () => void
  ): void {
    if (!this.connecting) return done(socketClosed())
    this._pendingData = data
    this._pendingEncoding = encoding
    const closed = (): void => done(closedBeforeConnection())
    this.once('connect', () => {
      this.off('close', closed)
      this._pendingData = null
      this._pendingEncoding = ''
      write()
    })
    this.once('close', closed)
  }

  override _final(done: Written): void {
    if (this.connecting) {
      this.once('connect', () => this._final(done))
      return
    }
    // Never connected: waits for it, as Node's does.
    if (this._wire === null) {
      if (this.destroyed) done()
      else this.once('connect', () => this._final(done))
      return
    }
    // Told later, as by libuv: whoever waits for 'end' in an async function still finds the socket there.
    setImmediate(done, this._wire.shutdown())
  }

  /** Also called before `prepare`: by the constructor of a Duplex, with a signal that is aborted already. */
  override _destroy(error: Error | null, done: Written): void {
    this.connecting = false
    const { _wire: wire, _dialling: dialling, _server: server } = this
    this._idle?.stop()
    this._idle = null
    if (wire || dialling) {
      const hadError = error !== null && error !== undefined
      this._dialling = null
      dialling?.cancel()
      if (wire) {
        this._bytes = { read: wire.stream.bytesRead, written: dispatched(wire) }
        this._wire = null
        wire.close(this.resetAndClosing === true)
        this.resetAndClosing = false
      }
      done(error)
      setImmediate(emitClose, this, hadError)
    } else {
      done(error)
      process.nextTick(emitClose, this, undefined)
    }
    if (server) {
      server._connections--
      server._emitCloseIfDrained?.()
    }
  }

  /** @internal The stream is there. */
  _open(stream: Stream): void {
    this._wire = new Wire(stream, new Told(this))
    this._wire.target = this._target
    this._wire.lends = this._wrapped
    if (!this._referenced) this._wire.reference(false)
  }

  /** @internal `connect` has succeeded. */
  _connected(stream: Stream): void {
    this._dialling = null
    this.connecting = false
    this._open(stream)
    const wire = this._wire as Wire
    this._unrefTimer()
    if (this._noDelay === true) setOption(wire, SocketOption.NO_DELAY, 1)
    if (this._keepAlive) applyKeepAlive(this, wire)
    emitConnected(this)
    if (!this.isPaused()) this.read(0)
  }
}

/** What a wire tells a socket. An object for each, as four functions of each would be as many. */
class Told implements WireUser {
  private readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
  }

  received(chunk: Buffer): boolean {
    const { socket } = this
    socket._unrefTimer()
    if (!socket.push(chunk)) socket._wire?.stopReading()
    return socket.readableLength > 0
  }

  ended(): void {
    const { socket } = this
    socket._unrefTimer()
    socket.push(null)
    socket.read(0)
  }

  failed(error: Error): void {
    this.socket.destroy(error)
  }

  closed(): void {
    this.socket.destroy()
  }
}

/** A server, as its connections see it. http servers are some, too. */
export interface Counting {
  _connections: number
  _emitCloseIfDrained?(): void
}

/** Checks them, and makes what a Duplex understands. */
export function checkedOptions(options: InternalOptions | number | undefined): InternalOptions {
  if (options instanceof AcceptedOptions) return options
  const given = options as (InternalOptions & DuplexOptions) | undefined
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if (given?.[name]) throw invalidValue(`options.${name}`, 'is not supported', given[name])
  }
  const delay: unknown = given?.keepAliveInitialDelay
  if (delay !== undefined && typeof delay !== 'number') {
    throw invalidType('options.keepAliveInitialDelay', 'of type number', delay)
  }
  const own: InternalOptions = typeof options === 'number' ? { fd: options } : { ...options }
  return Object.assign(own, {
    allowHalfOpen: Boolean(own.allowHalfOpen),
    emitClose: false,
    autoDestroy: true,
    decodeStrings: false
  })
}

/** What a socket is before anything happens. Not in the constructor, for those who call it without `new`. */
export function prepare(socket: Socket, options: InternalOptions): void {
  socket.connecting = false
  socket._hadError = false
  socket._parent = null
  socket._host = null
  socket._wire = null
  socket._dialling = null
  socket._idle = null
  socket._noDelay = Boolean(options.noDelay)
  socket._keepAlive = Boolean(options.keepAlive)
  socket._keepAliveDelay = ~~(Math.max(0, options.keepAliveInitialDelay ?? 0) / 1000)
  socket._referenced = true
  socket._target = targetOf(options.onread)
  socket._wrapped = checkedFlag('wrapped', options.wrapped)
  socket._progress = -1
  socket._bytes = { read: 0, written: 0 }
  socket._given = false
  socket._peer = null
  socket._blockList = checkedBlockList(options.blockList)
  socket._signal = options.signal ?? null
  socket._pendingData = null
  socket._pendingEncoding = ''
  socket.server = null
  socket._server = null
  socket.on('end', endOfReading)

  const stream = options.stream ?? (options.fd === undefined ? null : streamOfFd(options.fd))
  if (stream !== null) {
    socket._open(stream)
    if (options.readable !== false) {
      if (options.pauseOnCreate === true) (socket as { readableFlowing: boolean | null }).readableFlowing = false
      else if (options.manualStart !== true) socket.read(0)
    }
  }
  if (options.signal !== undefined) watchSignal(socket, options.signal)
}

/** @internal A socket that was closed and connects once more. */
function renew(socket: Socket): void {
  ;(socket as unknown as { _undestroy(): void })._undestroy()
  socket._peer = null
  socket._bytes = { read: 0, written: 0 }
}

function watchSignal(socket: Socket, signal: AbortSignal): void {
  const aborted = (): void => {
    signal.removeEventListener('abort', aborted)
    socket._aborted = true
  }
  if (signal.aborted) process.nextTick(aborted)
  else {
    signal.addEventListener('abort', aborted)
    socket.once('close', () => signal.removeEventListener('abort', aborted))
  }
}

export function checkedFlag(name: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw invalidType(`options.${name}`, 'of type boolean', value)
  return value === true
}

export function checkedBlockList(list: unknown): BlockList | null {
  if (list === undefined || list === null) return null
  if (typeof (list as BlockList).check !== 'function') throw invalidType('options.blockList', 'an instance of net.BlockList', list)
  return list as BlockList
}

/** Node ignores what is no such option. */
function targetOf(onread: OnRead | undefined): ReadTarget | null {
  if (onread === null || typeof onread !== 'object' || typeof onread.callback !== 'function') return null
  const { buffer, callback } = onread
  const isFunction = typeof buffer === 'function'
  if (!isFunction && !(buffer instanceof Uint8Array)) return null
  return {
    buffer: () => (isFunction ? buffer() : buffer),
    received: (count, into) => callback(count, into) !== false
  }
}

function endOfReading(this: Socket): void {
  // A better word for a write after the end that the peer has caused than "write after end".
  if (!this.allowHalfOpen) this.write = writeAfterEnd as typeof this.write
}

function writeAfterEnd(this: Socket, chunk: unknown, encoding?: unknown, done?: unknown): boolean {
  if (!this.writableEnded) return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, done as Written)
  const told = typeof encoding === 'function' ? encoding : done
  const error = nodeError('EPIPE', 'This socket has been ended by the other party')
  if (typeof told === 'function') process.nextTick(told as Written, error)
  this.destroy(error)
  return false
}

function emitConnected(socket: Socket): void {
  if (socket.destroyed) return
  socket.emit('connect')
  socket.emit('ready')
}

function emitClose(socket: Socket, hadError: boolean | undefined): void {
  if (hadError === undefined) socket.emit('close')
  else socket.emit('close', hadError)
}

function checkedTimeout(ms: unknown): number {
  if (typeof ms !== 'number') throw invalidType('msecs', 'of type number', ms)
  if (ms < 0 || !Number.isFinite(ms)) throw outOfRange('msecs', 'a non-negative finite number', ms)
  if (ms <= TIMEOUT_MAX) return ms
  const message = `${ms} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${TIMEOUT_MAX}.`
  process.emitWarning(message, 'TimeoutOverflowWarning')
  return TIMEOUT_MAX
}

/** What was handed over, whether or not the kernel has it. */
function dispatched({ stream }: Wire): number {
  return stream.bytesWritten + stream.bufferedBytes
}

function byteLength(chunk: string | Uint8Array, encoding: BufferEncoding): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}

/** Options that the kind of socket does not have are ignored, as by Node. */
function setOption({ stream }: Wire, option: number, value: number): void {
  if (stream instanceof Connection && !stream.closed) stream.handle.kernel.setOption(stream.handle.fd, option, value)
}

function applyKeepAlive(socket: Socket, wire: Wire): void {
  setOption(wire, SocketOption.KEEP_ALIVE, socket._keepAlive ? 1 : 0)
  if (!socket._keepAlive || socket._keepAliveDelay <= 0) return
  setOption(wire, SocketOption.KEEP_ALIVE_IDLE, socket._keepAliveDelay)
  // What libuv sets along with it.
  setOption(wire, SocketOption.KEEP_ALIVE_INTERVAL, 1)
  setOption(wire, SocketOption.KEEP_ALIVE_COUNT, 10)
}

/** Asked for once, so that it is known when the peer is gone. */
function peerOf(socket: Socket): AddressInfo | null {
  if (socket._peer !== null) return socket._peer
  const { _wire: wire } = socket
  if (wire === null || !(wire.stream instanceof Connection)) return null
  return (socket._peer = infoOf(wire.stream.remoteAddress))
}

function localOf({ _wire: wire }: Socket): AddressInfo | null {
  return wire === null || !(wire.stream instanceof Connection) ? null : infoOf(wire.stream.localAddress)
}

export function infoOf(address: AnyAddress | undefined): AddressInfo | null {
  return address === undefined || address.family === 'Unix'
    ? null
    : { address: address.address, family: address.family, port: address.port }
}
