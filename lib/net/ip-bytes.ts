/** IP addresses as bytes in network order, for what has to write them into a packet. Zones have no place there. */
import { isIPv4, isIPv6 } from 'node:net'

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex')

/** The 4 bytes of a dotted address; null for what is none. */
export function ipv4Bytes(address: string): Buffer | null {
  return isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : null
}

/** The 16 bytes of an address, whose zone, if it has one, is left out; null for what is none. */
export function ipv6Bytes(address: string): Buffer | null {
  if (!isIPv6(address)) return null
  const [text = ''] = address.split('%')
  const [head = '', tail] = text.split('::')
  const before = groupsOf(head)
  const after = tail === undefined ? [] : groupsOf(tail)
  const bytes = Buffer.alloc(16)
  before.forEach((group, i) => bytes.writeUInt16BE(group, i * 2))
  after.forEach((group, i) => bytes.writeUInt16BE(group, 16 - (after.length - i) * 2))
  return bytes
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    const dotted = ipv4Bytes(group)
    return dotted === null ? [parseInt(group, 16)] : [dotted.readUInt16BE(0), dotted.readUInt16BE(2)]
  })
}

/** The dotted address of 4 bytes. */
export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join('.')
}

/** The address of 16 bytes, written as the system writes it: the longest run of zeros is left out (RFC 5952). */
export function ipv6Text(bytes: Buffer): string {
  if (bytes.subarray(0, 12).equals(MAPPED)) return `::ffff:${ipv4Text(bytes.subarray(12))}`
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2))
  let start = 0
  let longest = 1
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === 0 ? run + 1 : 0
    if (run > longest) [longest, start] = [run, i - run + 1]
  }
  const text = (from: number, to?: number): string => groups.slice(from, to).map((group) => group.toString(16)).join(':')
  return longest === 1 ? text(0) : `${text(0, start)}::${text(start + longest)}`
}
