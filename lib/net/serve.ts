/** A TCP server: accepts, and runs a handler in a task of its own for every connection. */
import { addressText, SystemError } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress, UnixAddress } from '../kernel/kernel.js'
import { ambientScope } from '../task/ambient.js'
import { enterScope } from '../task/enter-scope.js'
import { dispose } from '../task/dispose.js'
import { TaskCancelledError } from '../task/errors.js'
import { cancelOnAbort, checkSignal } from '../task/abort.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
import type { Task } from '../task/task.js'
import type { Body, Coroutine, Op, Waiter } from '../task/types.js'
import { checkFunction, checkInteger, checkMilliseconds, invalidType, invalidValue } from '../task/validate.js'
import { timeout, TimeoutError } from '../time/timeout.js'
import { acceptFor, type Host } from './accept-policy.js'
import type { Connection } from './connection.js'
import {
  ConnectionEvictedError,
  Eviction,
  evictionLimits,
  type ConnectionTimeouts,
  type EvictionLimit,
  type EvictionLimits,
  type MinimumRate
} from './eviction.js'
import { listening, type Listener, type ListenFdOptions, type ListenOptions } from './listener.js'
import { proxyReceiver, type ProxyProtocolOptions, type ReceiveProxy } from './proxy-protocol.js'
import { Served, type Ending, type ServedBy } from './served.js'
import type { UnixConnection } from './unix-connection.js'
import { listeningUnix, type UnixListenOptions } from './unix-listener.js'
import { isUnix } from './unix-path.js'

/** What serves a connection: it is closed when this has ended. */
export type Handler = Body<[Connection], void>

/** Options of `serve`, whatever it listens on. */
export interface ServerOptions {
  /** Connections at a time; more wait to be accepted. No limit by default. */
  limit?: number | undefined
  /**
   * Connections at a time from one IP address; more are reset as soon as they have been accepted. No limit by default.
   * With `proxyProtocol` it is the client's address, and the header comes first; behind any other proxy all come from one.
   */
  perAddressLimit?: number | undefined
  /** How long a connection may take before it is evicted. */
  timeouts?: ConnectionTimeouts | undefined
  /**
   * Evicts whoever sends and takes fewer than `bytes` in `per` milliseconds, twice without doing better in between. So an
   * exchange of `2 * bytes` never counts as slow, and neither does silence, which is for `timeouts.idle`.
   */
  minRate?: MinimumRate | undefined
  /** Milliseconds that closing waits for the peer's end after the handler has ended: see `Connection.close`. */
  linger?: number | undefined
  /**
   * Hears of a handler that failed, while its connection is still there. By default the error is printed, unless it only
   * says that the peer went away (`ECONNRESET`, `EPIPE`, `ETIMEDOUT`). The connection is closed then, and the server goes
   * on; to have it fail instead, throw the error again. Evictions and cancellations are no failures.
   */
  onError?: ((error: unknown, connection: Connection) => void) | undefined
  /** Closes the server when it is aborted: handlers are cancelled. */
  signal?: AbortSignal | undefined
  /**
   * Whether connections come through a proxy, and begin with a header that says for whom (PROXY protocol 1 or 2): the
   * handler runs once it has been read, and `remoteAddress` and `localAddress` of the connection are the client's then,
   * see also `Connection.proxy`. A bad header, or none in time, is a `ProxyProtocolError` for `onError`, and the
   * connection is reset. The proxy's own connections (`LOCAL`: health checks) are handled, too; what ends without a byte
   * is not.
   */
  proxyProtocol?: boolean | ProxyProtocolOptions | undefined
}

/** A server at one address. */
export interface ServeOptions extends ListenOptions, ServerOptions {}

/** A server at one socket that listens already. */
export interface ServeFdOptions extends ListenFdOptions, ServerOptions {}

/** A server at a Unix socket, of streams. */
export interface UnixServeOptions extends UnixListenOptions, Omit<ServerOptions, 'onError' | 'proxyProtocol'> {
  type?: 'stream' | undefined
  onError?: ((error: unknown, connection: UnixConnection) => void) | undefined
}

/** A server at several. */
export interface ServeManyOptions extends ServerOptions {
  /** At least one. When one of them cannot be listened on, none is. */
  listen: readonly (ListenOptions | ListenFdOptions)[]
}

/** Options of `Server.close`. */
export interface CloseOptions {
  /** Milliseconds that handlers may take to end by themselves before they are cancelled; 0 by default. */
  grace?: number | undefined
}

/** What has become of the connections: `accepted` is the sum of `open`, `completed`, `failed`, `cancelled` and `evicted`. */
export interface ServerStatistics {
  readonly open: number
  /** Without those that were refused. */
  readonly accepted: number
  /** The handler has returned, and everything was sent. */
  readonly completed: number
  /** The handler has failed, or the rest of what it wrote could not be sent. */
  readonly failed: number
  /** The handler was cancelled: by `close`, the scope or the signal. */
  readonly cancelled: number
  readonly evicted: Readonly<Record<EvictionLimit, number>>
  /** Reset because of `perAddressLimit`. */
  readonly refused: number
  /** Accepting pauses now, on one address at least, because the system is short of fds or memory. */
  readonly paused: boolean
  /** How often it has begun to pause. */
  readonly shortages: number
  /** Of all connections that were accepted, the open ones included. */
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** A server that runs; `serve` starts one. */
export class Server<A extends AnyAddress = SocketAddress> implements Host<Connection>, ServedBy {
  /** Where it listens; of several, the first. */
  readonly address: A
  /** Everywhere it listens, in the order of the options. */
  readonly addresses: readonly A[]
  private readonly listeners: readonly Listener[]
  /** @internal */
  readonly handler: Handler
  private readonly limit: number
  private readonly perAddressLimit: number
  private readonly limits: EvictionLimits | null
  /** @internal */
  readonly closing: { linger: number } | undefined
  /** @internal */
  readonly receiveProxy: ReceiveProxy | null
  /** @internal */
  readonly failed: (error: unknown, connection: Connection) => void
  /** Acceptors that wait until one more connection is allowed. */
  private waiting: Waiter[] = []
  private acceptors: Task<void>[] = []
  /** Invariant: a list through `older` of what is open. */
  private newest: Served | null = null
  private open = 0
  /** How many are open from each address; empty without `perAddressLimit`. */
  private readonly peers = new Map<string, number>()
  private readonly ended: Record<Ending, number> = { completed: 0, failed: 0, cancelled: 0 }
  private readonly evicted: Record<EvictionLimit, number> = { connection: 0, idle: 0, firstByte: 0, minRate: 0 }
  private refused = 0
  private paused = 0
  private shortages = 0
  /** Of connections that have ended. */
  private bytesRead = 0
  private bytesWritten = 0
  /** Runs until the server has been closed and the last handler has ended. */
  private readonly task: Task<void>
  /** The scope of the handlers; null before and after it. */
  private handlers: Scope | null = null

  /** @internal Use `serve`. */
  constructor(listeners: readonly Listener[], handler: Handler, options: ServerOptions, owner: Scope) {
    this.listeners = listeners
    this.addresses = listeners.map(({ address }) => address as AnyAddress as A)
    this.address = this.addresses[0] as A
    this.handler = handler
    this.limit = options.limit ?? Infinity
    this.perAddressLimit = options.perAddressLimit ?? Infinity
    this.limits = evictionLimits(options.timeouts, options.minRate)
    this.closing = options.linger === undefined ? undefined : { linger: options.linger }
    this.receiveProxy = proxyReceiver(options.proxyProtocol)
    this.failed = options.onError ?? printError
    this.task = owner.spawn(this.run.bind(this), options.signal)
    const { address } = this as { address: AnyAddress }
    this.task.name = address.family === 'Unix' ? `serve ${addressText(address)}` : `serve :${address.port}`
  }

  /** Connections whose handler has not ended. */
  get connections(): number {
    return this.open
  }

  /** What has happened so far, and what is so now. Costs a step for each open connection. */
  statistics(): ServerStatistics {
    const { open, ended, evicted, refused, shortages } = this
    let { bytesRead, bytesWritten } = this
    for (let served = this.newest; served !== null; served = served.older) {
      bytesRead += served.connection.bytesRead
      bytesWritten += served.connection.bytesWritten
    }
    const gone = [...Object.values(ended), ...Object.values(evicted)].reduce((sum, count) => sum + count)
    return {
      open,
      accepted: open + gone,
      ...ended,
      evicted: { ...evicted },
      refused,
      paused: this.paused > 0,
      shortages,
      bytesRead,
      bytesWritten
    }
  }

  /**
   * Stops accepting, gives the handlers `grace` milliseconds to end, cancels those that have not, and resets what they
   * leave unsent. With grace, connections that wait to be accepted are still taken in, up to the limit; without, or beyond
   * it, the system resets them. Completes when the listeners and all handlers are gone; from inside a handler it cancels that one, too.
   * Idempotent, and a second one with less grace is heeded. On cancel of this wait the handlers are cancelled at once.
   */
  close(options: CloseOptions = {}): Op<void> {
    const { grace = 0 } = options
    checkMilliseconds('options.grace', grace)
    return op(() => this.shutDown(grace))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await dispose(this.close())
  }

  /** @internal */
  get full(): boolean {
    return this.open >= this.limit
  }

  /** @internal */
  await(acceptor: Waiter): void {
    this.waiting.push(acceptor)
  }

  /** @internal */
  leave(acceptor: Waiter): void {
    if (this.waiting.length > 0) this.waiting = this.waiting.filter((waiting) => waiting !== acceptor)
  }

  /** @internal */
  shortage(paused: boolean): void {
    if (paused) this.shortages++
    this.paused += paused ? 1 : -1
  }

  /** @internal */
  accepted(connection: Connection): void {
    const served = new Served(connection, this)
    // Behind a proxy only the header says whose it is.
    if (this.receiveProxy === null && !this.admits(served)) {
      this.refused++
      return
    }
    this.open++
    this.link(served)
    served.task = (this.handlers as Scope).advance<void>(served, this.handler, 'connection')
    const { limits } = this
    if (limits === null) return
    const { timers } = connection.handle.runtime
    served.eviction = new Eviction(limits, connection, timers, (limit) => this.evict(served, limit))
  }

  /** @internal Counts one more from its address; if that is one too many, the connection is reset. */
  admits(served: Served): boolean {
    const peer = this.perAddressLimit === Infinity ? undefined : peerOf(served.connection)
    if (peer === undefined) return true
    const count = this.peers.get(peer) ?? 0
    if (count >= this.perAddressLimit) {
      served.peer = null
      served.connection.reset()
      return false
    }
    this.peers.set(peer, count + 1)
    served.peer = peer
    return true
  }

  private *shutDown(grace: number): Coroutine<void> {
    const { task } = this
    if (grace > 0) this.acceptWaiting()
    this.stopListening()
    try {
      if (grace > 0) {
        yield* timeout(grace, () => ended(task))
      }
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error
    } finally {
      this.handlers?.cancel(CLOSING)
    }
    yield* ended(task)
  }

  /** Those whose connection the system has made already are served like the others, and not reset by it. */
  private acceptWaiting(): void {
    if (this.handlers === null || this.handlers.cancelled) return
    for (const listener of this.listeners) listener.acceptWaiting(this, MOST_WAITING)
  }

  private stopListening(): void {
    for (const { handle } of this.listeners) handle.close()
    // They may be waiting for something else, in a shortage or at the limit.
    for (const acceptor of this.acceptors) acceptor.cancel(CLOSING)
  }

  /** The server's own task: a scope that holds the acceptors and the handlers. */
  private *run(signal: AbortSignal | undefined): Coroutine<void> {
    let forget: (() => void) | undefined
    try {
      yield* enterScope(this.acceptAll.bind(this), {
        entered: (handlers) => {
          this.handlers = handlers
          if (signal !== undefined) forget = cancelOnAbort(handlers, signal)
        }
      })
    } finally {
      forget?.()
      this.handlers = null
      for (const { handle } of this.listeners) handle.close()
    }
  }

  /** Its scope waits for the acceptors, and lives for as long as one of them does. */
  private *acceptAll(handlers: Scope): Coroutine<void> {
    this.acceptors = this.listeners.map((listener) => handlers.spawn(acceptFor, this, listener))
  }

  private evict(served: Served, limit: EvictionLimit): void {
    served.evicted = limit
    ;(served.task as Task).cancel(new ConnectionEvictedError(limit))
    served.connection.reset()
  }

  /** @internal */
  release(served: Served, ending: Ending): void {
    const { connection, peer } = served
    served.eviction?.stop()
    connection.abandon()
    this.bytesRead += connection.bytesRead
    this.bytesWritten += connection.bytesWritten
    if (served.evicted !== null) this.evicted[served.evicted]++
    else if (peer === null) this.refused++
    else this.ended[ending]++
    if (typeof peer === 'string') {
      const count = (this.peers.get(peer) as number) - 1
      if (count === 0) this.peers.delete(peer)
      else this.peers.set(peer, count)
    }
    this.unlink(served)
    this.open--
    for (const acceptor of this.waiting) acceptor.wake()
  }

  private link(served: Served): void {
    const { newest } = this
    served.older = newest
    if (newest !== null) newest.newer = served
    this.newest = served
  }

  private unlink({ newer, older }: Served): void {
    if (newer === null) this.newest = older
    else newer.older = older
    if (older !== null) older.newer = newer
  }
}

const CLOSING = 'the server is closing'

/** So many are taken in by a server that closes: more come than it can hold otherwise, in a flood that does not end. */
const MOST_WAITING = 4096

/** What `::` makes of an IPv4 address: the same peer as it is at `0.0.0.0`. */
const MAPPED = '::ffff:'

/** Undefined: it has gone already. */
function peerOf({ remoteAddress }: Connection): string | undefined {
  const address = remoteAddress?.address
  return address?.startsWith(MAPPED) === true ? address.slice(MAPPED.length) : address
}

/** Waits for the server's task. That it was cancelled, because the scope that it is in was, is an end like any other. */
function* ended(task: Task<void>): Coroutine<void> {
  try {
    yield* task
  } catch (error) {
    if (!(error instanceof TaskCancelledError)) throw error
  }
}

/** Errors that only say that the peer went away. */
const DISCONNECTS = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

function printError(error: unknown): void {
  if (error instanceof SystemError && DISCONNECTS.has(error.code)) return
  console.error('coreactor: a connection handler failed:', error)
}

/**
 * Listens, and runs `handler` for every connection in a task of its own; completes as soon as it listens. The server
 * is a task of the current scope, which therefore waits for it: until `close`, or until the scope is cancelled. When a
 * handler ends, its connection is closed, after what it wrote has been sent. A handler that fails is reported to
 * `onError`, and the server lives; an `onError` that throws ends the server with that error.
 *
 * It listens at one address, or with `listen` at several; each may be an `fd` that listens already (`listenFds`). Out of
 * fds or memory, accepting pauses (100 ms doubling to 1 s) with one warning for each address. An acceptor takes part in the
 * turn like any other task, so a flood of connections holds nobody up.
 *
 * A connection that exceeds `timeouts` or `minRate` is evicted: it is reset, and its handler is cancelled with a
 * `ConnectionEvictedError` (`ERR_COREACTOR_EVICTED`) as the reason. That is counted, and not reported to `onError`.
 *
 * Errors: those of `listen`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * function* echo(connection: Connection): Coroutine<void> {
 *   for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
 * }
 * const server = yield* serve({ port: 7000, host: '127.0.0.1' }, echo)
 * const timeouts = { firstByte: 5_000, idle: 60_000 }
 * const guarded = yield* serve({ listen: [{ port: 80 }, { port: 8080 }], perAddressLimit: 100, timeouts }, echo)
 */
export function serve(options: ServeOptions | ServeFdOptions | ServeManyOptions, handler: Handler): Op<Server>
/** The same at a Unix socket: see `listen` for its name and its file. `perAddressLimit` counts nobody there. */
export function serve(options: UnixServeOptions, handler: Body<[UnixConnection], void>): Op<Server<UnixAddress>>
export function serve(
  where: ServeOptions | ServeFdOptions | ServeManyOptions | UnixServeOptions,
  handle: Handler | Body<[UnixConnection], void>
): Op<Server<any>> {
  checkFunction('handler', handle)
  const openings = placesOf(where)
  // A server does with a connection what all streams can do.
  const options = where as ServerOptions
  const handler = handle as Handler
  checkOptions(options)
  if (options.proxyProtocol !== undefined && isUnix(where)) {
    throw invalidValue('options.proxyProtocol', 'is for TCP: at a Unix socket, see readProxyHeader', options.proxyProtocol)
  }
  // That of whoever calls: inside a combinator the operation runs in a scope that ends with it.
  const owner = ambientScope()
  return op(function* () {
    const listeners: Listener[] = []
    try {
      for (const open of openings) listeners.push((yield* open()) as unknown as Listener)
    } catch (error) {
      for (const { handle } of listeners) handle.close()
      throw error
    }
    return new Server(listeners, handler, options, owner)
  })
}

/** What opens each of the places where it is to listen. */
function placesOf(options: ServeOptions | ServeFdOptions | ServeManyOptions | UnixServeOptions): readonly Opening[] {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  if (isUnix<UnixServeOptions>(options)) {
    if (options.type === undefined || options.type === 'stream') return [listeningUnix<UnixConnection>(options)]
    const how = "for messages, listen({ path, type: 'seqpacket' }) and spawn a task for each connection that it accepts"
    throw invalidValue('options.type', `must be 'stream': ${how}`, options.type)
  }
  if (!('listen' in options)) return [listening(options)]
  const { listen } = options
  if (!Array.isArray(listen)) throw invalidType('options.listen', 'an array', listen)
  if (listen.length === 0) throw invalidValue('options.listen', 'must not be empty', listen)
  return listen.map((each: ListenOptions | ListenFdOptions) => listening(each))
}

type Opening = ReturnType<typeof listening> | ReturnType<typeof listeningUnix<UnixConnection>>

function checkOptions({ limit, perAddressLimit, timeouts, minRate, linger, onError, signal, proxyProtocol }: ServerOptions): void {
  for (const [name, most] of Object.entries({ limit, perAddressLimit })) {
    if (most !== undefined && most !== Infinity) checkInteger(`options.${name}`, most, 1, Number.MAX_SAFE_INTEGER)
  }
  evictionLimits(timeouts, minRate)
  proxyReceiver(proxyProtocol)
  if (linger !== undefined) checkMilliseconds('options.linger', linger)
  if (onError !== undefined) checkFunction('options.onError', onError)
  if (signal !== undefined) checkSignal(signal)
}
