/** Servers behind a proxy that says for whom it connects. The proxy here is the test; for a real one see haproxy.test.ts. */
import { expect, it } from 'vitest'
import {
  checkpoint,
  connect,
  listen,
  proxyHeader,
  ProxyProtocolError,
  readProxyHeader,
  run,
  serve,
  sleep,
  spawn,
  type Connection,
  type Coroutine,
  type ProxyInfo,
  type ProxyProtocolOptions,
  type ServeOptions,
  type Server
} from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { caught, onEveryKernel, pair, readAll } from './support.js'

const HERE = { port: 0, host: '127.0.0.1' }
const CLIENT = { family: 'IPv4', address: '192.0.2.1', port: 56324 } as const
const SITE = { family: 'IPv4', address: '198.51.100.7', port: 443 } as const

interface Behind {
  readonly server: Server
  readonly seen: { remote: unknown; local: unknown; proxy: ProxyInfo | null; said: string }[]
  readonly errors: (Error & { code?: string })[]
}

/** A server that notes who is there and sends back what they say. */
function* behind(proxyProtocol: ServeOptions['proxyProtocol'], options: Partial<ServeOptions> = {}): Coroutine<Behind> {
  const seen: Behind['seen'] = []
  const errors: Behind['errors'] = []
  const onError = (error: unknown): void => void errors.push(error as Error)
  const server = yield* serve({ ...HERE, proxyProtocol, onError, ...options }, function* (connection) {
    const { remoteAddress: remote, localAddress: local, proxy } = connection
    const said = String(yield* readAll(connection))
    seen.push({ remote, local, proxy, said })
    yield* connection.write(said)
  })
  return { server, seen, errors }
}

/** Sends the parts, each when the one before has had time to arrive, and gives what comes back. */
function* send(server: Server, ...parts: (string | Uint8Array)[]): Coroutine<string> {
  const client = yield* connect({ port: server.address.port })
  for (const part of parts) {
    yield* client.write(part)
    yield* client.flush()
    yield* sleep(0)
  }
  yield* client.closeWrite()
  const answer = yield* readAll(client)
  yield* client.close()
  return String(answer)
}

onEveryKernel('behind a proxy', (kernel) => {
  it.each([1, 2] as const)('the handler sees the client and where it wanted to go, and reads what it has sent (version %i)', async (version) => {
    await kernel.run(function* () {
      const { server, seen, errors } = yield* behind(true)
      const header = proxyHeader({ version, source: CLIENT, destination: SITE })
      expect(yield* send(server, Buffer.concat([header, Buffer.from('hello')]))).toBe('hello')
      yield* server.close()
      expect(errors).toEqual([])
      expect(seen).toMatchObject([{ remote: CLIENT, local: SITE, said: 'hello' }])
      expect(seen[0]?.proxy).toMatchObject({
        version,
        command: 'PROXY',
        source: CLIENT,
        destination: SITE,
        address: { family: 'IPv4', address: '127.0.0.1' },
        localAddress: server.address
      })
    })
  })

  it('a header that comes byte by byte is one', async () => {
    await kernel.run(function* () {
      const { server, seen } = yield* behind(true)
      for (const version of [1, 2] as const) {
        const header = proxyHeader({ version, source: CLIENT, destination: SITE })
        expect(yield* send(server, ...Array.from(header, (byte) => Buffer.from([byte])), 'x', 'y')).toBe('xy')
      }
      yield* server.close()
      expect(seen.map(({ remote }) => remote)).toEqual([CLIENT, CLIENT])
    })
  })

  it('what the proxy says in TLVs, and a path that the client came by, are in Connection.proxy', async () => {
    await kernel.run(function* () {
      const { server, seen } = yield* behind(true)
      const tlvs = [{ type: 2, value: Buffer.from('example.org') }]
      const unix = { family: 'Unix', path: '/run/front.sock' } as const
      yield* send(server, proxyHeader({ source: unix, destination: unix, tlvs, checksum: true }))
      yield* server.close()
      expect(seen[0]?.proxy).toMatchObject({ tlvs, source: unix })
      expect(seen[0]?.remote).toMatchObject({ address: '127.0.0.1' })
      expect(seen[0]?.local).toEqual(server.address)
    })
  })

  it("a connection of the proxy's own is served with the real addresses", async () => {
    await kernel.run(function* () {
      const { server, seen } = yield* behind(true)
      expect(yield* send(server, proxyHeader(), 'check')).toBe('check')
      yield* server.close()
      expect(seen).toMatchObject([{ remote: { address: '127.0.0.1' }, local: server.address, proxy: { command: 'LOCAL' } }])
    })
  })

  it.each([
    ['no header', 'GET / HTTP/1.1\r\n', 'absent'],
    ['a bad one', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n', 'malformed'],
    ['one that ends in the middle', 'PROXY TCP4 1.2.', 'end']
  ])('%s ends the connection and is reported; the server lives', async (_, bytes, problem) => {
    await kernel.run(function* () {
      const { server, seen, errors } = yield* behind(true)
      const client = yield* connect({ port: server.address.port })
      yield* client.write(bytes)
      yield* client.closeWrite()
      expect(yield* caught(() => readAll(client))).toMatchObject({ code: 'ECONNRESET' })
      client.reset()
      expect(yield* send(server, proxyHeader({ source: CLIENT, destination: SITE }), 'on')).toBe('on')
      yield* server.close()
      expect(errors).toMatchObject([{ code: 'ERR_COREACTOR_PROXY_PROTOCOL', problem }])
      expect(errors[0]).toBeInstanceOf(ProxyProtocolError)
      expect(seen).toHaveLength(1)
    })
  })

  it('a peer that finishes without a byte is neither served nor reported', async () => {
    await kernel.run(function* () {
      const { server, seen, errors } = yield* behind(true)
      expect(yield* send(server)).toBe('')
      yield* server.close()
      expect([seen, errors]).toEqual([[], []])
    })
  })

  it('where a header may be missing, what comes instead is data; a bad one is still an error', async () => {
    await kernel.run(function* () {
      const { server, seen, errors } = yield* behind({ optional: true })
      expect(yield* send(server, 'PRO', 'BLEM')).toBe('PROBLEM')
      expect(yield* send(server, proxyHeader({ source: CLIENT, destination: SITE }), 'x')).toBe('x')
      const client = yield* connect({ port: server.address.port })
      yield* client.write('PROXY \r\n')
      yield* caught(() => readAll(client))
      client.reset()
      yield* server.close()
      expect(seen.map(({ proxy }) => proxy?.command)).toEqual([undefined, 'PROXY'])
      expect(errors).toMatchObject([{ problem: 'malformed' }])
    })
  })

  it('a header from somebody who is no proxy is data', async () => {
    await kernel.run(function* () {
      const header = proxyHeader({ version: 1, source: CLIENT, destination: SITE })
      const trusting: [from: string[], whom: object][] = [
        [['127.0.0.1'], CLIENT],
        [['10.0.0.0/8', '127.0.0.0/8'], CLIENT],
        [['::1', '10.0.0.0/8'], { address: '127.0.0.1' }],
        [[], { address: '127.0.0.1' }]
      ]
      for (const [from, whom] of trusting) {
        const { server, seen } = yield* behind({ from })
        expect(yield* send(server, header)).toBe(whom === CLIENT ? '' : String(header))
        yield* server.close()
        expect(seen).toMatchObject([{ remote: whom }])
      }
    })
  })

  it('perAddressLimit counts by the address of the client, not by that of the proxy', async () => {
    const other = { ...CLIENT, address: '192.0.2.99' }
    await kernel.run(function* () {
      const server = yield* serve({ ...HERE, proxyProtocol: true, perAddressLimit: 1 }, function* (connection) {
        for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
      })
      const open = function* (source: typeof other | typeof CLIENT): Coroutine<Connection> {
        const connection = yield* connect({ port: server.address.port, host: '127.0.0.1' })
        yield* connection.write(Buffer.concat([proxyHeader({ version: 2, source, destination: SITE }), Buffer.from('x')]))
        return connection
      }
      const first = yield* open(CLIENT)
      expect(String(yield* first.readExactly(1))).toBe('x')
      const second = yield* open(CLIENT)
      expect((yield* caught(() => second.readSome())).code).toBe('ECONNRESET')
      const elsewhere = yield* open(other)
      expect(String(yield* elsewhere.readExactly(1))).toBe('x')
      expect(server.statistics()).toMatchObject({ open: 2, accepted: 2, refused: 1, failed: 0 })
      yield* first.close()
      while (server.connections > 1) yield* checkpoint()
      const third = yield* open(CLIENT)
      expect(String(yield* third.readExactly(1))).toBe('x')
      for (const connection of [second, elsewhere, third]) yield* connection.close()
      yield* server.close()
    })
  })

  it('closing the server does not wait for headers', async () => {
    await kernel.run(function* () {
      const { server, errors } = yield* behind(true)
      const client = yield* connect({ port: server.address.port })
      yield* client.write('PROXY ')
      while (server.connections === 0) yield* sleep(1)
      yield* server.close()
      expect(yield* caught(() => readAll(client))).toMatchObject({ code: 'ECONNRESET' })
      client.reset()
      expect(errors).toEqual([])
    })
  })

  it('a header is read from any connection, and nothing else of it', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write(Buffer.concat([proxyHeader({ source: CLIENT, destination: SITE }), Buffer.from('rest')]))
      expect(yield* readProxyHeader(server)).toMatchObject({ source: CLIENT })
      expect(String(yield* server.readSome())).toBe('rest')
      yield* client.write('PROXY TCP5')
      const reading = spawn(() => readProxyHeader(server))
      yield* sleep(1)
      reading.cancel()
      yield* caught(() => reading)
      expect(String(yield* server.readExactly(10))).toBe('PROXY TCP5')
      yield* client.close()
      expect(yield* readProxyHeader(server)).toBe(null)
      yield* server.close()
    })
  })
})

it('a header that is late is an error at the time that was given, 5 seconds by default', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      for (const [timeout, at] of [[undefined, 5000], [200, 200]] as const) {
        const { server, errors } = yield* behind({ timeout } as ProxyProtocolOptions)
        const began = kernel.now()
        const client = yield* connect({ port: server.address.port })
        yield* client.write('PROXY TCP4')
        expect(yield* caught(() => readAll(client))).toMatchObject({ code: 'ECONNRESET' })
        expect(kernel.now() - began).toBe(at)
        client.reset()
        yield* server.close()
        expect(errors).toMatchObject([{ problem: 'late', message: `PROXY protocol: no header within ${at} ms` }])
      }
    },
    { kernel }
  )
  expect(kernel.openSockets).toBe(0)
})

it('a mapped address is that of the IPv4 network', async () => {
  await run(function* () {
    const { server, seen } = yield* behind({ from: ['127.0.0.0/8'] }, { host: '::' })
    yield* send(server, proxyHeader({ source: CLIENT, destination: SITE }))
    yield* server.close()
    expect(seen).toMatchObject([{ remote: CLIENT, proxy: { address: { family: 'IPv6', address: '::ffff:127.0.0.1' } } }])
  })
})

it('passes on for whom it connects, as a proxy itself', async () => {
  await run(function* () {
    const { server, seen } = yield* behind(true)
    const proxy = yield* serve(HERE, function* (connection) {
      const upstream = yield* connect({ port: server.address.port })
      yield* upstream.write(proxyHeader({ source: connection.remoteAddress, destination: connection.localAddress }))
      yield* upstream.write(yield* readAll(connection))
      yield* upstream.closeWrite()
      yield* connection.write(yield* readAll(upstream))
      yield* upstream.close()
    })
    expect(yield* send(proxy, 'through')).toBe('through')
    yield* proxy.close()
    yield* server.close()
    expect(seen).toMatchObject([{ remote: { address: '127.0.0.1' }, local: proxy.address }])
  })
})

it.each([
  ['yes', 'ERR_INVALID_ARG_TYPE'],
  [{ from: '127.0.0.1' }, 'ERR_INVALID_ARG_TYPE'],
  [{ from: ['localhost'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ from: ['10.0.0.0/33'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ from: ['10.0.0.0/'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ from: ['::1/128/1'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ timeout: NaN }, 'ERR_OUT_OF_RANGE'],
  [{ optional: 1 }, 'ERR_INVALID_ARG_TYPE']
])('refuses %j before it listens', (proxyProtocol, code) => {
  const options = { ...HERE, proxyProtocol } as ServeOptions
  expect(() => serve(options, function* () {})).toThrow(expect.objectContaining({ code }))
})

it('refuses to read a header without a deadline that is a number', async () => {
  await run(function* () {
    const listener = yield* listen(HERE)
    expect(() => readProxyHeader({} as Connection, { timeout: '1' as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    yield* listener.close()
  })
})
