/** Opening a TCP connection: what may be asked for, and which way it goes. */
import { lookup, familyOf, type LookupOptions } from '../blocking/lookup.js'
import type { SystemError } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress } from '../kernel/kernel.js'
import { checkSignal } from '../task/abort.js'
import { enterAbortable } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkInteger, checkMilliseconds, invalidType, invalidValue, outOfRange } from '../task/validate.js'
import { timeout } from '../time/timeout.js'
import { endpoint, LOCALHOST, LOOPBACK, numericAddress, type AddressOptions, type NamedAddress } from './address.js'
import { Attempt, type SocketSettings } from './attempt.js'
import { checkKeepAlive, type Connection, type KeepAliveOptions } from './connection.js'
import { ConnectError, connectToFirst, interleave } from './happy-eyeballs.js'
import type { SeqpacketConnection } from './seqpacket.js'
import { connectUnix, type UnixConnectOptions } from './unix-connect.js'
import type { UnixConnection } from './unix-connection.js'
import { isUnix } from './unix-path.js'

/** How long connecting may go on, whatever to. */
export interface ConnectBounds {
  /** Milliseconds for all of it, a lookup included; then `TimeoutError`. By default as long as the system tries. */
  timeout?: number | undefined
  /** Gives up when it is aborted; its reason is thrown then. */
  signal?: AbortSignal | undefined
}

/** Where `connect` connects to, and how long it may take. */
export interface ConnectOptions extends AddressOptions, ConnectBounds {
  /** Of the addresses of a name, those of this family only: 4, 6, or 0 for both, as by default. */
  family?: LookupOptions['family']
  /** Milliseconds between the attempts at two addresses of a name: 250 by default, 10 at least. */
  attemptDelay?: number | undefined
  /** The address to connect from. */
  localAddress?: string | undefined
  /** The port to connect from. By default the system chooses. */
  localPort?: number | undefined
  /** Whether small segments go out at once; true by default. */
  noDelay?: boolean | undefined
  /** Whether, and how, the system probes a silent peer; not by default. */
  keepAlive?: boolean | KeepAliveOptions | undefined
  /**
   * TCP Fast Open, where the system has it: the first write travels with the connection request to a server that has
   * allowed it before. The connection then completes, or fails, with the first write: for clients that speak first.
   */
  fastOpen?: boolean | undefined
}

/** RFC 8305, 8. */
const ATTEMPT_DELAY_MS = 250
const LEAST_ATTEMPT_DELAY_MS = 10

interface Plan {
  readonly where: SocketAddress | NamedAddress
  readonly settings: SocketSettings
  readonly family: 0 | 4 | 6
  readonly attemptDelay: number
}

/**
 * Opens a TCP connection. The host is an address or a name; `localhost`, the default, is 127.0.0.1, and ::1 if nobody
 * listens there. Of a name with several addresses the next one is tried when the one before has failed, or has not
 * answered for 250 ms; the first that answers wins, and none is given up before (RFC 8305). TCP_NODELAY is on: what is
 * small is gathered before it is written, see `Connection.write`. On cancel nothing is left open.
 *
 * Errors: system errors such as `ECONNREFUSED` (with `address` and `port`); `ConnectError` with those of each address,
 * if they differ; `LookupError`; `TimeoutError`, where Node would say ETIMEDOUT, which here is the system's own word;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * await using connection = await connect({ port: 6379, host: 'cache.example', timeout: 5000 })
 */
export function connect(options: ConnectOptions): Op<Connection>
/**
 * Connects to a Unix socket: a path, or an abstract name (`'\0name'`, Linux). On cancel the socket is closed. While the
 * listener has no room for one more, it is tried again (Linux says EAGAIN then, and no event would come).
 *
 * Errors: system errors such as `ENOENT`, `ECONNREFUSED` and `EPROTOTYPE` (another `type` listens), with `address`;
 * `TimeoutError`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * await using connection = await connect({ path: '/run/my.sock', timeout: 5000 })
 */
export function connect(options: UnixConnectOptions & ConnectBounds & { type: 'seqpacket' }): Op<SeqpacketConnection>
export function connect(options: UnixConnectOptions & ConnectBounds & { type?: 'stream' | undefined }): Op<UnixConnection>
/** Connects to an address of either kind, such as one that `parseAddress` has read. */
export function connect(address: AnyAddress): Op<Connection | UnixConnection>
export function connect(
  options: ConnectOptions | (UnixConnectOptions & ConnectBounds)
): Op<Connection | UnixConnection | SeqpacketConnection> {
  if (!isUnix<UnixConnectOptions>(options)) return connectTcp(options)
  checkBounds(options)
  return bounded(connectUnix(options), options)
}

function connectTcp(options: ConnectOptions): Op<Connection> {
  const where = endpoint(options, LOCALHOST, 1)
  const family = familyOf(options.family)
  const { attemptDelay = ATTEMPT_DELAY_MS, noDelay = true, fastOpen = false } = options
  checkBoolean('noDelay', noDelay)
  checkBoolean('fastOpen', fastOpen)
  checkMilliseconds('options.attemptDelay', attemptDelay)
  if (attemptDelay < LEAST_ATTEMPT_DELAY_MS) {
    throw outOfRange('options.attemptDelay', `a number of milliseconds >= ${LEAST_ATTEMPT_DELAY_MS}`, attemptDelay)
  }
  const keepAlive = keepAliveOf(options)
  const plan: Plan = { where, settings: { noDelay, fastOpen, ...localOf(options) }, family, attemptDelay }
  checkBounds(options)

  const opening = open(plan)
  return bounded(keepAlive === null ? opening : op(() => keptAlive(opening, keepAlive)), options)
}

function* keptAlive(opening: Op<Connection>, options: KeepAliveOptions): Coroutine<Connection> {
  const connection = yield* opening
  try {
    connection.setKeepAlive(true, options)
  } catch (error) {
    connection.reset()
    throw error
  }
  return connection
}

function checkBounds({ timeout: ms, signal }: ConnectBounds): void {
  if (ms !== undefined) checkMilliseconds('options.timeout', ms)
  if (signal !== undefined) checkSignal(signal)
}

/** `opening`, for as long as the options allow. */
function bounded<C>(opening: Op<C>, { timeout: ms, signal }: ConnectBounds): Op<C> {
  if (ms === undefined && signal === undefined) return opening
  const wait = function* (): Coroutine<C> {
    return yield* opening
  }
  const inTime = function* (): Coroutine<C> {
    return yield* ms === undefined ? opening : timeout(ms, wait)
  }
  return op(() => (signal === undefined ? inTime() : enterAbortable(inTime, signal)))
}

function open({ where, settings, family, attemptDelay }: Plan): Op<Connection> {
  if (!('host' in where)) return new Attempt([where], settings)
  const { host, port } = where
  // The family of the local address decides, too: a socket has one.
  const { localAddress } = settings
  const only = localAddress === null ? family : localAddress.family === 'IPv4' ? 4 : 6
  if (host === LOCALHOST) return new Attempt(loopback(port, only), settings)
  return op(function* () {
    const found = yield* lookup(host, { all: true, family: only })
    const addresses = interleave(found.map(({ address }) => numericAddress(address, port) as SocketAddress))
    const attempt = (address: SocketAddress): Op<Connection> => new Attempt([address], settings)
    if (addresses.length === 1) return yield* attempt(addresses[0] as SocketAddress)
    const outcome = yield* connectToFirst(addresses, attemptDelay, attempt)
    if (!isList(outcome)) return outcome
    const [first] = outcome
    const alike = outcome.every(({ errno, syscall }) => errno === first?.errno && syscall === first.syscall)
    throw alike ? (first as SystemError) : new ConnectError(outcome, host, port)
  })
}

/** Without a lookup: these two are all it can be, and they answer at once. */
function loopback(port: number, family: 0 | 4 | 6): SocketAddress[] {
  const both = LOOPBACK.map((address) => numericAddress(address, port) as SocketAddress)
  return family === 0 ? both : both.filter((each) => each.family === `IPv${family}`)
}

function localOf({ localAddress, localPort = 0 }: ConnectOptions): Pick<SocketSettings, 'localAddress' | 'localPort'> {
  checkInteger('options.localPort', localPort, 0, 65535)
  if (localAddress === undefined) return { localAddress: null, localPort }
  const local = typeof localAddress === 'string' ? numericAddress(localAddress, localPort) : null
  if (local === null) throw invalidValue('options.localAddress', 'must be an IP address', localAddress)
  return { localAddress: local, localPort }
}

/** Null if it is off. */
function keepAliveOf({ keepAlive = false }: ConnectOptions): KeepAliveOptions | null {
  if (typeof keepAlive === 'boolean') return keepAlive ? {} : null
  if (keepAlive === null || typeof keepAlive !== 'object') {
    throw invalidType('options.keepAlive', 'a boolean or an object', keepAlive)
  }
  checkKeepAlive('options.keepAlive', keepAlive)
  return keepAlive
}

function checkBoolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw invalidType(`options.${name}`, 'of type boolean', value)
}

function isList(outcome: Connection | readonly SystemError[]): outcome is readonly SystemError[] {
  return Array.isArray(outcome)
}
