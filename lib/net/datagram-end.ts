/** What the operations on one datagram socket share, and the errors that are not theirs. */
import {
  EACCES,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  ENETUNREACH,
  ENOPROTOOPT,
  EPROTO
} from '../kernel/errno.js'
import type { Handle } from '../io/handle.js'

/** `A` is how the socket's users know addresses. */
export interface DatagramEnd<A> {
  readonly handle: Handle
  /** It has one peer: what the network says of earlier datagrams is its users' business then. */
  connected: boolean
  /** Whether the kernel says more of a datagram than whose it is. */
  readonly info: boolean
  /** Of the bytes `[offset, offset + length)`. */
  decode(bytes: Uint8Array, offset: number, length: number): A
}

/** What a message of ICMP about an earlier datagram becomes (icmp(7)), and may be reported by any later call. */
const OF_THE_NETWORK = new Set([ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENOPROTOOPT, EPROTO, EACCES])

export function ofTheNetwork(error: number): boolean {
  return OF_THE_NETWORK.has(error)
}
