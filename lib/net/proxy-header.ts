/**
 * The header of the PROXY protocol, versions 1 and 2, as bytes: what a proxy sends first, to say for whom it connects.
 * The specification is HAProxy's, proxy-protocol.txt. Where the bytes come from, and whether to believe them, is for
 * `proxy-protocol.ts`.
 */
import type { AnyAddress, SocketAddress } from '../kernel/kernel.js'
import { checkInteger, invalidType, invalidValue, outOfRange } from '../task/validate.js'
import { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text } from './ip-bytes.js'
import { ProxyProtocolError } from './proxy-error.js'

/** What else a proxy says, in version 2: the type is a number of the specification, or one of 0xE0 to 0xEF of your own. */
export interface ProxyTlv {
  /** 1 is the ALPN protocol, 2 the host name that was asked for, 5 an id of the connection, 0x20 about TLS. */
  readonly type: number
  readonly value: Uint8Array
}

/** What a header of the PROXY protocol says. */
export interface ProxyHeader {
  readonly version: 1 | 2
  /** `'LOCAL'`: the proxy connects on its own account, as for a health check. */
  readonly command: 'LOCAL' | 'PROXY'
  readonly transport: 'stream' | 'datagram'
  /** Who has connected to the proxy; null where it does not say, which it never does in a `'LOCAL'` header. */
  readonly source: AnyAddress | null
  /** What it has connected to. */
  readonly destination: AnyAddress | null
  /** In their order, known or not; but for the checksum, which has been verified, and padding. */
  readonly tlvs: readonly ProxyTlv[]
}

/** Options of `proxyHeader`. */
export interface ProxyHeaderOptions {
  /** 2 by default, which is binary; 1 is a line of text that knows IP addresses only. */
  version?: 1 | 2 | undefined
  /** Without addresses the header says that the connection is the proxy's own: `LOCAL`, in version 1 `UNKNOWN`. */
  source?: AnyAddress | undefined
  /** Of the same family. */
  destination?: AnyAddress | undefined
  /** Only in version 2. */
  tlvs?: readonly ProxyTlv[] | undefined
  /** Whether to add a CRC-32C of it all. Only in version 2; false by default. */
  checksum?: boolean | undefined
  /** Only in version 2; `'stream'` by default. */
  transport?: 'stream' | 'datagram' | undefined
}

export interface ParsedProxyHeader {
  readonly header: ProxyHeader
  /** Bytes that it takes. */
  readonly length: number
}

const TEXT_SIGNATURE = Buffer.from('PROXY ')
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** The line of version 1 with its end. */
const LONGEST_LINE = 107
/** Signature, version and command, family and transport, length of the rest. */
const FIXED_SIZE = 16
const MOST_REST = 0xffff
const UNIX_SIZE = 108
const PORT_SIZE = 2

const CHECKSUM = 3
const PADDING = 4
const CHECKSUM_SIZE = 4

const FAMILIES = { IPv4: 1, IPv6: 2, Unix: 3 } as const
const IP_SIZE = { IPv4: 4, IPv6: 16 } as const

function malformed(message: string): ProxyProtocolError {
  return new ProxyProtocolError('malformed', message)
}

// Parsing ------------------------------------------------------------------------------------------------------------

/**
 * The header that `bytes` begin with; or, if they may be the beginning of one, the least number of bytes to ask again
 * with. Throws `ProxyProtocolError` as soon as they cannot be.
 */
export function parseProxyHeader(bytes: Buffer): ParsedProxyHeader | number {
  const signature = bytes[0] === SIGNATURE[0] ? SIGNATURE : TEXT_SIGNATURE
  const length = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, length, 0, length) !== 0) {
    throw new ProxyProtocolError('absent', `the connection begins with ${JSON.stringify(bytes.toString('latin1', 0, 16))}, which is no header`)
  }
  if (length < signature.length) return length + 1
  return signature === SIGNATURE ? parseBinary(bytes) : parseLine(bytes)
}

function parseLine(bytes: Buffer): ParsedProxyHeader | number {
  const most = Math.min(bytes.length, LONGEST_LINE)
  for (let i = TEXT_SIGNATURE.length; i < most; i++) {
    const byte = bytes[i] as number
    if (byte === 0x0d) {
      if (i + 1 === LONGEST_LINE) break
      if (i + 1 === bytes.length) return bytes.length + 1
      if (bytes[i + 1] !== 0x0a) throw malformed('a carriage return in the line')
      return { header: headerOfLine(bytes.toString('latin1', TEXT_SIGNATURE.length, i)), length: i + 2 }
    }
    if (byte < 0x20 || byte > 0x7e) throw malformed(`the byte ${byte} in the line`)
  }
  if (bytes.length >= LONGEST_LINE) throw malformed(`a line of more than ${LONGEST_LINE} bytes`)
  return bytes.length + 1
}

function headerOfLine(line: string): ProxyHeader {
  const fields = line.split(' ')
  const [protocol] = fields
  // What follows says nothing.
  if (protocol === 'UNKNOWN') return { version: 1, command: 'PROXY', transport: 'stream', source: null, destination: null, tlvs: [] }
  if (protocol !== 'TCP4' && protocol !== 'TCP6') throw malformed(`the protocol ${JSON.stringify(protocol)}`)
  if (fields.length !== 5) throw malformed(`${fields.length} fields instead of 5`)
  const [, source = '', destination = '', sourcePort = '', destinationPort = ''] = fields
  const family = protocol === 'TCP4' ? 'IPv4' : 'IPv6'
  return {
    version: 1,
    command: 'PROXY',
    transport: 'stream',
    source: { family, address: addressOfText(family, source), port: portOfText(sourcePort) },
    destination: { family, address: addressOfText(family, destination), port: portOfText(destinationPort) },
    tlvs: []
  }
}

function addressOfText(family: SocketAddress['family'], text: string): string {
  const bytes = family === 'IPv4' ? ipv4Bytes(text) : text.includes('%') ? null : ipv6Bytes(text)
  if (bytes === null) throw malformed(`${JSON.stringify(text)} is no ${family} address`)
  return family === 'IPv4' ? text : ipv6Text(bytes)
}

function portOfText(text: string): number {
  const port = Number(text)
  if (!/^(0|[1-9]\d{0,4})$/.test(text) || port > 65535) throw malformed(`${JSON.stringify(text)} is no port`)
  return port
}

function parseBinary(bytes: Buffer): ParsedProxyHeader | number {
  const { length } = bytes
  const [version, command] = length > 12 ? nibbles(bytes[12] as number) : [2, 0]
  if (version !== 2) throw malformed(`version ${version}`)
  if (command > 1) throw malformed(`command ${command}`)
  if (length > 13 && command === 1) checkKind(bytes[13] as number)
  if (length < FIXED_SIZE) return FIXED_SIZE
  const kind = bytes[13] as number
  const whole = FIXED_SIZE + bytes.readUInt16BE(14)
  const [family, transport] = nibbles(kind)
  const name = family === 1 ? 'IPv4' : family === 2 ? 'IPv6' : family === 3 ? 'Unix' : null
  const size = name === null ? 0 : addressSize(name)
  // What the addresses of a LOCAL header are is nobody's business, and what stands behind them cannot be known then.
  const local = command === 0
  if (!local && whole < FIXED_SIZE + 2 * size) throw malformed(`${whole - FIXED_SIZE} bytes, too few for two ${name} addresses`)
  if (length < whole) return whole
  const rest = bytes.subarray(FIXED_SIZE, whole)
  const common = { version: 2, command: local ? 'LOCAL' : 'PROXY', transport: transport === 2 ? 'datagram' : 'stream' } as const
  if (local || name === null) {
    const tlvs = kind === 0 ? parseTlvs(bytes.subarray(0, whole), FIXED_SIZE) : []
    return { header: { ...common, source: null, destination: null, tlvs }, length: whole }
  }
  const [source, destination] = name === 'Unix' ? unixAddresses(rest) : ipAddresses(name, rest)
  const tlvs = parseTlvs(bytes.subarray(0, whole), FIXED_SIZE + 2 * size)
  return { header: { ...common, source, destination, tlvs }, length: whole }
}

function nibbles(byte: number): [high: number, low: number] {
  return [byte >> 4, byte & 15]
}

/** Either both of family and transport are said, or neither. */
function checkKind(byte: number): void {
  const [family, transport] = nibbles(byte)
  if (byte === 0 || (family >= 1 && family <= 3 && transport >= 1 && transport <= 2)) return
  throw malformed(`family ${family} with transport ${transport}`)
}

/** Of one address, with its port. */
function addressSize(family: AnyAddress['family']): number {
  return family === 'Unix' ? UNIX_SIZE : IP_SIZE[family] + PORT_SIZE
}

function ipAddresses(family: SocketAddress['family'], bytes: Buffer): [AnyAddress, AnyAddress] {
  const size = IP_SIZE[family]
  const text = (at: number): string => {
    const part = bytes.subarray(at, at + size)
    return family === 'IPv4' ? ipv4Text(part) : ipv6Text(part)
  }
  return [
    { family, address: text(0), port: bytes.readUInt16BE(2 * size) },
    { family, address: text(size), port: bytes.readUInt16BE(2 * size + PORT_SIZE) }
  ]
}

function unixAddresses(bytes: Buffer): [AnyAddress, AnyAddress] {
  const address = (at: number): AnyAddress => {
    const part = bytes.subarray(at, at + UNIX_SIZE)
    // An abstract name may have NULs in it; its end is not said, so that those at the end count as padding.
    let end = part[0] === 0 ? UNIX_SIZE : part.indexOf(0)
    if (end < 0) end = UNIX_SIZE
    while (end > 0 && part[end - 1] === 0) end--
    return { family: 'Unix', path: part.toString('utf8', 0, end) }
  }
  return [address(0), address(UNIX_SIZE)]
}

/** Those of the whole header from `start` on. */
function parseTlvs(header: Buffer, start: number): ProxyTlv[] {
  const tlvs: ProxyTlv[] = []
  let checked = false
  for (let at = start; at < header.length; ) {
    if (at + 3 > header.length) throw malformed('a TLV that is cut off')
    const type = header[at] as number
    const size = header.readUInt16BE(at + 1)
    const begin = at + 3
    at = begin + size
    if (at > header.length) throw malformed(`a TLV of ${size} bytes that is cut off`)
    if (type === CHECKSUM) {
      if (size !== CHECKSUM_SIZE) throw malformed(`a checksum of ${size} bytes`)
      if (checked) throw malformed('two checksums')
      checked = true
      verify(header, begin)
    } else if (type !== PADDING) {
      tlvs.push({ type, value: Buffer.from(header.subarray(begin, at)) })
    }
  }
  return tlvs
}

function verify(header: Buffer, at: number): void {
  if (crc32c(header, at) !== header.readUInt32BE(at)) throw new ProxyProtocolError('checksum', 'the checksum is wrong')
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** Of `bytes`, of which those of the checksum at `hole` count as zeros. */
function crc32c(bytes: Buffer, hole: number): number {
  let crc = 0xffff_ffff
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= hole && i < hole + CHECKSUM_SIZE ? 0 : (bytes[i] as number)
    crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}

// Making -------------------------------------------------------------------------------------------------------------

/**
 * The bytes with which a proxy, once it has connected, says for whom: write them first.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (addresses of different families, or of a kind that the version
 * does not know), `ERR_OUT_OF_RANGE` (a port, a path, or more than 65,535 bytes of it all).
 *
 * @example
 * const { remoteAddress: source, localAddress: destination } = connection
 * const upstream = yield* connect({ port: 8080 })
 * yield* upstream.write(proxyHeader({ source, destination }))
 */
export function proxyHeader(options: ProxyHeaderOptions = {}): Buffer {
  const { version = 2, source, destination, tlvs = [], checksum = false, transport = 'stream' } = options
  if (version !== 1 && version !== 2) throw invalidValue('options.version', 'must be 1 or 2', version)
  if (transport !== 'stream' && transport !== 'datagram') {
    throw invalidValue('options.transport', "must be 'stream' or 'datagram'", transport)
  }
  const addresses = pairOf(source, destination)
  if (version === 2) return binaryHeader(addresses, tlvs, checksum, transport)
  if (tlvs.length > 0) throw invalidValue('options.tlvs', 'are of version 2 only', tlvs)
  if (checksum) throw invalidValue('options.checksum', 'is of version 2 only', checksum)
  if (transport === 'datagram') throw invalidValue('options.transport', 'is of version 2 only', transport)
  return lineHeader(addresses)
}

type Pair = readonly [source: AnyAddress, destination: AnyAddress]

function pairOf(source: AnyAddress | undefined, destination: AnyAddress | undefined): Pair | null {
  if (source === undefined && destination === undefined) return null
  checkAddress('options.source', source)
  checkAddress('options.destination', destination)
  if (source.family !== destination.family) {
    throw invalidValue('options.destination', `must be of the family of the source, ${source.family}`, destination.family)
  }
  return [source, destination]
}

function checkAddress(name: string, address: AnyAddress | undefined): asserts address is AnyAddress {
  if (address === null || typeof address !== 'object') throw invalidType(name, 'an address', address)
  if (address.family === 'Unix') {
    if (typeof address.path !== 'string') throw invalidType(`${name}.path`, 'of type string', address.path)
    if (Buffer.byteLength(address.path) > UNIX_SIZE) throw outOfRange(`${name}.path`, `at most ${UNIX_SIZE} bytes`, address.path)
    return
  }
  if (address.family !== 'IPv4' && address.family !== 'IPv6') {
    throw invalidValue(`${name}.family`, "must be 'IPv4', 'IPv6' or 'Unix'", (address as AnyAddress).family)
  }
  if (typeof address.address !== 'string' || ipBytes(address) === null) {
    throw invalidValue(`${name}.address`, `must be an ${address.family} address`, address.address)
  }
  checkInteger(`${name}.port`, address.port, 0, 65535)
}

function ipBytes({ family, address }: SocketAddress): Buffer | null {
  return family === 'IPv4' ? ipv4Bytes(address) : ipv6Bytes(address)
}

function lineHeader(addresses: Pair | null): Buffer {
  if (addresses === null) return Buffer.from('PROXY UNKNOWN\r\n')
  const [source, destination] = addresses
  if (source.family === 'Unix' || destination.family === 'Unix') {
    throw invalidValue('options.source', 'must be an IP address in version 1', source.family)
  }
  const text = (address: SocketAddress): string => {
    const bytes = ipBytes(address) as Buffer
    // The longest way to write one would make the line too long.
    return address.family === 'IPv4' ? ipv4Text(bytes) : ipv6Text(bytes)
  }
  const protocol = source.family === 'IPv4' ? 'TCP4' : 'TCP6'
  return Buffer.from(`PROXY ${protocol} ${text(source)} ${text(destination)} ${source.port} ${destination.port}\r\n`)
}

function binaryHeader(addresses: Pair | null, tlvs: readonly ProxyTlv[], checksum: boolean, transport: 'stream' | 'datagram'): Buffer {
  const parts = addresses === null ? [] : addressParts(addresses)
  for (const [i, tlv] of tlvs.entries()) parts.push(...tlvParts(`options.tlvs[${i}]`, tlv))
  if (checksum) parts.push(tlvHead(CHECKSUM, CHECKSUM_SIZE), Buffer.alloc(CHECKSUM_SIZE))
  const fixed = Buffer.alloc(FIXED_SIZE)
  const header = Buffer.concat([fixed, ...parts])
  const rest = header.length - FIXED_SIZE
  if (rest > MOST_REST) throw outOfRange('options.tlvs', `at most ${MOST_REST} bytes with the addresses`, rest)
  SIGNATURE.copy(header)
  header[12] = addresses === null ? 0x20 : 0x21
  header[13] = addresses === null ? 0 : (FAMILIES[addresses[0].family] << 4) | (transport === 'stream' ? 1 : 2)
  header.writeUInt16BE(rest, 14)
  const at = header.length - CHECKSUM_SIZE
  if (checksum) header.writeUInt32BE(crc32c(header, at), at)
  return header
}

function addressParts(addresses: Pair): Uint8Array[] {
  const ports = Buffer.alloc(2 * PORT_SIZE)
  const parts = addresses.map((address, i) => {
    if (address.family !== 'Unix') {
      ports.writeUInt16BE(address.port, i * PORT_SIZE)
      return ipBytes(address) as Buffer
    }
    const path = Buffer.alloc(UNIX_SIZE)
    path.write(address.path)
    return path
  })
  return addresses[0].family === 'Unix' ? parts : [...parts, ports]
}

function tlvHead(type: number, size: number): Buffer {
  return Buffer.from([type, size >> 8, size & 0xff])
}

function tlvParts(name: string, { type, value }: ProxyTlv): [Uint8Array, Uint8Array] {
  checkInteger(`${name}.type`, type, 0, 255)
  if (type === CHECKSUM || type === PADDING) throw invalidValue(`${name}.type`, 'is not to be given: see options.checksum', type)
  if (!(value instanceof Uint8Array)) throw invalidType(`${name}.value`, 'a Uint8Array', value)
  if (value.length > MOST_REST) throw outOfRange(`${name}.value`, `at most ${MOST_REST} bytes`, value.length)
  return [tlvHead(type, value.length), value]
}
