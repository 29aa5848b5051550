/** Express, Fastify, ws and undici over coreactor. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { Channel, Event, map, run, timeout, TimeoutError, until, type Coroutine, type DeadlineScope } from 'coreactor'
import { connect, type AddressInfo } from 'coreactor/net'
import express from 'express'
import fastify from 'fastify'
import { Agent, Client, fetch, Pool } from 'undici'
import { beforeAll, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { caught, pattern } from '../support.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { abortable, closed, listenFor } from './http.js'
import { quick } from './size.js'
import { connector, secureConnector } from './undici.js'

let certificate: Certificate
beforeAll(async () => {
  certificate = await makeCertificate()
})

const TIMEOUT_MS = 20_000
const REQUESTS = quick ? 200 : 2000
const limited = <T>(main: (scope: DeadlineScope) => Coroutine<T>): Promise<T> => run(() => timeout(TIMEOUT_MS, main))

/** Runs `main` with a server that listens and an agent of undici's over coreactor; ends both. */
function withServer<T>(app: http.Server, main: (origin: string, agent: Agent) => Coroutine<T>): Promise<T> {
  return limited(function* () {
    const server = yield* listenFor(app)
    const agent = new Agent({ connect: connector })
    try {
      return yield* main(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, agent)
    } finally {
      void agent.destroy()
      server.close()
      app.closeAllConnections()
    }
  })
}

it('Express: routes, bodies, errors, and who asks', async () => {
  const app = express().use(express.json())
  app.get('/hello/:name', (request, response) => void response.json({ hello: request.params.name, ip: request.ip }))
  app.post('/sum', (request, response) => void response.json(request.body.reduce((a: number, b: number) => a + b, 0)))
  app.get('/fails', () => {
    throw new Error('on purpose')
  })
  app.use(((_error, _request, response, _next) => void response.status(500).send('sorry')) as express.ErrorRequestHandler)
  await withServer(http.createServer(app), function* (origin, dispatcher) {
    const hello = yield* until(fetch(`${origin}/hello/you`, { dispatcher }))
    expect(yield* until(hello.json())).toEqual({ hello: 'you', ip: '127.0.0.1' })
    const headers = { 'content-type': 'application/json' }
    const sum = yield* until(fetch(`${origin}/sum`, { dispatcher, method: 'POST', headers, body: '[1, 2, 3]' }))
    expect(yield* until(sum.json())).toBe(6)
    const failed = yield* until(fetch(`${origin}/fails`, { dispatcher }))
    expect([failed.status, yield* until(failed.text())]).toEqual([500, 'sorry'])
    expect((yield* until(fetch(`${origin}/nowhere`, { dispatcher }))).status).toBe(404)
  })
})

it('Fastify: routes, schemas, streams, and who asks', async () => {
  const server = http.createServer()
  const app = fastify({
    serverFactory: (handler) => server.on('request', handler)
  })
  app.get('/hello/:name', (request) => ({ hello: (request.params as { name: string }).name, ip: request.ip }))
  const body = { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } }
  app.post('/double', { schema: { body } }, (request) => ({ n: (request.body as { n: number }).n * 2 }))
  const bytes = pattern(2 ** 20)
  app.get('/bytes', (_, reply) => reply.type('application/octet-stream').send(bytes))
  await app.ready()
  await withServer(server, function* (origin, dispatcher) {
    const hello = yield* until(fetch(`${origin}/hello/you`, { dispatcher }))
    expect(yield* until(hello.json())).toEqual({ hello: 'you', ip: '127.0.0.1' })
    const headers = { 'content-type': 'application/json' }
    const doubled = yield* until(fetch(`${origin}/double`, { dispatcher, method: 'POST', headers, body: '{"n": 21}' }))
    expect(yield* until(doubled.json())).toEqual({ n: 42 })
    const refused = yield* until(fetch(`${origin}/double`, { dispatcher, method: 'POST', headers, body: '{"n": "x"}' }))
    expect(refused.status).toBe(400)
    const large = yield* until(fetch(`${origin}/bytes`, { dispatcher }))
    expect(Buffer.from(yield* until(large.arrayBuffer())).equals(bytes)).toBe(true)
  })
})

describe('ws', () => {
  /** A WebSocket over a socket of ours. */
  function* opened(port: number, options: object = {}): Coroutine<WebSocket> {
    const client = new WebSocket(`ws://127.0.0.1:${port}/`, { createConnection: () => connect(port, '127.0.0.1') as never, ...options })
    yield* until(once(client, 'open'))
    return client
  }

  function withSockets<T>(listener: (socket: WebSocket) => void, main: (port: number) => Coroutine<T>): Promise<T> {
    const app = http.createServer()
    const sockets = new WebSocketServer({ server: app, perMessageDeflate: true })
    sockets.on('connection', listener)
    return limited(function* () {
      const server = yield* listenFor(app)
      try {
        return yield* main((server.address() as AddressInfo).port)
      } finally {
        for (const socket of sockets.clients) socket.terminate()
        sockets.close()
        server.close()
      }
    })
  }

  it('messages in order, large ones, compressed ones, pings, and both closing', async () => {
    const messages = quick ? 500 : 5000
    let code = 0
    const ended = new Event()
    const echo = (socket: WebSocket): void => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
      socket.on('close', (why) => {
        code = why
        ended.set()
      })
    }
    await withSockets(echo, function* (port) {
      const client = yield* opened(port)
      const heard = new Channel<Buffer>(Infinity)
      client.on('message', (data) => heard.trySend(data as Buffer))
      for (let i = 0; i < messages; i++) client.send(`nr. ${i}`)
      for (let i = 0; i < messages; i++) expect(String(yield* heard.receive())).toBe(`nr. ${i}`)
      const bytes = pattern(2 ** 22)
      client.send(bytes)
      expect((yield* heard.receive()).equals(bytes)).toBe(true)
      client.send('x'.repeat(2 ** 20))
      expect((yield* heard.receive()).length).toBe(2 ** 20)
      client.ping()
      yield* until(once(client, 'pong'))
      client.close(4000, 'done')
      yield* until(once(client, 'close'))
      yield* ended.wait()
      expect(code).toBe(4000)
    })
  })

  it('a client that says nothing is waited for as long as our timeout says, and one that vanishes is noticed', async () => {
    const gone = new Event()
    await withSockets((socket) => void socket.on('close', () => gone.set()), function* (port) {
      const client = yield* opened(port)
      const hearing = abortable((signal) => once(client, 'message', { signal }))
      expect(yield* caught(() => timeout(50, hearing))).toBeInstanceOf(TimeoutError)
      client.terminate()
      yield* gone.wait()
    })
  })
})

describe('undici', () => {
  const mirror: http.RequestListener = (request, response) => void request.pipe(response)

  it('a pool shares its connections between tasks', async () => {
    let connections = 0
    const app = http.createServer(mirror)
    app.on('connection', () => connections++)
    await withServer(app, function* (origin) {
      const pool = new Pool(origin, { connect: connector, connections: 4, pipelining: 1 })
      const numbers = Array.from({ length: REQUESTS }, (_, i) => i)
      const bodies = yield* map(numbers, 20, function* (i) {
        const { body } = yield* until(pool.request({ path: '/', method: 'POST', body: `nr. ${i}` }))
        return yield* until(body.text())
      })
      expect(bodies).toEqual(numbers.map((i) => `nr. ${i}`))
      expect(connections).toBe(4)
      yield* until(pool.close())
    })
  })

  it('a request that is cut off by a timeout of ours ends at both sides', async () => {
    const gone = new Event()
    await withServer(http.createServer((_, response) => void response.on('close', () => gone.set())), function* (origin) {
      const client = new Client(origin, { connect: connector })
      const asking = abortable((signal) => client.request({ path: '/', method: 'GET', signal }))
      expect(yield* caught(() => timeout(100, asking))).toBeInstanceOf(TimeoutError)
      yield* gone.wait()
      yield* until(client.destroy())
    })
  })

  it('a large body, up and down, at the speed of the slower side', async () => {
    await withServer(http.createServer(mirror), function* (origin, dispatcher) {
      const bytes = pattern(quick ? 2 ** 22 : 2 ** 26)
      const answer = yield* until(fetch(origin, { dispatcher, method: 'POST', body: bytes, duplex: 'half' }))
      expect(Buffer.from(yield* until(answer.arrayBuffer())).equals(bytes)).toBe(true)
    })
  })

  it('TLS over a socket of ours; nobody there is an error', async () => {
    await limited(function* () {
      const app = https.createServer(certificate, mirror)
      const server = yield* listenFor(app)
      const { port } = server.address() as AddressInfo
      const client = new Client(`https://localhost:${port}`, { connect: secureConnector({ ca: certificate.cert }) })
      const { body } = yield* until(client.request({ path: '/', method: 'POST', body: 'secret' }))
      expect(yield* until(body.text())).toBe('secret')
      yield* until(client.destroy())
      app.closeAllConnections()
      yield* closed(server.close())
      const nowhere = new Client(`http://127.0.0.1:${port}`, { connect: connector })
      expect((yield* caught(() => until(nowhere.request({ path: '/', method: 'GET' })))).code).toBe('ECONNREFUSED')
      yield* until(nowhere.destroy())
    })
  })
})
