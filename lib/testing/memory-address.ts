/** Addresses of the memory kernel: as bytes, as what listeners are found by, and those of nobody in particular. */
import type { AnyAddress } from '../kernel/kernel.js'

export const UNBOUND: Readonly<Record<'IPv4' | 'IPv6' | 'Unix', AnyAddress>> = {
  IPv4: { family: 'IPv4', address: '0.0.0.0', port: 0 },
  IPv6: { family: 'IPv6', address: '::', port: 0 },
  Unix: { family: 'Unix', path: '' }
}

/** What listeners are found by. Addresses of one port are all the same machine here. */
export function nameOf(address: AnyAddress): string {
  return address.family === 'Unix' ? `path ${address.path}` : `port ${address.port}`
}

export function encoded(address: AnyAddress): Uint8Array {
  return Buffer.from(JSON.stringify(address))
}

/** An address, or the bytes that `encoded` has made of one; null for any others. */
export function decoded(address: AnyAddress | Uint8Array): AnyAddress | null {
  if (!(address instanceof Uint8Array)) return address
  try {
    return JSON.parse(Buffer.from(address).toString()) as AnyAddress
  } catch {
    return null
  }
}

const FIRST_EPHEMERAL_PORT = 49152

/** Ports that nobody has. */
export class EphemeralPorts {
  private last = FIRST_EPHEMERAL_PORT
  private readonly isTaken: (port: number) => boolean

  constructor(isTaken: (port: number) => boolean) {
    this.isTaken = isTaken
  }

  next(): number {
    while (this.isTaken(this.last)) this.last++
    return this.last++
  }

  /** The address with a port of its own, if it has none and is of a kind that has one. */
  given(address: AnyAddress): AnyAddress {
    return address.family === 'Unix' || address.port !== 0 ? address : { ...address, port: this.next() }
  }
}
