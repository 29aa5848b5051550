/** The header of the PROXY protocol as bytes: the examples of its specification, and what fast-check thinks of. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { proxyHeader, ProxyProtocolError, type AnyAddress, type ProxyHeader, type ProxyHeaderOptions } from 'coreactor'
import { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text } from '../lib/net/ip-bytes.js'
import { parseProxyHeader } from '../lib/net/proxy-header.js'

const V4 = { family: 'IPv4', address: '192.0.2.1', port: 56324 } as const
const V4_TO = { family: 'IPv4', address: '198.51.100.7', port: 443 } as const
const SIGNATURE = '0d0a0d0a000d0a515549540a'

function parsed(bytes: Buffer): ProxyHeader {
  const result = parseProxyHeader(bytes)
  if (typeof result === 'number') throw new Error(`asks for ${result} bytes`)
  expect(result.length).toBe(bytes.length)
  return result.header
}

function problemOf(bytes: Buffer): string {
  try {
    return `none: ${JSON.stringify(parseProxyHeader(bytes))}`
  } catch (error) {
    expect(error).toBeInstanceOf(ProxyProtocolError)
    expect(error).toMatchObject({ code: 'ERR_COREACTOR_PROXY_PROTOCOL' })
    return (error as ProxyProtocolError).problem
  }
}

const binary = (hex: string): Buffer => Buffer.from(SIGNATURE + hex.replaceAll(' ', ''), 'hex')
const line = (text: string): Buffer => Buffer.from(text, 'latin1')

describe('version 1', () => {
  it('reads the lines of the specification', () => {
    const header = parsed(line('PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'))
    expect(header).toEqual({ version: 1, command: 'PROXY', transport: 'stream', source: V4, destination: V4_TO, tlvs: [] })
    expect(parsed(line('PROXY TCP6 2001:DB8::1 ::1 65535 0\r\n'))).toMatchObject({
      source: { family: 'IPv6', address: '2001:db8::1', port: 65535 },
      destination: { family: 'IPv6', address: '::1', port: 0 }
    })
    // The longest lines there are.
    const longest = Array(8).fill('ffff').join(':')
    expect(parsed(line(`PROXY TCP6 ${longest} ${longest} 65535 65535\r\n`)).source).toMatchObject({ address: longest })
    expect(parsed(line(`PROXY UNKNOWN ${longest} ${longest} 65535 65535\r\n`))).toMatchObject({ command: 'PROXY', source: null })
    expect(parsed(line('PROXY UNKNOWN\r\n'))).toMatchObject({ source: null, destination: null })
  })

  it('leaves what follows the line', () => {
    const bytes = line('PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n')
    expect(parseProxyHeader(bytes)).toMatchObject({ length: 15 })
  })

  it.each([
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n', 'another end of the line'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\r', 'half an end of the line'],
    ['PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n', 'two spaces'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n', 'a space at the end'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n', 'a missing port'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n', 'a port out of range'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n', 'a zero before a port'],
    ['PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n', 'a sign before a port'],
    ['PROXY TCP4 192.0.2.01 198.51.100.7 1 443\r\n', 'a zero before a part of an address'],
    ['PROXY TCP4 192.0.2 198.51.100.7 1 443\r\n', 'a short address'],
    ['PROXY TCP4 ::1 ::1 1 443\r\n', 'an address of the other family'],
    ['PROXY TCP6 fe80::1%lo ::1 1 443\r\n', 'a zone'],
    ['PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n', 'another protocol'],
    ['PROXY tcp4 192.0.2.1 198.51.100.7 1 443\r\n', 'small letters'],
    ['PROXY UNKNOWN \xff\r\n', 'a byte that is no text'],
    [`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, '108 bytes'],
    [`PROXY UNKNOWN ${'x'.repeat(200)}`, 'a line without an end']
  ])('refuses %j: %s', (text) => {
    expect(problemOf(line(text))).toBe('malformed')
  })
})

describe('version 2', () => {
  it('reads IPv4, IPv6 and Unix addresses, and what else is said', () => {
    const header = parsed(binary('21 11 0013 c0000201 c6336407 dc04 01bb 02 0004 6c6f6361'))
    expect(header).toEqual({
      version: 2,
      command: 'PROXY',
      transport: 'stream',
      source: V4,
      destination: V4_TO,
      tlvs: [{ type: 2, value: Buffer.from('loca') }]
    })
    const v6 = '20010db8000000000000000000000001'
    expect(parsed(binary(`21 22 0024 ${v6} ${v6} 0001 0002`))).toMatchObject({
      transport: 'datagram',
      source: { family: 'IPv6', address: '2001:db8::1', port: 1 },
      destination: { family: 'IPv6', address: '2001:db8::1', port: 2 }
    })
    const path = Buffer.concat([Buffer.from('/run/a'), Buffer.alloc(102)]).toString('hex')
    const abstract = Buffer.concat([Buffer.from('\0name'), Buffer.alloc(103)]).toString('hex')
    expect(parsed(binary(`21 31 00d8 ${path} ${abstract}`))).toMatchObject({
      source: { family: 'Unix', path: '/run/a' },
      destination: { family: 'Unix', path: '\0name' }
    })
  })

  it('a connection of the proxy itself has no addresses, whatever stands in their place', () => {
    expect(parsed(binary('20 00 0000'))).toEqual({ version: 2, command: 'LOCAL', transport: 'stream', source: null, destination: null, tlvs: [] })
    expect(parsed(binary('20 11 0003 010203'))).toMatchObject({ command: 'LOCAL', source: null, tlvs: [] })
    expect(parsed(binary('20 ff 0003 010203'))).toMatchObject({ command: 'LOCAL', source: null, tlvs: [] })
    expect(parsed(binary('21 00 0004 e0 0001 61'))).toMatchObject({ command: 'PROXY', source: null, tlvs: [{ type: 0xe0 }] })
  })

  it('adds the CRC-32C of the header, in which it counts as zeros itself', () => {
    const bytes = proxyHeader({ source: V4, destination: V4_TO, checksum: true })
    const zeroed = Buffer.from(bytes).fill(0, bytes.length - 4)
    let crc = 0xffff_ffff
    for (const byte of zeroed) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    }
    expect(bytes.readUInt32BE(bytes.length - 4)).toBe(~crc >>> 0)
    expect(parsed(bytes).tlvs).toEqual([])
  })

  it('padding is not among what was said', () => {
    expect(parsed(binary('21 11 0012 c0000201 c6336407 dc04 01bb 04 0003 000000')).tlvs).toEqual([])
  })

  it.each([
    ['11 11 000c c0000201 c6336407 dc04 01bb', 'another version'],
    ['22 11 000c c0000201 c6336407 dc04 01bb', 'another command'],
    ['21 10 000c c0000201 c6336407 dc04 01bb', 'a family without a transport'],
    ['21 01 0000', 'a transport without a family'],
    ['21 41 000c c0000201 c6336407 dc04 01bb', 'another family'],
    ['21 13 000c c0000201 c6336407 dc04 01bb', 'another transport'],
    ['21 11 000b c0000201 c6336407 dc04 01', 'too few bytes for the addresses'],
    ['21 11 000e c0000201 c6336407 dc04 01bb e000', 'a TLV without its length'],
    ['21 11 0010 c0000201 c6336407 dc04 01bb e0 0002 61', 'a TLV that is cut off'],
    ['21 11 0010 c0000201 c6336407 dc04 01bb 03 0001 61', 'a short checksum']
  ])('refuses %s: %s', (hex) => {
    expect(problemOf(binary(hex))).toBe('malformed')
  })

  it('a wrong checksum is its own problem', () => {
    expect(problemOf(binary('21 11 0013 c0000201 c6336407 dc04 01bb 03 0004 00000000'))).toBe('checksum')
  })
})

it('what is no header is known by the first byte that differs', () => {
  for (const text of ['GET / HTTP/1.1', '\x16\x03\x01', 'PROXX', 'PROXY\t', '\r\n\r\n\0\r\nQUIT\r', ' PROXY']) {
    expect(problemOf(line(text))).toBe('absent')
  }
  expect(parseProxyHeader(line(''))).toBe(1)
  expect(parseProxyHeader(line('PRO'))).toBe(4)
  expect(parseProxyHeader(line('\r\n\r'))).toBe(4)
})

it.each([
  [{ version: 3 }, 'ERR_INVALID_ARG_VALUE'],
  [{ source: V4 }, 'ERR_INVALID_ARG_TYPE'],
  [{ source: V4, destination: { family: 'IPv6', address: '::1', port: 1 } }, 'ERR_INVALID_ARG_VALUE'],
  [{ source: { ...V4, address: 'localhost' }, destination: V4_TO }, 'ERR_INVALID_ARG_VALUE'],
  [{ source: { ...V4, port: 65536 }, destination: V4_TO }, 'ERR_OUT_OF_RANGE'],
  [{ source: { family: 'Unix', path: 'x'.repeat(109) }, destination: { family: 'Unix', path: '' } }, 'ERR_OUT_OF_RANGE'],
  [{ version: 1, source: { family: 'Unix', path: 'x' }, destination: { family: 'Unix', path: '' } }, 'ERR_INVALID_ARG_VALUE'],
  [{ version: 1, tlvs: [{ type: 2, value: Buffer.alloc(1) }] }, 'ERR_INVALID_ARG_VALUE'],
  [{ version: 1, checksum: true }, 'ERR_INVALID_ARG_VALUE'],
  [{ tlvs: [{ type: 256, value: Buffer.alloc(1) }] }, 'ERR_OUT_OF_RANGE'],
  [{ tlvs: [{ type: 3, value: Buffer.alloc(4) }] }, 'ERR_INVALID_ARG_VALUE'],
  [{ tlvs: [{ type: 2, value: 'text' }] }, 'ERR_INVALID_ARG_TYPE'],
  [{ tlvs: [{ type: 2, value: Buffer.alloc(65_533) }] }, 'ERR_OUT_OF_RANGE']
])('makes no header of %j', (options, code) => {
  expect(() => proxyHeader(options as ProxyHeaderOptions)).toThrow(expect.objectContaining({ code }))
})

// Anything at all ----------------------------------------------------------------------------------------------------

const port = fc.integer({ min: 0, max: 65535 })
const ip4 = fc.record({ family: fc.constant('IPv4' as const), address: fc.ipV4(), port })
const ip6 = fc.record({ family: fc.constant('IPv6' as const), address: fc.ipV6().map((text) => ipv6Text(ipv6Bytes(text) as Buffer)), port })
const path = fc.stringMatching(/^[a-z/._-]{0,108}$/)
const unix = fc.record({ family: fc.constant('Unix' as const), path: fc.oneof(path, path.map((name) => `\0${name.slice(1)}`)) })
const pairOf = <T extends AnyAddress>(one: fc.Arbitrary<T>) => fc.record({ source: one, destination: one })
const tlv = fc.record({
  type: fc.integer({ min: 0, max: 255 }).filter((type) => type !== 3 && type !== 4),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
})

const options: fc.Arbitrary<ProxyHeaderOptions> = fc.oneof(
  fc.oneof(pairOf(ip4), pairOf(ip6), fc.constant({})).map((addresses) => ({ version: 1 as const, ...addresses })),
  fc
    .tuple(fc.oneof(pairOf(ip4), pairOf(ip6), pairOf(unix), fc.constant({})), fc.array(tlv, { maxLength: 4 }), fc.boolean(), fc.constantFrom('stream' as const, 'datagram' as const))
    .map(([addresses, tlvs, checksum, transport]) => ({ version: 2 as const, ...addresses, tlvs, checksum, transport }))
)

const lone = (path: string): string => (/^\0+$/.test(path) ? '' : path)
const asRead = (address: AnyAddress | undefined): AnyAddress | null =>
  address === undefined ? null : address.family === 'Unix' ? { ...address, path: lone(address.path) } : address

it('what is written is read again, however it is cut, and what follows is left', () => {
  fc.assert(
    fc.property(options, fc.uint8Array({ maxLength: 40 }), (given, rest) => {
      const bytes = proxyHeader(given)
      for (let length = 0; length < bytes.length; length++) {
        const need = parseProxyHeader(bytes.subarray(0, length))
        expect(need).toBeTypeOf('number')
        // It never asks for what may not come, and always for more.
        expect(need).toBeGreaterThan(length)
        expect(need).toBeLessThanOrEqual(bytes.length)
        // A long rest is all alike.
        if (length >= 20 && length < bytes.length - 20) length += 13
      }
      const { version = 2, source, destination, tlvs = [], transport = 'stream' } = given
      const command = version === 2 && source === undefined ? 'LOCAL' : 'PROXY'
      expect(parseProxyHeader(Buffer.concat([bytes, rest]))).toEqual({
        header: {
          version,
          command,
          transport: source === undefined ? 'stream' : transport,
          source: asRead(source),
          destination: asRead(destination),
          tlvs
        },
        length: bytes.length
      })
    })
  )
})

it('a changed byte of an address, of a value or of the checksum itself is a wrong checksum', () => {
  fc.assert(
    fc.property(pairOf(ip6), tlv, fc.nat(), fc.integer({ min: 1, max: 255 }), (addresses, one, where, change) => {
      const bytes = proxyHeader({ ...addresses, tlvs: [one], checksum: true })
      const tlvHead = 16 + 36
      const checksumHead = bytes.length - 7
      const places = [...bytes.keys()].filter((at) => {
        const inHead = at < 16 || (at >= tlvHead && at < tlvHead + 3) || (at >= checksumHead && at < checksumHead + 3)
        return !inHead
      })
      const at = places[where % places.length] as number
      bytes[at] = (bytes[at] as number) ^ change
      expect(problemOf(bytes)).toBe('checksum')
    })
  )
})

it('any bytes are a header that can be written again, the beginning of one, or a ProxyProtocolError', () => {
  const noise = fc.uint8Array({ maxLength: 160 }).map((bytes) => Buffer.from(bytes))
  const begun = fc.tuple(fc.constantFrom(line('PROXY '), line('PROXY TCP4 '), binary(''), binary('21'), binary('2111'), binary('21110010')), noise)
  const mutated = fc.tuple(options, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })).map(([given, changes]) => {
    const bytes = proxyHeader(given)
    for (const [where, value] of changes) bytes[where % bytes.length] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(noise, begun.map((parts) => Buffer.concat(parts)), mutated), (bytes) => {
      const result = safely(bytes)
      if (result === null) return
      if (typeof result === 'number') {
        expect(result).toBeGreaterThan(bytes.length)
        return
      }
      expect(result.length).toBeLessThanOrEqual(bytes.length)
      const { version, source, destination, tlvs, transport } = result.header
      // A path that is no UTF-8 cannot be written again.
      if ([source, destination].some((address) => address?.family === 'Unix' && address.path.includes('\ufffd'))) return
      const again = source === null || destination === null ? { version, tlvs } : { version, tlvs, source, destination, transport }
      expect(parsed(proxyHeader(version === 1 ? { ...again, tlvs: [] } : again))).toMatchObject({ source, destination, tlvs })
    }),
    { numRuns: 1000 }
  )
})

function safely(bytes: Buffer): ReturnType<typeof parseProxyHeader> | null {
  try {
    return parseProxyHeader(bytes)
  } catch (error) {
    if (error instanceof ProxyProtocolError) return null
    throw error
  }
}

it('addresses are written as the system writes them', () => {
  for (const text of ['::', '::1', '1::', '1:2:3:4:5:6:7:8', '2001:db8::1', '1:0:0:2::3', '1::2:0:0:3', '0:1:2:3:4:5:6:7', '::ffff:127.0.0.1']) {
    expect(ipv6Text(ipv6Bytes(text) as Buffer)).toBe(text)
  }
  expect(ipv6Text(ipv6Bytes('1:0:0:2:0:0:0:3') as Buffer)).toBe('1:0:0:2::3')
  expect(ipv6Text(ipv6Bytes('1:0:2:3:4:5:6:7') as Buffer)).toBe('1:0:2:3:4:5:6:7')
  expect(ipv6Text(ipv6Bytes('fe80::1%eth0') as Buffer)).toBe('fe80::1')
  expect(ipv4Text(ipv4Bytes('10.0.0.255') as Buffer)).toBe('10.0.0.255')
  expect(ipv4Bytes('10.0.0.256')).toBe(null)
  expect(ipv6Bytes('localhost')).toBe(null)
})
