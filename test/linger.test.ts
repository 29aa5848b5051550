/** Closing while the peer is still sending: what was written to it arrives all the same, and nobody waits for ever. */
import { createConnection, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { checkpoint, now, run, scope, serve, sleep, spawn, timeout, TimeoutError, until, type Connection, type Coroutine } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { caught, onEveryKernel, pair, pattern, readAll } from './support.js'

const UPLOAD = 10_000_000

/** A client that sends all of its upload before it reads anything. */
function* uploadThenRead(client: Connection): Coroutine<string> {
  const part = pattern(100_000)
  for (let sent = 0; sent < UPLOAD; sent += part.length) yield* client.write(part)
  yield* client.closeWrite()
  const reply = String(yield* readAll(client))
  yield* client.close()
  return reply
}

onEveryKernel('closing while the peer is sending', (kernel) => {
  it('hazard 23: the reply of a handler that has read only the beginning of an upload reaches the client', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const uploading = spawn(uploadThenRead, client)
      yield* server.readExactly(1000)
      yield* server.write('enough')
      yield* server.close()
      expect(server.fd).toBe(-1)
      expect(yield* uploading).toBe('enough')
    })
  })

  it('hazard 23: so does a reply that was written with tryWrite alone', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const uploading = spawn(uploadThenRead, client)
      yield* server.readExactly(1000)
      expect(server.tryWrite('enough')).toBe(6)
      yield* server.close()
      expect(yield* uploading).toBe('enough')
    })
  })

  it('hazard 23: with linger it also does if nothing of the upload is there yet', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* server.write('not now')
      const closing = spawn(() => server.close({ linger: 10_000 }))
      yield* checkpoint()
      expect(closing.state).toBe('parked')
      expect(yield* uploadThenRead(client)).toBe('not now')
      yield* closing
    })
  })

  it('a reader that waits gets ClosedError, although the close goes on reading', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* server.write('x')
      const reading = spawn(() => caught(() => server.readLine()))
      yield* checkpoint()
      const closing = spawn(() => server.close({ linger: 10_000 }))
      expect((yield* reading).code).toBe('ERR_COREACTOR_CLOSED')
      expect((yield* caught(() => server.readSome())).code).toBe('ERR_COREACTOR_CLOSED')
      yield* client.close()
      yield* closing
    })
  })

  it('hazard 24: a close that drains is cancelled at once, and the fd is free', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('unread')
      yield* server.write('x')
      expect(yield* caught(() => timeout(1, () => server.close({ linger: Infinity })))).toBeInstanceOf(TimeoutError)
      expect(server.fd).toBe(-1)
      client.reset()
    })
  })

  it('in a cancelled scope nothing is drained', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('unread')
      yield* server.write('x')
      yield* server.flush()
      yield* scope(function* (tasks) {
        tasks.cancel()
        yield* server.close({ linger: Infinity })
      })
      expect(server.fd).toBe(-1)
      client.reset()
    })
  })

  it('reset ends a close that drains', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const closing = spawn(() => server.close({ linger: Infinity }))
      yield* checkpoint()
      expect(closing.state).toBe('parked')
      server.reset()
      yield* closing
      // The end had been sent already.
      expect((yield* readAll(client)).length).toBe(0)
      yield* client.close()
    })
  })

  it('a peer that resets ends a close that drains', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const closing = spawn(() => server.close({ linger: Infinity }))
      yield* checkpoint()
      client.reset()
      yield* closing
    })
  })

  it('a peer that goes on for more than 16 MiB is not waited for', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const flooding = spawn(() => caught(() => flood(client)))
      yield* server.readExactly(1)
      yield* server.write('x')
      yield* server.close({ linger: Infinity })
      expect(['EPIPE', 'ECONNRESET']).toContain((yield* flooding).code)
      yield* client.close()
    })
  })
})

it('hazard 23: a client of node:net that uploads 10 MB before it reads gets the reply of a handler that did not want it', async () => {
  await run(function* () {
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      // More than the line has come: that is how the close knows of the upload.
      yield* connection.peek(100)
      yield* connection.readLine()
      yield* connection.write('413\n')
    })
    const socket: Socket = createConnection({ port: server.address.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.pause()
    const ended = new Promise<unknown>((resolve) => socket.once('error', resolve).once('close', () => resolve(null)))
    socket.write('PUT /\n')
    socket.write(pattern(UPLOAD), () => socket.resume())
    let reply = ''
    socket.on('data', (chunk) => (reply += String(chunk))).on('end', () => socket.end())
    expect(yield* until(ended)).toBeNull()
    expect(reply).toBe('413\n')
    yield* server.close()
  })
})

it('the time that a close drains is 2 s, or what is asked for, and 0 is none', async () => {
  const spent = async (close: (server: Connection) => ReturnType<Connection['close']>): Promise<number> =>
    run(
      function* () {
        const [client, server] = yield* pair()
        yield* client.write('unread')
        yield* client.flush()
        yield* server.write('x')
        yield* checkpoint()
        const begun = now()
        yield* close(server)
        const ms = now() - begun
        client.reset()
        return ms
      },
      { kernel: new MemoryKernel() }
    )
  expect(await spent((server) => server.close())).toBe(2000)
  expect(await spent((server) => server.close({ linger: 70 }))).toBe(70)
  expect(await spent((server) => server.close({ linger: 0 }))).toBe(0)
  expect(await spent((server) => server.close({ linger: -1 }))).toBe(0)
})

it('a close does not wait when nothing is unread, when nothing was written, or when the peer has ended', async () => {
  const prepare: ((client: Connection, server: Connection) => Coroutine<void>)[] = [
    function* (_, server) {
      yield* server.write('a reply')
    },
    function* (client) {
      yield* client.write('unread')
      yield* client.flush()
    },
    function* (client, server) {
      yield* server.write('a reply')
      yield* client.write('all')
      yield* client.closeWrite()
      yield* readAll(server)
    },
    function* (client, server) {
      yield* server.write('a reply')
      yield* client.write('unread')
      yield* client.closeWrite()
      yield* sleep(1)
    }
  ]
  for (const step of prepare) {
    await run(
      function* () {
        const [client, server] = yield* pair()
        yield* step(client, server)
        const begun = now()
        yield* server.close()
        expect(now()).toBe(begun)
        client.reset()
      },
      { kernel: new MemoryKernel() }
    )
  }
})

function* flood(client: Connection): Coroutine<void> {
  const part = pattern(1_000_000)
  for (;;) yield* client.write(part)
}
