/** Node's own http and tls over sockets of either kind: servers that are handed connections, clients that are handed sockets. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import * as tls from 'node:tls'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { atTestEnd, closeAtEnd, closeOf, connecting, everything, onBoth, portOf, type Net } from './both.js'

let folder: string
let key: Buffer
let cert: Buffer

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'coreactor-tls-'))
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost']
  execFileSync('openssl', [...args, '-keyout', join(folder, 'key'), '-out', join(folder, 'cert')], { stdio: 'ignore' })
  key = readFileSync(join(folder, 'key'))
  cert = readFileSync(join(folder, 'cert'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

onBoth((net) => {
  /** A server of net that hands its connections to another one. */
  async function handing(to: { emit(event: 'connection', socket: Duplex): boolean }): Promise<Server> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => void to.emit('connection', socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closeAtEnd(server)
    return server
  }

  function agentOf(options: http.AgentOptions = {}): http.Agent {
    const agent = new http.Agent(options)
    ;(agent as unknown as { createConnection: Net['connect'] }).createConnection = net.connect
    atTestEnd(() => agent.destroy())
    return agent
  }

  async function get(port: number, options: http.RequestOptions = {}, body?: string): Promise<[response: http.IncomingMessage, body: string]> {
    const request = http.request({ port, host: '127.0.0.1', method: body === undefined ? 'GET' : 'POST', ...options })
    request.end(body)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return [response, await text(response)]
  }

  const echo: http.RequestListener = (request, response) => {
    text(request).then((body) => response.end(`${request.method} ${request.url} ${body.length} ${request.socket.remoteAddress}`), () => {})
  }

  it('http: requests with and without a body, small and large', async () => {
    const server = await handing(http.createServer(echo))
    const agent = agentOf()
    expect((await get(portOf(server), { agent, path: '/a' }))[1]).toBe('GET /a 0 127.0.0.1')
    expect((await get(portOf(server), { agent, path: '/b' }, 'x'.repeat(5_000_000)))[1]).toBe('POST /b 5000000 127.0.0.1')
  })

  it('http: an agent keeps a connection and uses it again', async () => {
    const server = await handing(http.createServer(echo))
    const agent = agentOf({ keepAlive: true, maxSockets: 1 })
    let connections = 0
    server.on('connection', () => connections++)
    for (let i = 0; i < 3; i++) await get(portOf(server), { agent })
    expect(connections).toBe(1)
  })

  it('http: pipelined requests are answered in order', async () => {
    const server = await handing(http.createServer((request, response) => setImmediate(() => response.end(`path ${request.url}`))))
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    socket.write(Array.from({ length: 20 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: x\r\n${i === 19 ? 'Connection: close\r\n' : ''}\r\n`).join(''))
    expect((await everything(socket)).match(/path \/\d+/g)).toEqual(Array.from({ length: 20 }, (_, i) => `path /${i}`))
  })

  it('http: a large answer to a slow reader, and one that is streamed in pieces', async () => {
    const server = await handing(
      http.createServer((request, response) => {
        if (request.url === '/large') return response.end(Buffer.alloc(8 << 20, 'y'))
        for (let i = 0; i < 100; i++) response.write(`piece ${i}\n`)
        return response.end()
      })
    )
    const agent = agentOf()
    const [, large] = await get(portOf(server), { agent, path: '/large' })
    expect(large.length).toBe(8 << 20)
    expect((await get(portOf(server), { agent }))[1].split('\n')).toHaveLength(101)
  })

  it('http: what is no request is answered with 400, and the connection closed', async () => {
    const server = await handing(http.createServer(echo))
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    socket.write('nonsense\r\n\r\n')
    expect(await everything(socket)).toMatch(/^HTTP\/1\.1 400 Bad Request/)
  })

  it('http: a server\'s timeouts, and an upgrade with what came along with it', async () => {
    const app = http.createServer(echo)
    app.on('upgrade', (_request, socket: Socket, head: Buffer) => socket.end(`HTTP/1.1 101 Switching\r\n\r\nhead ${String(head)}`))
    app.keepAliveTimeout = 10
    const server = await handing(app)
    const idle = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    idle.write('GET /t HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(await everything(idle)).toContain('GET /t')
    const upgrading = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    upgrading.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nmore')
    expect(await everything(upgrading)).toContain('head more')
  })

  it('http: a client that goes away in the middle is told to the server, and nothing is left', async () => {
    const aborted = new Promise<void>((resolve) => {
      void handing(http.createServer((request) => request.on('error', () => resolve()).resume())).then((server) => {
        const request = http.request({ port: portOf(server), host: '127.0.0.1', method: 'POST', agent: agentOf() })
        request.on('error', () => {})
        request.write('begun')
        setImmediate(() => setImmediate(() => request.destroy()))
      })
    })
    await aborted
  })

  it('tls: both sides, in the middle of a stream, and its end', async () => {
    const secure = tls.createServer({ key, cert }, (socket) => void socket.pipe(socket))
    const server = await handing(secure)
    const socket = tls.connect({ socket: connecting(net, { port: portOf(server), host: '127.0.0.1' }), rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const sent = 'secret'.repeat(100_000)
    socket.end(sent)
    expect(await text(socket)).toBe(sent)
    if (!socket.closed) await closeOf(socket)
  })

  it('tls: upgrading both sides of a connection that has talked in the clear', async () => {
    const server = net.createServer((socket) => {
      socket.once('data', () => {
        socket.write('go on')
        const secure = new tls.TLSSocket(socket, { isServer: true, key, cert })
        secure.on('data', (chunk) => secure.end(`secure ${String(chunk)}`))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closeAtEnd(server)
    const plain = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    plain.write('STARTTLS')
    expect(String((await once(plain, 'data'))[0])).toBe('go on')
    const secure = tls.connect({ socket: plain, rejectUnauthorized: false })
    secure.write('hello')
    expect(await text(secure)).toBe('secure hello')
  })

  it('http2: server and client', async () => {
    const server = await handing(http2.createServer((request, response) => response.end(`h2 ${request.url}`)) as never)
    const session = http2.connect('http://localhost', {
      createConnection: () => connecting(net, { port: portOf(server), host: '127.0.0.1' })
    })
    const closed = closeOf(session)
    expect(await text(session.request({ ':path': '/path' }))).toBe('h2 /path')
    session.close()
    await closed
  })
})
