/** Names to addresses, and back, by the system's resolver. */
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { immediate } from '../task/op.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'
import { LookupError } from './lookup-error.js'
import { abandonOf, blockingCall, type BlockingOptions } from '../jobs/blocking-call.js'

/** Options of `blocking.lookup`. */
export interface LookupOptions extends BlockingOptions {
  /** 4 and 6 (or `'IPv4'`, `'IPv6'`) take addresses of that family only; 0, the default, takes both. */
  family?: 0 | 4 | 6 | 'IPv4' | 'IPv6' | undefined
  /** The flags of getaddrinfo(3): `dns.ADDRCONFIG` and others. */
  hints?: number | undefined
  /** Whether all addresses are wanted, and not only the first. */
  all?: boolean | undefined
  /** By default the resolver's own, which is that of RFC 6724. */
  order?: 'verbatim' | 'ipv4first' | 'ipv6first' | undefined
  /** True by default: a lookup changes nothing, so that there is nothing to wait for. */
  abandon?: boolean | undefined
}

/** In the shape of Node's `dns.lookup`. */
export interface LookupAddress {
  /** Numeric. */
  readonly address: string
  readonly family: 4 | 6
}

/** What `blocking.lookupService` gives. */
export interface ServiceName {
  readonly hostname: string
  readonly service: string
}

const FAMILIES = new Map<unknown, 0 | 4 | 6>([
  [undefined, 0],
  [0, 0],
  [4, 4],
  [6, 6],
  ['IPv4', 4],
  ['IPv6', 6]
])
const ORDERS: Record<string, (one: LookupAddress, other: LookupAddress) => number> = {
  verbatim: () => 0,
  ipv4first: (one, other) => one.family - other.family,
  ipv6first: (one, other) => other.family - one.family
}

/** The longest name there is, as text (RFC 1035). */
const LONGEST_NAME = 253

/**
 * The address of a name, or with `all` every address, none twice. An address is its own answer, at once. Runs in a thread
 * of the pool; lookups take at most half of the threads, so that those which hang do not hold up other calls. On cancel
 * the lookup is let go of at once.
 *
 * Errors: `LookupError` with `ENOTFOUND`, `EAI_AGAIN` and others; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, thrown
 * at once.
 *
 * @example
 * const { address } = yield* blocking.lookup('localhost', { family: 4 })
 */
export function lookup(host: string, options: LookupOptions & { all: true }): Op<LookupAddress[]>
export function lookup(host: string, options?: LookupOptions & { all?: false | undefined }): Op<LookupAddress>
export function lookup(host: string, options: LookupOptions = {}): Op<LookupAddress | LookupAddress[]> {
  if (typeof host !== 'string') throw invalidType('host', 'of type string', host)
  const { hints = 0, all = false, order = 'verbatim' } = options
  const family = familyOf(options.family)
  checkInteger('options.hints', hints, 0, 0x7fff_ffff)
  const comparison = ORDERS[order]
  if (comparison === undefined) throw invalidValue('options.order', 'must be "verbatim", "ipv4first" or "ipv6first"', order)
  const abandon = abandonOf(options, true)

  const answer = (addresses: readonly string[]): LookupAddress | LookupAddress[] => {
    const found = addresses.map((address) => ({ address, family: isIP(address) as 4 | 6 })).sort(comparison)
    return all ? found : (found[0] as LookupAddress)
  }
  if (isIP(host) !== 0) return immediate(() => answer([host]))
  const name = asciiName(host)
  if (name === null) {
    return immediate(() => {
      throw LookupError.notFound(host)
    })
  }
  return blockingCall(
    { kind: 'lookup', host: name, family, flags: hints },
    (result, take) => {
      if (result < 0) throw new LookupError(result, 'getaddrinfo', host)
      return answer(take() as string[])
    },
    abandon
  )
}

/**
 * The name of an address, and of a port's service; the number of what has no name. Otherwise like `lookup`.
 *
 * Errors: `LookupError`; `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const { hostname } = yield* blocking.lookupService('127.0.0.1', 80)
 */
export function lookupService(address: string, port: number, options: BlockingOptions = {}): Op<ServiceName> {
  if (typeof address !== 'string' || isIP(address) === 0) throw invalidValue('address', 'must be an IP address', address)
  checkInteger('port', port, 0, 65535)
  return blockingCall(
    { kind: 'reverse', address, port },
    (result, take) => {
      if (result < 0) throw new LookupError(result, 'getnameinfo', address)
      const [hostname, service] = take() as [string, string]
      return { hostname, service }
    },
    abandonOf(options, true)
  )
}

/** @internal The option `family`, checked: 0 is both. */
export function familyOf(family: unknown): 0 | 4 | 6 {
  const known = FAMILIES.get(family)
  if (known === undefined) throw invalidValue('options.family', 'must be 0, 4, 6, "IPv4" or "IPv6"', family)
  return known
}

/** As the resolver takes it; null for what can be no name. */
function asciiName(host: string): string | null {
  // Only what needs it: for plain text it would take "1.2" for an address.
  const name = /\P{ASCII}/u.test(host) ? domainToASCII(host) : host
  return name === '' || name.length > LONGEST_NAME + 1 || name.includes('\0') ? null : name
}
