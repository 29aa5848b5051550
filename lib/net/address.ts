/** Socket addresses as users write them: a host is a numeric address or a name, which is looked up elsewhere. */
import { isIP } from 'node:net'
import type { SocketAddress } from '../kernel/kernel.js'
import { CoreactorError } from '../task/errors.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'

/** The host is a name, where only an address makes sense. */
export class HostNotNumericError extends CoreactorError {
  readonly host: string

  constructor(host: string) {
    super('ERR_COREACTOR_HOST_NOT_NUMERIC', `"${host}" is not an IP address, and names are not resolved here: use blocking.lookup() first`)
    this.host = host
  }
}

/** Where to listen or to connect. */
export interface AddressOptions {
  /** 0 to 65535. */
  port: number
  /** An IPv4 or IPv6 address, the latter with a zone if it needs one (`fe80::1%eth0`), or a name. */
  host?: string | undefined
  /** The same as `host`, so that what `parseAddress` and `localAddress` give can be passed on. */
  address?: string | undefined
}

/** A name and a port: one socket address or several, once it has been looked up. */
export interface NamedAddress {
  readonly host: string
  readonly port: number
}

/** The name that every machine has for itself. It is looked up nowhere (RFC 6761, 6.3). */
export const LOCALHOST = 'localhost'
export const LOOPBACK = ['127.0.0.1', '::1'] as const

/** Checks both. Throws before any effect. */
export function endpoint(options: AddressOptions, defaultHost: string, leastPort: 0 | 1): SocketAddress | NamedAddress {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  const { port, address: given, host = given ?? defaultHost } = options
  if ('path' in options) throw invalidValue('options.path', 'cannot be given together with a port', options.path)
  checkInteger('options.port', port, leastPort, 65535)
  if (typeof host !== 'string') throw invalidType('options.host', 'of type string', host)
  if (given !== undefined && given !== host) throw invalidValue('options.address', 'must be the same as the host', given)
  if (host === '') throw invalidValue('options.host', 'must not be empty', host)
  return numericAddress(host, port) ?? { host, port }
}

/** The same, where a name other than `localhost`, which is 127.0.0.1 then, will not do. */
export function socketAddress(options: AddressOptions, defaultHost: string, leastPort: 0 | 1): SocketAddress {
  const where = endpoint(options, defaultHost, leastPort)
  if (!('host' in where)) return where
  if (where.host !== LOCALHOST) throw new HostNotNumericError(where.host)
  return { family: 'IPv4', address: LOOPBACK[0], port: where.port }
}

/** An address as the kernel takes it; null for what is none. */
export function numericAddress(address: string, port: number): SocketAddress | null {
  const family = isIP(address)
  return family === 0 ? null : { family: family === 4 ? 'IPv4' : 'IPv6', address, port }
}
