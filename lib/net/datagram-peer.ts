/** To whom a datagram goes, as users say it, and what goes with it. Looking names up is for whoever connects. */
import type { SocketAddress } from '../kernel/kernel.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'
import { HostNotNumericError, LOCALHOST, LOOPBACK, numericAddress, type NamedAddress } from './address.js'

/** Where a datagram goes: the `address` of one that was received will do. */
export interface DatagramAddress {
  /** An IPv4 or IPv6 address, or `localhost`, which is 127.0.0.1. */
  address?: string | undefined
  /** The same by another name. */
  host?: string | undefined
  /** 1 to 65535. */
  port: number
}

/** Options of sending a datagram. */
export interface DatagramSendOptions extends Partial<DatagramAddress> {
  /** Bytes: the system cuts `data` into datagrams of this size (GSO), 64 of them at most. */
  segment?: number | undefined
  /** The byte of DSCP and ECN in the header; by default the socket's. */
  tos?: number | undefined
}

export interface DatagramPeer {
  readonly host: string
  readonly port: number
  readonly address: SocketAddress
}

/** Undefined: none is named, it is the connected peer. Throws before any effect, also for a name. */
export function peerOf(to: DatagramSendOptions): DatagramPeer | undefined {
  const named = namedPeerOf(to)
  if (named === undefined) return undefined
  const { host, port } = named
  const numeric = numericAddress(host === LOCALHOST ? LOOPBACK[0] : host, port)
  if (numeric === null) throw new HostNotNumericError(host)
  return { host, port, address: numeric }
}

/** The same, where a name is one, too. */
export function namedPeerOf(to: DatagramSendOptions): NamedAddress | undefined {
  if (to === null || typeof to !== 'object') throw invalidType('to', 'an object', to)
  const { address, host = address, port } = to
  if (host === undefined && port === undefined) return undefined
  if (typeof host !== 'string') throw invalidType('to.address', 'of type string', host)
  if (address !== undefined && address !== host) throw invalidValue('to.host', 'must not differ from "to.address"', host)
  if (host === '') throw invalidValue('to.address', 'must not be empty', host)
  checkInteger('to.port', port, 1, 65535)
  return { host, port }
}

export function marksOf({ segment = 0, tos = -1 }: DatagramSendOptions): { segment: number; tos: number } {
  if (segment !== 0) checkInteger('to.segment', segment, 1, 65535)
  if (tos !== -1) checkInteger('to.tos', tos, 0, 255)
  return { segment, tos }
}

export function datagramBytes(data: string | Uint8Array): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if (!(data instanceof Uint8Array)) throw invalidType('data', 'a string or an instance of Uint8Array', data)
  return data
}
