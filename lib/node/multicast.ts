/** Multicast groups and interfaces as node:dgram names them: an interface by an address that it has, or by a zone. */
import { networkInterfaces } from 'node:os'
import { isIP } from 'node:net'
import { EADDRNOTAVAIL, EINVAL, ENODEV, ENOPROTOOPT } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { DatagramOption } from '../kernel/layout.js'

/** 0, or what the system says. `source` undefined: what anybody sends to the group. */
export function setGroup(
  kernel: Kernel,
  fd: number,
  member: 0 | 1,
  group: string,
  by: string | undefined,
  source?: string
): number {
  const family = isIP(group)
  if (family === 0 || (source !== undefined && isIP(source) !== family)) return EINVAL
  const index = interfaceIndex(kernel, family, by, ENODEV)
  if (index < 0) return index
  const bytes = kernel.encodeAddress({ family: family === 4 ? 'IPv4' : 'IPv6', address: group, port: 0 })
  if (typeof bytes === 'number') return bytes
  if (source === undefined) return kernel.setMembership(fd, member, bytes, index)
  const from = kernel.encodeAddress({ family: family === 4 ? 'IPv4' : 'IPv6', address: source, port: 0 })
  return typeof from === 'number' ? from : kernel.setMembership(fd, member, bytes, index, from)
}

/** By which interface goes what is sent to a group; `0.0.0.0` and `::` leave it to the system. */
export function setMulticastInterface(kernel: Kernel, fd: number, speaks: 4 | 6, by: string): number {
  const family = isIP(by)
  if (family === 0) return EINVAL
  // A socket of IPv6 takes either, where it speaks both.
  if (family === 6 && speaks === 4) return ENOPROTOOPT
  const index = interfaceIndex(kernel, family, by, EADDRNOTAVAIL)
  return index < 0 ? index : kernel.setDatagramOption(fd, DatagramOption.MULTICAST_INTERFACE, index)
}

/** 0: the system's choice. Of an address of IPv6 only the zone counts. */
function interfaceIndex(kernel: Kernel, family: number, by: string | undefined, unknown: number): number {
  if (by === undefined) return 0
  if (isIP(by) !== family) return EINVAL
  if (family === 6) {
    const zone = by.split('%')[1]
    if (zone === undefined) return 0
    return /^\d+$/.test(zone) ? Number(zone) : Math.max(kernel.interfaceIndex(zone), 0)
  }
  if (by === '0.0.0.0') return 0
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some(({ address }) => address === by)) return kernel.interfaceIndex(name)
  }
  return unknown
}
