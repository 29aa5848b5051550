/** Receiving the header of the PROXY protocol from a connection, and whom to believe it. */
import { BlockList, isIP } from 'node:net'
import type { SocketAddress } from '../kernel/kernel.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { checkMilliseconds, invalidType, invalidValue } from '../task/validate.js'
import { timeout as within, TimeoutError } from '../time/timeout.js'
import type { Connection } from './connection.js'
import { ProxyProtocolError } from './proxy-error.js'
import { parseProxyHeader, type ParsedProxyHeader, type ProxyHeader } from './proxy-header.js'

/** Options of `readProxyHeader`, and of the `proxyProtocol` of a server. */
export interface ProxyProtocolOptions {
  /**
   * The proxies: IP addresses, or networks such as `10.0.0.0/8`. Who connects from elsewhere is served as a client of its
   * own, and what it sends is data, whatever it looks like. By default everybody is a proxy: then nobody else may be able
   * to connect.
   */
  from?: readonly string[] | undefined
  /** Milliseconds until the header must be complete; 5,000 by default, in which TCP can lose a packet. */
  timeout?: number | undefined
  /**
   * Whether a proxy may leave it out: then what comes instead is the client's. For protocols in which the client speaks
   * first, and where no client can reach the server through something that does not write a header: it could write one.
   */
  optional?: boolean | undefined
}

/** The header with which a proxy has said for whom it connects, and the connection that it came by. */
export interface ProxyInfo extends ProxyHeader {
  /** The proxy's own address; undefined if it was gone already. */
  readonly address: SocketAddress | undefined
  /** This side's address, which the proxy has connected to. */
  readonly localAddress: SocketAddress | undefined
}

const TIMEOUT_MS = 5000
/** What is looked at of bytes that are there, which may be a header and a lot more. */
const USUAL_SIZE = 256

/**
 * Reads the header of the PROXY protocol, version 1 or 2, which a proxy sends first. Nothing but the header is taken.
 * `serve` does it with its option `proxyProtocol`; this is for listeners, and changes nothing about the connection.
 * Null: the peer has finished without a byte, as some health checks do. On cancel nothing has been read.
 *
 * Errors: `ProxyProtocolError` (`ERR_COREACTOR_PROXY_PROTOCOL`), which takes nothing either; as for `Connection.read`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 *
 * @example
 * const header = yield* readProxyHeader(connection, { timeout: 3000 })
 * if (header?.command === 'PROXY') report(header.source)
 */
export function readProxyHeader(connection: Connection, options: { timeout?: number | undefined } = {}): Op<ProxyHeader | null> {
  const { timeout = TIMEOUT_MS } = options
  checkMilliseconds('options.timeout', timeout)
  return op(() => read(connection, timeout))
}

function* read(connection: Connection, ms: number): Coroutine<ProxyHeader | null> {
  try {
    return yield* within(ms, function* () {
      const parsed = yield* parseFrom(connection)
      if (parsed === null) return null
      yield* connection.readExactly(parsed.length)
      return parsed.header
    })
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error
    throw new ProxyProtocolError('late', `no header within ${ms} ms`)
  }
}

function* parseFrom(connection: Connection): Coroutine<ParsedProxyHeader | null> {
  for (let need = 1; ; ) {
    const bytes = yield* connection.peek(Math.max(need, Math.min(connection.bufferedInput, USUAL_SIZE)))
    if (bytes.length === 0) return null
    const parsed = parseProxyHeader(bytes)
    if (typeof parsed !== 'number') return parsed
    if (bytes.length < need) throw new ProxyProtocolError('end', `the peer has finished after ${bytes.length} bytes of the header`)
    need = parsed
  }
}

/** What `serve` does with a new connection; false: there is nobody to serve. */
export type ReceiveProxy = (connection: Connection) => Coroutine<boolean>

/** @internal Checks the option `proxyProtocol` of `serve`; null: every connection is a client's own. */
export function proxyReceiver(option: boolean | ProxyProtocolOptions | undefined): ReceiveProxy | null {
  if (option === undefined || option === false) return null
  if (option !== true && (option === null || typeof option !== 'object')) {
    throw invalidType('options.proxyProtocol', 'a boolean or an object', option)
  }
  const { from, timeout = TIMEOUT_MS, optional = false } = option === true ? {} : option
  checkMilliseconds('options.proxyProtocol.timeout', timeout)
  if (typeof optional !== 'boolean') throw invalidType('options.proxyProtocol.optional', 'of type boolean', optional)
  const proxies = from === undefined ? null : networks(from)

  return function* (connection) {
    const { remoteAddress: address, localAddress } = connection
    if (proxies !== null && !isIn(proxies, address)) return true
    try {
      const header = yield* read(connection, timeout)
      if (header === null) return false
      connection.receivedFor({ ...header, address, localAddress })
      return true
    } catch (error) {
      if (optional && error instanceof ProxyProtocolError && error.problem === 'absent') return true
      // Also when it was cancelled: nothing has been said that could be cut off.
      connection.reset()
      throw error
    }
  }
}

function networks(from: readonly string[]): BlockList {
  if (!Array.isArray(from)) throw invalidType('options.proxyProtocol.from', 'an array of strings', from)
  const list = new BlockList()
  for (const [i, network] of (from as unknown[]).entries()) {
    const name = `options.proxyProtocol.from[${i}]`
    if (typeof network !== 'string') throw invalidType(name, 'of type string', network)
    const [address = '', prefix, ...rest] = network.split('/')
    const version = isIP(address)
    const bits = version === 4 ? 32 : 128
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN
    if (version === 0 || !(length <= bits) || rest.length > 0) {
      throw invalidValue(name, 'must be an IP address, or one with the length of a prefix', network)
    }
    list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

function isIn(list: BlockList, address: SocketAddress | undefined): boolean {
  if (address === undefined) return false
  const [plain = ''] = address.address.split('%')
  return list.check(plain, address.family === 'IPv4' ? 'ipv4' : 'ipv6')
}
