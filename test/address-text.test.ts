/** Socket addresses as text. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connect, formatAddress, HostNotNumericError, listen, parseAddress, type AnyAddress } from 'coreactor'
import { onEveryKernel } from './support.js'

const refused: unknown = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' })

describe('parseAddress', () => {
  const good: [text: string, address: AnyAddress][] = [
    ['1.2.3.4:80', { family: 'IPv4', address: '1.2.3.4', port: 80 }],
    ['0.0.0.0:0', { family: 'IPv4', address: '0.0.0.0', port: 0 }],
    ['[::]:65535', { family: 'IPv6', address: '::', port: 65535 }],
    ['[::1%lo]:80', { family: 'IPv6', address: '::1%lo', port: 80 }],
    ['[::ffff:1.2.3.4]:80', { family: 'IPv6', address: '::ffff:1.2.3.4', port: 80 }],
    ['unix:/run/my.sock', { family: 'Unix', path: '/run/my.sock' }],
    ['unix:relative', { family: 'Unix', path: 'relative' }],
    ['unix:@name', { family: 'Unix', path: '\0name' }],
    ['unix:./@name', { family: 'Unix', path: './@name' }],
    ['/run/my.sock:80', { family: 'Unix', path: '/run/my.sock:80' }],
    ['./my.sock', { family: 'Unix', path: './my.sock' }],
    ['../my.sock', { family: 'Unix', path: '../my.sock' }]
  ]
  it.each(good)('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address)
  })

  const bad = [
    '', ':80', '1.2.3.4', '1.2.3.4:', '1.2.3.4:080', '1.2.3.4:+80', '1.2.3.4: 80', '1.2.3.4:80 ', '1.2.3.4:65536', '1.2.3.4:8e1',
    '::1', '::1:80', '[::1]', '[::1]80', '[::1', '[1.2.3.4]:80', '[]:80', '[::1]:80:80', 'unix:', 'unix:a\0b', 'unix:/' + 'x'.repeat(107)
  ]
  it.each(bad)('refuses %j', (text) => {
    expect(() => parseAddress(text)).toThrow(refused)
  })

  it.each(['localhost:80', 'example.com:80', '1.2.3:80', '01.2.3.4:80', 'my.sock'])('names are not resolved: %s', (text) => {
    expect(() => parseAddress(text)).toThrow(HostNotNumericError)
  })

  it('what is no text is ERR_INVALID_ARG_TYPE', () => {
    for (const text of [undefined, null, 80, {}]) {
      expect(() => parseAddress(text as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
  })
})

describe('formatAddress', () => {
  it('writes a path that looks abstract so that it is none', () => {
    expect(formatAddress({ family: 'Unix', path: '@name' })).toBe('unix:./@name')
    expect(formatAddress({ family: 'Unix', path: '\0name' })).toBe('unix:@name')
    expect(formatAddress({ family: 'Unix', path: '' })).toBe('unix:')
  })

  it('refuses what is no address', () => {
    const refuse = (address: unknown): void => expect(() => formatAddress(address as never)).toThrow(refused)
    refuse({ family: 'IPv4', address: '::1', port: 80 })
    refuse({ family: 'IPv6', address: '1.2.3.4', port: 80 })
    refuse({ family: 'IPv4', address: '1.2.3.4', port: 65536 })
    refuse({ family: 'IPv4', address: '1.2.3.4', port: 1.5 })
    refuse({ family: 'IPX', address: '1.2.3.4', port: 1 })
    refuse({ family: 'Unix', path: 'a\0b' })
    expect(() => formatAddress(null as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
})

onEveryKernel('an address as an option', (kernel) => {
  it('is where to listen, and where to connect to', async () => {
    await kernel.run(function* () {
      for (const text of ['127.0.0.1:0', `unix:@address-${process.pid}`]) {
        const listener = yield* listen(parseAddress(text))
        const client = yield* connect(listener.address)
        expect(formatAddress(client.remoteAddress as AnyAddress)).toBe(formatAddress(listener.address))
        if (listener.address.family === 'IPv4') expect(listener.address.address).toBe('127.0.0.1')
        client.reset()
        yield* listener.close()
      }
    })
  })

  it('must be the host, where both are said', async () => {
    expect(() => listen({ port: 0, host: '::1', address: '127.0.0.1' })).toThrow(refused)
    await kernel.run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1', address: '127.0.0.1' })
      yield* listener.close()
    })
  })
})

describe('both', () => {
  const port = fc.integer({ min: 0, max: 65535 })
  const zone = fc.option(fc.stringMatching(/^[a-z][a-z0-9.-]{0,9}$/), { nil: null })
  const fits = (path: string): boolean => Buffer.byteLength(path) <= 107
  const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 107 }).filter((text) => fits(text) && !/[\0]|^@/.test(text))
  const abstract = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 107 }).filter(fits).map((text) => `\0${text}`)
  const address: fc.Arbitrary<AnyAddress> = fc.oneof(
    fc.record({ family: fc.constant('IPv4' as const), address: fc.ipV4(), port }),
    fc
      .record({ family: fc.constant('IPv6' as const), address: fc.ipV6(), zone, port })
      .map(({ zone, address, ...rest }) => ({ ...rest, address: zone === null ? address : `${address}%${zone}` })),
    fc.record({ family: fc.constant('Unix' as const), path }),
    fc.record({ family: fc.constant('Unix' as const), path: abstract })
  )

  it('what is written is read as the same address', () => {
    fc.assert(
      fc.property(address, (each) => {
        expect(parseAddress(formatAddress(each))).toEqual(each)
      })
    )
  })

  it('any text is either refused or read, and what is read is written in one form', () => {
    const characters = fc.constantFrom(...'0123456789abf:.[]%@/unix\0')
    const text = fc.oneof(fc.string(), fc.string({ unit: characters, maxLength: 20 }))
    fc.assert(
      fc.property(text, (each) => {
        let read: AnyAddress
        try {
          read = parseAddress(each)
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^ERR_INVALID_ARG_VALUE$|^ERR_COREACTOR_HOST_NOT_NUMERIC$/)
          return
        }
        const written = formatAddress(read)
        expect(parseAddress(written)).toEqual(read)
        expect(formatAddress(parseAddress(written))).toBe(written)
      })
    )
  })
})
