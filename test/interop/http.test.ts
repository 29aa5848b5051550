/** node:http, https and http2 over coreactor: servers and clients. */
import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage, type RequestListener, type RequestOptions } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import tls from 'node:tls'
import { Event, map, run, serve, timeout, TimeoutError, toNode, until, type Coroutine, type DeadlineScope } from 'coreactor'
import { connect, type AddressInfo } from 'coreactor/net'
import { beforeAll, describe, expect, it } from 'vitest'
import { caught, pattern } from '../support.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { abortable, closed, listenFor, OverCoreactorAgent } from './http.js'
import { quick } from './size.js'

let certificate: Certificate
beforeAll(async () => {
  certificate = await makeCertificate()
})

const MEGABYTES = quick ? 4 : 64
const REQUESTS = quick ? 200 : 2000
const TIMEOUT_MS = 20_000

const limited = <T>(main: (scope: DeadlineScope) => Coroutine<T>): Promise<T> => run(() => timeout(TIMEOUT_MS, main))

async function received(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

async function answerTo(request: ClientRequest, body?: string | Buffer): Promise<Answer> {
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await received(response) }
}

/** Gives back what it is sent, and says where from. */
const mirror: RequestListener = (request, response) => {
  response.setHeader('x-method', request.method as string)
  response.setHeader('x-peer', String(request.socket.remoteAddress))
  request.pipe(response)
}

/** The two ways in which a server gets its sockets. */
const ways = {
  'coreactor/net': function* (app: http.Server): Coroutine<{ port: number; close(): Coroutine<void> }> {
    const server = yield* listenFor(app)
    return {
      port: (server.address() as AddressInfo).port,
      *close() {
        const ended = closed(server.close())
        app.closeIdleConnections()
        yield* ended
      }
    }
  },
  'serve and toNode': function* (app: http.Server): Coroutine<{ port: number; close(): Coroutine<void> }> {
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      const socket = toNode(connection, { allowHalfOpen: true })
      app.emit('connection', socket)
      yield* closed(socket)
    })
    return {
      port: server.address.port,
      *close() {
        app.closeIdleConnections()
        yield* server.close({ grace: 1000 })
      }
    }
  }
}

describe.each(Object.entries(ways))('an http server over %s', (_, listenOver) => {
  it('answers requests of every kind, and large bodies both ways', async () => {
    await limited(function* () {
      const server = yield* listenOver(http.createServer(mirror))
      const options: RequestOptions = { createConnection: () => connect(server.port, '127.0.0.1') as never }
      const get = yield* until(answerTo(http.request({ ...options, path: '/' })))
      expect(get).toMatchObject({ status: 200, headers: { 'x-method': 'GET', 'x-peer': '127.0.0.1' } })
      const bytes = pattern(MEGABYTES * 2 ** 20)
      const post = yield* until(answerTo(http.request({ ...options, method: 'POST' }), bytes))
      expect(post.headers['x-method']).toBe('POST')
      expect(post.body.equals(bytes)).toBe(true)
      yield* server.close()
    })
  })

  it('keeps connections alive for an agent, which shares them between tasks', async () => {
    await limited(function* () {
      let connections = 0
      const app = http.createServer(mirror)
      app.on('connection', () => connections++)
      const server = yield* listenOver(app)
      const agent = new OverCoreactorAgent({ keepAlive: true, maxSockets: 4 })
      const bodies = yield* map(Array.from({ length: REQUESTS }, (_, i) => i), 20, function* (i) {
        const request = http.request({ host: '127.0.0.1', port: server.port, agent, method: 'POST' })
        return String((yield* until(answerTo(request, `nr. ${i}`))).body)
      })
      expect(bodies).toEqual(Array.from({ length: REQUESTS }, (_, i) => `nr. ${i}`))
      expect(connections).toBe(4)
      agent.destroy()
      yield* server.close()
    })
  })

  it('a request that is cut off by a timeout of ours ends at both sides', async () => {
    await limited(function* () {
      const gone = new Event()
      const server = yield* listenOver(http.createServer((_, response) => void response.on('close', () => gone.set())))
      const options: RequestOptions = { createConnection: () => connect(server.port, '127.0.0.1') as never }
      const asking = abortable((signal) => answerTo(http.request({ ...options, signal })))
      expect(yield* caught(() => timeout(100, asking))).toBeInstanceOf(TimeoutError)
      yield* gone.wait()
      yield* server.close()
    })
  })

  it('upgrades to a protocol of its own', async () => {
    await limited(function* () {
      const app = http.createServer()
      app.on('upgrade', (_, socket, head) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
        socket.unshift(head)
        socket.pipe(socket)
      })
      const server = yield* listenOver(app)
      const request = http.request({
        createConnection: () => connect(server.port, '127.0.0.1') as never,
        headers: { connection: 'Upgrade', upgrade: 'echo' }
      })
      request.end()
      const [, socket] = (yield* until(once(request, 'upgrade'))) as [unknown, NodeJS.ReadWriteStream]
      socket.end('over and out')
      expect(String(yield* until(received(socket as never)))).toBe('over and out')
      yield* server.close()
    })
  })

  it('100-continue, trailers, and a malformed request', async () => {
    await limited(function* () {
      const errors: unknown[] = []
      const app = http.createServer((request, response) => {
        request.resume().on('end', () => {
          response.setHeader('trailer', 'x-sum')
          response.write('body')
          response.addTrailers({ 'x-sum': '4' })
          response.end()
        })
      })
      app.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        errors.push(error.code)
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
      const server = yield* listenOver(app)
      const request = http.request({
        createConnection: () => connect(server.port, '127.0.0.1') as never,
        method: 'PUT',
        headers: { expect: '100-continue' }
      })
      request.flushHeaders()
      yield* until(once(request, 'continue'))
      request.end('now')
      const [response] = (yield* until(once(request, 'response'))) as [IncomingMessage]
      expect(String(yield* until(received(response)))).toBe('body')
      expect(response.trailers).toEqual({ 'x-sum': '4' })
      const raw = connect(server.port, '127.0.0.1')
      raw.end('NONSENSE\r\n\r\n')
      expect(String(yield* until(received(raw)))).toMatch(/^HTTP\/1.1 400/)
      expect(errors).toEqual(['HPE_INVALID_METHOD'])
      yield* server.close()
    })
  })
})

it('https: server and client, with the certificate checked', async () => {
  await limited(function* () {
    const server = yield* listenFor(https.createServer(certificate, mirror))
    const { port } = server.address() as AddressInfo
    const secured = (options: tls.ConnectionOptions): RequestOptions => ({
      createConnection: () => tls.connect({ socket: connect(port, '127.0.0.1'), servername: 'localhost', ...options })
    })
    const bytes = pattern(2 ** 22)
    const answer = yield* until(answerTo(https.request({ ...secured({ ca: certificate.cert }), method: 'POST' }), bytes))
    expect(answer.body.equals(bytes)).toBe(true)
    expect((yield* caught(() => until(answerTo(https.request(secured({})))))).code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
    yield* closed(server.close())
  })
})

it.each([false, true])('http2: many streams on one connection (TLS: %s)', async (secure) => {
  await limited(function* () {
    const app = secure ? http2.createSecureServer(certificate) : http2.createServer()
    app.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond({ ':status': 200 })
      stream.pipe(stream)
    })
    const server = yield* listenFor(app)
    const { port } = server.address() as AddressInfo
    const client = http2.connect(`${secure ? 'https' : 'http'}://localhost:${port}`, {
      createConnection: () => {
        const socket = connect(port, '127.0.0.1')
        return secure ? tls.connect({ socket, ca: certificate.cert, servername: 'localhost', ALPNProtocols: ['h2'] }) : socket
      }
    })
    const bodies = yield* map(Array.from({ length: REQUESTS / 4 }, (_, i) => i), 50, function* (i) {
      const stream = client.request({ ':method': 'POST', ':path': `/${i}` })
      stream.end(`nr. ${i}`)
      return String(yield* until(received(stream)))
    })
    expect(bodies).toEqual(Array.from({ length: REQUESTS / 4 }, (_, i) => `nr. ${i}`))
    const bytes = pattern(2 ** 22)
    const large = client.request({ ':method': 'POST', ':path': '/' })
    large.end(bytes)
    expect((yield* until(received(large))).equals(bytes)).toBe(true)
    // One stream is cut off, the others go on.
    const asking = abortable((signal) => received(client.request({ ':method': 'POST', ':path': '/' }, { signal })))
    expect(yield* caught(() => timeout(50, asking))).toBeInstanceOf(TimeoutError)
    const after = client.request({ ':method': 'POST', ':path': '/' })
    after.end('after')
    expect(String(yield* until(received(after)))).toBe('after')
    client.close()
    yield* closed(client)
    yield* closed(server.close())
  })
})
