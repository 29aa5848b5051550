/** Socket addresses as text, in one form: for configuration files and command lines. Names are not resolved. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import type { AnyAddress } from '../kernel/kernel.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { HostNotNumericError } from './address.js'
import { isAbstract, unixAddress } from './unix-path.js'

const UNIX = 'unix:'
const MOST = 65535

/**
 * Reads `1.2.3.4:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `unix:/run/my.sock`, `unix:@name` (abstract, Linux). A path may stand
 * alone if it begins with `/`, `./` or `../`, and so cannot be anything else; one that begins with `@` is written
 * `unix:./@name`. Nothing is guessed: a port must be there, and an IPv6 address must be in brackets.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`; `HostNotNumericError` for a name in place of an address; `ERR_INVALID_ARG_VALUE`.
 *
 * @example
 * const connection = yield* connect(parseAddress('unix:/run/my.sock'))
 */
export function parseAddress(text: string): AnyAddress {
  if (typeof text !== 'string') throw invalidType('text', 'of type string', text)
  if (text.startsWith(UNIX)) {
    const path = text.slice(UNIX.length)
    return unixAddress('text', path.startsWith('@') ? `\0${path.slice(1)}` : path)
  }
  if (/^\.{0,2}\//.test(text)) return unixAddress('text', text)
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    const address = text.slice(1, end)
    if (end < 0 || !isIPv6(address)) throw invalidValue('text', 'must have an IPv6 address in its brackets', text)
    return { family: 'IPv6', address, port: portOf(text, text.slice(end + 1)) }
  }
  if (isIPv6(text)) throw invalidValue('text', 'must have an IPv6 address in brackets, and a port: "[::1]:80"', text)
  const colon = text.lastIndexOf(':')
  const host = colon < 0 ? text : text.slice(0, colon)
  if (isIPv6(host)) throw invalidValue('text', 'must have an IPv6 address in brackets: "[::1]:80"', text)
  if (host === '') throw invalidValue('text', 'must have an address before the port', text)
  if (isIP(host) === 0) throw new HostNotNumericError(host)
  return { family: 'IPv4', address: host, port: portOf(text, colon < 0 ? '' : text.slice(colon)) }
}

/** `:80`. Decimal, without leading zeros, which some take for octal. */
function portOf(text: string, end: string): number {
  const port = /^:(0|[1-9]\d{0,4})$/.test(end) ? Number(end.slice(1)) : Infinity
  if (port > MOST) throw invalidValue('text', `must end with a port, ":0" to ":${MOST}"`, text)
  return port
}

/**
 * Writes an address so that `parseAddress` reads the same one. A socket without a name, whose path is empty, is `unix:`,
 * which is no address to use. Errors: `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for what is no address.
 */
export function formatAddress(address: AnyAddress): string {
  if (address === null || typeof address !== 'object') throw invalidType('address', 'an object', address)
  if (address.family === 'Unix') {
    const { path } = address
    if (path === '') return UNIX
    unixAddress('address.path', path)
    if (isAbstract(path)) return `${UNIX}@${path.slice(1)}`
    return path.startsWith('@') ? `${UNIX}./${path}` : UNIX + path
  }
  const { family, address: host, port } = address
  if (!Number.isInteger(port) || port < 0 || port > MOST) throw invalidValue('address.port', `must be 0 to ${MOST}`, port)
  if (family === 'IPv4' && isIPv4(host)) return `${host}:${port}`
  if (family === 'IPv6' && isIPv6(host)) return `[${host}]:${port}`
  throw invalidValue('address.address', 'must be an address of its family', host)
}
