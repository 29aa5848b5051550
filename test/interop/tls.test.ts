/** node:tls over coreactor, both sides, from the first byte and in mid-stream. */
import { once } from 'node:events'
import tls, { TLSSocket } from 'node:tls'
import { connect as connectStream, Event, run, serve, sleep, timeout, TimeoutError, toNode, until, type Connection, type Coroutine } from 'coreactor'
import { connect, createServer, type AddressInfo, type Socket } from 'coreactor/net'
import { beforeAll, expect, it } from 'vitest'
import { caught, pattern } from '../support.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { closed, listenFor } from './http.js'
import { quick } from './size.js'

let certificate: Certificate
beforeAll(async () => {
  certificate = await makeCertificate()
})

const MEGABYTES = quick ? 4 : 64
const TIMEOUT_MS = 20_000
const limited = <T>(main: () => Coroutine<T>): Promise<T> => run(() => timeout(TIMEOUT_MS, main))

/** The client side over a socket of ours; connected and verified. */
function* secured(socket: Socket, options: tls.ConnectionOptions = {}): Coroutine<TLSSocket> {
  const client = tls.connect({ socket, ca: certificate.cert, servername: 'localhost', ...options })
  try {
    yield* until(once(client, 'secureConnect'))
    return client
  } catch (error) {
    client.destroy()
    throw error
  }
}

/** What comes until the end, or until it is so much. */
function received(socket: TLSSocket, length = Infinity): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const enough = (): void => resolve(Buffer.concat(chunks))
    socket.once('end', enough).once('error', reject)
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if ((size += chunk.length) >= length) enough()
    })
  })
}

it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: echoes much data, with both sides over sockets of ours', async (version) => {
  await limited(function* () {
    const secure = tls.createServer(certificate, (socket) => socket.pipe(socket))
    const server = yield* listenFor(secure)
    const socket = connect({ port: (server.address() as AddressInfo).port, wrapped: true })
    const client = yield* secured(socket, { minVersion: version, maxVersion: version })
    expect(client.getProtocol()).toBe(version)
    expect(client.authorized).toBe(true)
    const bytes = pattern(MEGABYTES * 2 ** 20)
    client.write(bytes)
    expect((yield* until(received(client, bytes.length))).equals(bytes)).toBe(true)
    client.end()
    yield* closed(client)
    yield* closed(socket)
    yield* closed(server.close())
  })
})

it('names, protocols and certificates of the clients', async () => {
  await limited(function* () {
    const seen: unknown[] = []
    const secure = tls.createServer(
      { ...certificate, ca: certificate.cert, requestCert: true, ALPNProtocols: ['two', 'one'], SNICallback: (name, done) => {
        seen.push(name)
        done(null)
      } },
      (socket) => socket.end(`${socket.authorized} ${socket.alpnProtocol}`)
    )
    const server = yield* listenFor(secure)
    const { port } = server.address() as AddressInfo
    const client = yield* secured(connect(port), { ...certificate, ALPNProtocols: ['one', 'two'] })
    expect(String(yield* until(received(client)))).toBe('true two')
    expect(seen).toEqual(['localhost'])
    const other = yield* caught(() => secured(connect(port), { servername: 'elsewhere' }))
    expect(other.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    yield* closed(server.close())
  })
})

it('STARTTLS: both sides upgrade the connection that they talk on, sockets in the shape of Node', async () => {
  await limited(function* () {
    const server = createServer((socket) => {
      socket.once('data', (line) => {
        if (String(line) !== 'STARTTLS\r\n') return void socket.destroy()
        socket.write('220 ready\r\n')
        const secure = new TLSSocket(socket, { isServer: true, ...certificate })
        secure.pipe(secure)
      })
    }).listen(0, '127.0.0.1')
    yield* until(once(server, 'listening'))
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write('STARTTLS\r\n')
    expect(String((yield* until(once(socket, 'data')))[0])).toBe('220 ready\r\n')
    const client = yield* secured(socket)
    const bytes = pattern(2 ** 20)
    client.write(bytes)
    expect((yield* until(received(client, bytes.length))).equals(bytes)).toBe(true)
    client.end()
    yield* closed(server.close())
  })
})

/** Talks in lines, and in TLS from STARTTLS on, or from HURRY on, which is not answered. */
function* mailServer(connection: Connection): Coroutine<void> {
  yield* connection.write('220 hello\r\n')
  for (let line; (line = yield* connection.readLine()) !== null; ) {
    if (line !== 'STARTTLS' && line !== 'HURRY') {
      yield* connection.write(`250 ${line}\r\n`)
      continue
    }
    if (line === 'STARTTLS') yield* connection.write('220 ready\r\n')
    const secure = new TLSSocket(toNode(connection), { isServer: true, ...certificate })
    secure.on('error', () => {})
    secure.on('data', (word) => secure.write(`secret ${word}`))
    return yield* closed(secure)
  }
}

it.each(['STARTTLS', 'HURRY'])('%s: a coroutine upgrades the connection that it has read lines from', async (command) => {
  await limited(function* () {
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, mailServer)
    const connection = yield* connectStream({ port: server.address.port })
    expect(yield* connection.readLine()).toBe('220 hello')
    yield* connection.write('EHLO me\r\n')
    expect(yield* connection.readLine()).toBe('250 EHLO me')
    // In a hurry, the client's first TLS message arrives together with the line.
    yield* connection.write(`${command}\r\n`)
    if (command === 'STARTTLS') expect(yield* connection.readLine()).toBe('220 ready')
    const socket = toNode(connection)
    const client = yield* secured(socket)
    client.write('word')
    expect(String((yield* until(once(client, 'data')))[0])).toBe('secret word')
    client.end()
    yield* closed(client)
    yield* closed(socket)
    yield* server.close()
  })
})

it('a handshake that the peer does not take part in is cut off by a timeout of ours', async () => {
  await limited(function* () {
    const asked = new Event()
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      while ((yield* connection.readSome()) !== null) asked.set()
    })
    const socket = connect(server.address.port, '127.0.0.1')
    const error = yield* caught(() => timeout(100, () => secured(socket)))
    expect(error).toBeInstanceOf(TimeoutError)
    yield* asked.wait()
    yield* closed(socket)
    yield* server.close()
  })
})

it('a peer that is reset, or ends, or talks nonsense in the handshake is an error, and leaves nothing', async () => {
  const endings: [string, (connection: Connection) => Coroutine<void>][] = [
    ['ECONNRESET', function* (connection) {
      yield* connection.readSome()
      connection.reset()
    }],
    ['ECONNRESET', function* (connection) {
      yield* connection.readSome()
    }],
    ['ERR_SSL_WRONG_VERSION_NUMBER', function* (connection) {
      yield* connection.readSome()
      yield* connection.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    }]
  ]
  for (const [code, ending] of endings) {
    await limited(function* () {
      const server = yield* serve({ port: 0, host: '127.0.0.1' }, ending)
      const socket = connect(server.address.port, '127.0.0.1')
      expect((yield* caught(() => secured(socket))).code).toMatch(code === 'ECONNRESET' ? /^ECONNRESET$/ : /^(ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG|EPROTO)$/)
      yield* closed(socket)
      yield* server.close()
    })
  }
})

it('a client that vanishes in mid-stream is closed at the server', async () => {
  await limited(function* () {
    const gone = new Event()
    const secure = tls.createServer(certificate, (socket) => {
      socket.on('error', () => {}).on('close', () => gone.set())
      socket.write(pattern(2 ** 20))
    })
    const server = yield* listenFor(secure)
    const socket = connect((server.address() as AddressInfo).port)
    const client = yield* secured(socket)
    yield* until(once(client, 'data'))
    client.on('error', () => {})
    socket.resetAndDestroy()
    yield* gone.wait()
    client.destroy()
    yield* closed(server.close())
  })
})

it('a reader that is slow holds up the writer', async () => {
  await limited(function* () {
    let written = 0
    const secure = tls.createServer(certificate, (socket) => {
      const chunk = pattern(2 ** 16)
      const more = (): void => {
        while (written < 2 ** 26 && socket.write(chunk)) written += chunk.length
      }
      socket.on('drain', more).on('error', () => {})
      more()
    })
    const server = yield* listenFor(secure)
    const socket = connect((server.address() as AddressInfo).port)
    const client = yield* secured(socket)
    let before = -1
    // Nobody reads: the writer comes to a halt.
    for (; written !== before; yield* sleep(50)) before = written
    expect(written).toBeLessThan(2 ** 25)
    client.destroy()
    yield* closed(socket)
    yield* closed(server.close())
  })
})
