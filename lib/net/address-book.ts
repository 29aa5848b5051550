/**
 * Addresses of datagrams to bytes and back, as one socket speaks them. Few peers send most of what comes, so what was
 * translated lately is kept: both ways in a table in which every address has one place.
 */
import { SystemError } from '../kernel/errno.js'
import type { AnyAddress, Family, Kernel, SocketAddress } from '../kernel/kernel.js'
import { HostNotNumericError, LOCALHOST, LOOPBACK, numericAddress } from './address.js'

/** Places in either table. */
const PLACES = 256

/** An IPv4 address on a socket of IPv6 (RFC 4291, 2.5.5.2). Its users need not know which of the two theirs is. */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

interface Encoded {
  readonly host: string
  readonly port: number
  readonly bytes: Uint8Array
}

interface Decoded {
  readonly bytes: Uint8Array
  readonly address: SocketAddress
}

export class AddressBook {
  private readonly kernel: Kernel
  private readonly family: Family
  private readonly plainly: boolean
  private readonly encoded: Encoded[] = []
  private readonly decoded: Decoded[] = []

  /** `plainly`: an IPv4 address is told as one also by a socket of IPv6; without it, as the system has it. */
  constructor(kernel: Kernel, family: Family, plainly = true) {
    this.kernel = kernel
    this.family = family
    this.plainly = plainly
  }

  /** Throws `HostNotNumericError` for a name other than `localhost`, and `SystemError` for a zone that is not here. */
  encode(host: string, port: number): Uint8Array {
    const place = port % PLACES
    const known = this.encoded[place]
    if (known !== undefined && known.port === port && known.host === host) return known.bytes
    const address = numericAddress(host === LOCALHOST ? LOOPBACK[0] : host, port)
    if (address === null) throw new HostNotNumericError(host)
    const bytes = this.kernel.encodeAddress(this.spoken(address))
    if (typeof bytes === 'number') throw new SystemError(bytes, 'send', address)
    this.encoded[place] = { host, port, bytes }
    return bytes
  }

  /** What the system has written at `offset`. */
  decode(bytes: Uint8Array, offset: number, length: number): SocketAddress {
    let hash = length
    for (let i = 0; i < length; i++) hash = (hash * 31 + (bytes[offset + i] as number)) | 0
    const place = (hash >>> 0) % PLACES
    const known = this.decoded[place]
    if (known !== undefined && same(known.bytes, bytes, offset, length)) return known.address
    const address = asTold(this.kernel.decodeAddress(bytes, offset, length), this.plainly)
    this.decoded[place] = { bytes: bytes.slice(offset, offset + length), address }
    return address
  }

  /** The address as a socket of this family has to be told it. */
  spoken(address: SocketAddress): SocketAddress {
    if (this.family === 'IPv4' || address.family === 'IPv6') return address
    return { family: 'IPv6', address: `::ffff:${address.address}`, port: address.port }
  }
}

/** An address of the system's, an IPv4 address as such. Throws what the system has said instead. */
export function plain(address: AnyAddress | number): SocketAddress {
  return asTold(address, true)
}

function asTold(address: AnyAddress | number, plainly: boolean): SocketAddress {
  if (typeof address === 'number') throw new SystemError(address, 'recv')
  if (address.family === 'Unix') return { family: 'IPv4', address: '', port: 0 }
  const mapped = plainly && address.family === 'IPv6' ? MAPPED.exec(address.address) : null
  return mapped === null ? address : { family: 'IPv4', address: mapped[1] as string, port: address.port }
}

function same(known: Uint8Array, bytes: Uint8Array, offset: number, length: number): boolean {
  if (known.length !== length) return false
  for (let i = 0; i < length; i++) if (known[i] !== bytes[offset + i]) return false
  return true
}
