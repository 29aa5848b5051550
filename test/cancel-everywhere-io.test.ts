/** Every operation of sockets that can park, cancelled at every step: see `every-step.ts`. */
import assert from 'node:assert/strict'
import {
  allSettled,
  checkpoint,
  ClosedError,
  connect,
  listen,
  op,
  proxyHeader,
  readProxyHeader,
  serve,
  scope,
  sleep,
  spawn,
  SystemError,
  type Connection,
  type Coroutine,
  type Listener,
  type Op,
  type Server,
  type Task
} from 'coreactor'
import { allParked, memoryPair } from 'coreactor/testing'
import { cancelEverywhere, type Row, type Stage } from './every-step.js'
import { pattern, readAll } from './support.js'

const HOST = '127.0.0.1'
const KILOBYTE = 1024
const MOST = 100 * KILOBYTE
/** Made once: making them takes longer than all else. Where one piece begins differs, so that a swap of two shows. */
const material = pattern(2 * MOST)

function bytes(length: number): Buffer {
  return material.subarray(length, 2 * length)
}

/** Runs `body` with two connected ends, and closes both however it ends. */
function* withPair(body: (client: Connection, server: Connection) => Coroutine<void>): Coroutine<void> {
  const { client, server } = memoryPair()
  try {
    yield* body(client, server)
  } finally {
    yield* client.close()
    yield* server.close()
  }
}

/** Reads slowly, until the end or a reset. */
function* readSlowly(connection: Connection, received: Buffer[]): Coroutine<'end' | 'reset'> {
  try {
    for (let chunk; (chunk = yield* connection.readSome(16 * KILOBYTE)) !== null; ) {
      received.push(chunk)
      yield* sleep(1)
    }
    return 'end'
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ECONNRESET') return 'reset'
    throw error
  }
}

/** Chunks arrive one by one; the victim reads some, and somebody else the rest. */
function* reading(
  stage: Stage,
  read: (connection: Connection, got: (chunk: Uint8Array) => void) => Op<boolean>
): Coroutine<void> {
  yield* withPair(function* (client, server) {
    const all = bytes(500)
    const received: Uint8Array[] = []
    spawn(function* () {
      for (let at = 0; at < all.length; at += 50) {
        yield* client.write(all.subarray(at, at + 50))
        yield* at === 200 ? sleep(1) : checkpoint()
      }
      yield* client.closeWrite()
    })
    const victim = stage.victim(function* () {
      let more = true
      while (more) {
        const going = yield* stage.attempt(
          () => read(server, (chunk) => received.push(chunk)),
          (left) => (more = left)
        )
        if (!going) return
      }
    })
    yield* allSettled([victim])
    received.push(yield* readAll(server))
    assert.ok(all.equals(Buffer.concat(received)), 'bytes were lost or read twice')
  })
}

const reads: Row[] = [
  {
    name: 'Connection.read',
    *play(stage) {
      const into = Buffer.alloc(70)
      yield* reading(stage, (connection, got) =>
        op(function* () {
          const n = yield* connection.read(into)
          got(Buffer.from(into.subarray(0, n)))
          return n > 0
        })
      )
    }
  },
  {
    name: 'readProxyHeader',
    *play(stage) {
      yield* withPair(function* (client, server) {
        const address = { family: 'IPv4', address: '192.0.2.1', port: 1 } as const
        const header = proxyHeader({ version: 1, source: address, destination: address })
        const all = Buffer.concat([header, bytes(100)])
        spawn(function* () {
          for (let at = 0; at < all.length; at += 20) {
            yield* client.write(all.subarray(at, at + 20))
            yield* at === 20 ? sleep(1) : checkpoint()
          }
          yield* client.closeWrite()
        })
        let taken = 0
        const victim = stage.victim(function* () {
          yield* stage.attempt(
            () => readProxyHeader(server),
            () => (taken = header.length)
          )
        })
        yield* allSettled([victim])
        assert.ok(all.subarray(taken).equals(yield* readAll(server)), 'the header was lost')
      })
    }
  },
  {
    name: 'Connection.readSome',
    *play(stage) {
      yield* reading(stage, (connection, got) =>
        op(function* () {
          const chunk = yield* connection.readSome(70)
          if (chunk !== null) got(chunk)
          return chunk !== null
        })
      )
    }
  }
]

/**
 * The victim writes while a reader is slower, something was written before, and something will be afterwards, if the
 * write side is open still.
 */
function* writing(stage: Stage, before: number, size: number): Coroutine<void> {
  yield* withPair(function* (client, server) {
    const [first, middle, last] = [bytes(before), bytes(size), Buffer.from('and so on')] as const
    for (let at = 0; at < before; at += 16 * KILOBYTE) yield* client.write(first.subarray(at, at + 16 * KILOBYTE))
    let written = false
    let bytesWritten: number | undefined
    const victim = stage.victim(function* () {
      yield* stage.attempt(() =>
        op(function* () {
          try {
            yield* client.write(middle)
            written = true
          } catch (error) {
            ;({ bytesWritten } = error as { bytesWritten?: number })
            throw error
          }
        })
      )
    })
    const received: Buffer[] = []
    const reader = spawn(readSlowly, server, received)
    yield* allSettled([victim])
    let open = true
    try {
      yield* client.write(last)
    } catch (error) {
      if (!(error instanceof ClosedError)) throw error
      open = false
    }
    assert.equal(open, bytesWritten === undefined, 'the write side is closed exactly if the write was cut off')
    if (bytesWritten !== undefined) assert.ok(bytesWritten > 0 && bytesWritten < size, `cut off after ${bytesWritten} bytes`)
    // Of a write that was cut off, what had gone arrives before the reset.
    if (!open) yield* allParked()
    yield* closing(client)
    const end = yield* reader
    assert.equal(end, open ? 'end' : 'reset', 'the peer takes a part for the whole')
    const expected = [first, middle.subarray(0, bytesWritten ?? (written ? size : 0)), ...(open ? [last] : [])]
    assert.ok(Buffer.concat(expected).equals(Buffer.concat(received)), 'bytes were lost, or written twice')
  })
}

/** Closes; that writing has ended with an error need not be heard again. */
function* closing(connection: Connection): Coroutine<void> {
  try {
    yield* connection.close()
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error
  }
}

/** A write is buffered, the reader is slow, and the victim does something that waits until all has gone. */
function* leaving(stage: Stage, leave: (connection: Connection) => Op<void>, after: After): Coroutine<void> {
  yield* withPair(function* (client, server) {
    const all = bytes(30 * KILOBYTE)
    for (let at = 0; at < all.length; at += 10 * KILOBYTE) yield* client.write(all.subarray(at, at + 10 * KILOBYTE))
    let left = false
    const victim = stage.victim(function* () {
      yield* stage.attempt(() =>
        op(function* () {
          yield* leave(client)
          left = true
        })
      )
    })
    const received: Buffer[] = []
    const reader = spawn(readSlowly, server, received)
    yield* allSettled([victim])
    yield* after({ client, left, reader })
    const end = yield* reader
    const arrived = Buffer.concat(received)
    if (end === 'end') assert.ok(all.equals(arrived), 'the peer takes a part for the whole')
    else assert.ok(all.subarray(0, arrived.length).equals(arrived), 'bytes were lost, or written twice')
  })
}

type After = (what: { client: Connection; left: boolean; reader: Task<'end' | 'reset'> }) => Coroutine<void>

/** Room for a few reads, so that writing has to wait. */
const narrow = { kernel: { capacity: 8 * KILOBYTE } }

const writes: Row[] = [
  {
    name: 'Connection.write, small, above the high-water mark',
    kernel: { capacity: 16 * KILOBYTE },
    play: (stage) => writing(stage, 80 * KILOBYTE, KILOBYTE)
  },
  { name: 'Connection.write, large', ...narrow, play: (stage) => writing(stage, 0, 40 * KILOBYTE) },
  {
    name: 'Connection.write, large, after small ones',
    ...narrow,
    play: (stage) => writing(stage, 12 * KILOBYTE, 30 * KILOBYTE)
  },
  {
    name: 'Connection.flush',
    ...narrow,
    play: (stage) =>
      leaving(
        stage,
        (client) => client.flush(),
        function* ({ client, left }) {
          if (left) assert.equal(client.bufferedBytes, 0)
          yield* client.close()
        }
      )
  },
  {
    name: 'Connection.closeWrite',
    ...narrow,
    play: (stage) =>
      leaving(
        stage,
        (client) => client.closeWrite(),
        function* ({ client, left, reader }) {
          if (!left) yield* client.closeWrite()
          assert.equal(yield* reader, 'end')
          yield* client.close()
        }
      )
  },
  {
    name: 'Connection.close',
    ...narrow,
    play: (stage) =>
      leaving(
        stage,
        (client) => client.close(),
        function* ({ client, left, reader }) {
          assert.equal(client.fd, -1, 'the fd was not freed')
          if (left) assert.equal(yield* reader, 'end')
        }
      )
  }
]

/** Clients that connect, say who they are, and see their connection end. */
function clients(port: number, count: number): Task<void>[] {
  return Array.from({ length: count }, (_, i) =>
    spawn(function* client() {
      yield* sleep(i % 2)
      const connection = yield* connect({ port })
      try {
        yield* connection.write(String(i))
        assert.equal((yield* readAll(connection)).toString(), String(i))
      } finally {
        yield* connection.close()
      }
    })
  )
}

function* echo(connection: Connection): Coroutine<void> {
  try {
    const chunk = yield* connection.readSome()
    if (chunk !== null) yield* connection.write(chunk)
    yield* connection.close()
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    connection.reset()
  } finally {
    connection.abandon()
  }
}

const servers: Row[] = [
  {
    name: 'listen',
    *play(stage) {
      stage.victim(function* () {
        let listener: Listener | null = null
        yield* stage.attempt(
          () => listen({ port: 0, host: HOST }),
          (listening) => void (listener = listening)
        )
        if (listener !== null) (listener as Listener).handle.close()
      })
      yield* checkpoint()
    }
  },
  {
    name: 'Listener.accept',
    *play(stage) {
      const listener = yield* listen({ port: 0, host: HOST })
      clients(listener.address.port, 4)
      let accepted = 0
      const handle = function* (connection: Connection): Coroutine<void> {
        accepted++
        yield* echo(connection)
      }
      yield* spawn(function* () {
        const handlers: Connection[] = []
        const victim = stage.victim(function* () {
          for (let i = 0; i < 3; i++) {
            const going = yield* stage.attempt(
              () => listener.accept(),
              (connection) => handlers.push(connection)
            )
            if (!going) return
          }
        })
        yield* allSettled([victim])
        while (handlers.length < 4) handlers.push(yield* listener.accept())
        for (const connection of handlers) yield* spawn(handle, connection)
      })
      assert.equal(accepted, 4)
      yield* listener.close()
    }
  },
  {
    name: 'connect',
    *play(stage) {
      const listener = yield* listen({ port: 0, host: HOST, backlog: 1 })
      const { port } = listener.address
      const others = clients(port, 2)
      const victim = stage.victim(function* () {
        let connection: Connection | null = null
        yield* stage.attempt(
          () => connect({ port }),
          (connected) => void (connection = connected)
        )
        if (connection === null) return
        try {
          yield* (connection as Connection).write('v')
          assert.equal((yield* readAll(connection)).toString(), 'v')
        } finally {
          yield* (connection as Connection).close()
        }
      })
      const accepting = spawn(function* acceptor() {
        for (;;) {
          yield* sleep(0.25)
          spawn(echo, yield* listener.accept())
        }
      })
      yield* allSettled([victim, ...others])
      yield* allParked()
      accepting.cancel()
      yield* listener.close()
    }
  },
  {
    name: 'serve',
    *play(stage) {
      stage.victim(function* () {
        let server: Server | null = null
        yield* stage.attempt(
          () => serve({ port: 0, host: HOST }, echo),
          (serving) => void (server = serving)
        )
        if (server === null) return
        yield* (server as Server).close()
      })
      yield* checkpoint()
    }
  },
  {
    name: 'Server.close',
    *play(stage) {
      let handlers = 0
      const server = yield* serve({ port: 0, host: HOST }, function* (connection) {
        handlers++
        try {
          for (let chunk; (chunk = yield* connection.readSome()) !== null; ) {
            yield* sleep(2)
            yield* connection.write(chunk)
          }
        } finally {
          handlers--
        }
      })
      const { port } = server.address
      for (let i = 0; i < 3; i++) {
        spawn(function* client() {
          const received: Buffer[] = []
          const connection = yield* connect({ port })
          try {
            yield* connection.write(String(i))
            if (i < 2) yield* connection.closeWrite()
            yield* readSlowly(connection, received)
          } finally {
            yield* connection.close()
          }
        })
      }
      yield* sleep(1)
      const victim = stage.victim(function* () {
        yield* stage.attempt(
          () => server.close({ grace: 3 }),
          () => assert.deepEqual([handlers, server.connections], [0, 0])
        )
      })
      yield* allSettled([victim])
      yield* server.close()
      assert.deepEqual([handlers, server.connections], [0, 0])
    }
  },
  {
    name: 'waiting below the limit of a server',
    *play(stage) {
      const victim = stage.victim(function* () {
        yield* stage.attempt(() =>
          scope(function* () {
            const server = yield* serve({ port: 7000, host: HOST, limit: 1 }, echo)
            yield* allSettled(clients(7000, 3))
            yield* server.close()
          })
        )
      })
      yield* allSettled([victim])
    }
  }
]

cancelEverywhere('reading', reads)
cancelEverywhere('writing', writes)
cancelEverywhere('listening and connecting', servers)
