/** What a server does beside serving: several addresses, inherited sockets, limits, eviction, counting, stopping. */
import { spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  all,
  Cancelled,
  checkpoint,
  connect,
  Connection,
  ConnectionEvictedError,
  Event,
  listen,
  listenFds,
  now,
  run,
  serve,
  shield,
  sleep,
  spawn,
  SystemError,
  type Coroutine,
  type Handler,
  type Server,
  type ServerOptions,
  type SocketAddress
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { Handle } from '../lib/io/handle.js'
import { EMFILE } from '../lib/kernel/errno.js'
import { nativeKernel } from '../lib/kernel/native.js'
import { currentRuntime } from '../lib/runtime/current.js'
import { caught, onEveryKernel, readAll, thrownBy } from './support.js'

const HERE = { port: 0, host: '127.0.0.1' }
/** What a task may do before the others have their turn: see lib/task/scheduler.ts. */
const BUDGET_OPERATIONS = 128

function* echo(connection: Connection): Coroutine<void> {
  for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
}

function* ask(port: number, question: string): Coroutine<string> {
  const client = yield* connect({ port, host: '127.0.0.1' })
  try {
    yield* client.write(question)
    yield* client.closeWrite()
    const answer = String(yield* readAll(client))
    yield* client.close()
    return answer
  } finally {
    client.reset()
  }
}

function* untilOpen(server: Server, count: number): Coroutine<void> {
  while (server.connections !== count) yield* checkpoint()
}

/** The system makes the connection by itself, before any turn in which it could be accepted. */
function connectWithoutTurn(address: SocketAddress): Connection {
  const runtime = currentRuntime()
  const fd = runtime.kernel.socket(address.family)
  runtime.kernel.connect(fd, address)
  return new Connection(Handle.adopt(runtime, fd))
}

/** In memory, where time is virtual; nothing may be left open. */
async function inMemory<T>(main: () => Coroutine<T>, kernel = new MemoryKernel()): Promise<T> {
  const result = await run(main, { kernel })
  expect(kernel.openSockets).toBe(0)
  return result
}

onEveryKernel('a server at several addresses', (kernel) => {
  it('serves at each of them, and knows them in their order', async () => {
    await kernel.run(function* () {
      const server = yield* serve({ listen: [HERE, HERE, HERE] }, echo)
      expect(server.addresses).toHaveLength(3)
      expect(server.address).toBe(server.addresses[0])
      expect(new Set(server.addresses.map(({ port }) => port)).size).toBe(3)
      for (const { port } of server.addresses) expect(yield* ask(port, `at ${port}`)).toBe(`at ${port}`)
      yield* server.close()
      for (const { port } of server.addresses) {
        expect((yield* caught(() => connect({ port, host: '127.0.0.1' }))).code).toBe('ECONNREFUSED')
      }
    })
  })

  it('listens nowhere when one of them is taken', async () => {
    await kernel.run(function* () {
      const taken = yield* listen(HERE)
      const free = yield* listen(HERE)
      const { port } = free.address
      yield* free.close()
      const places = [{ port, host: '127.0.0.1' }, { port: taken.address.port, host: '127.0.0.1' }]
      expect((yield* caught(() => serve({ listen: places }, echo))).code).toBe('EADDRINUSE')
      expect((yield* caught(() => connect({ port, host: '127.0.0.1' }))).code).toBe('ECONNREFUSED')
      yield* taken.close()
    })
  })

  it('has one limit for all of them', async () => {
    await kernel.run(function* () {
      let most = 0
      const server = yield* serve({ listen: [HERE, HERE], limit: 2 }, function* (connection) {
        most = Math.max(most, server.connections)
        yield* echo(connection)
      })
      const asking = Array.from({ length: 20 }, (_, i) =>
        spawn(ask, (server.addresses[i % 2] as SocketAddress).port, `${i}`)
      )
      for (const [i, each] of asking.entries()) expect(yield* each).toBe(`${i}`)
      expect(most).toBe(2)
      yield* server.close()
    })
  })
})

describe('a server with limits for its clients', () => {
  /** Runs a server in memory, and gives what it has counted when `clients` have ended, and why handlers were cancelled. */
  async function serveInMemory(
    options: ServerOptions,
    clients: (port: number) => Coroutine<void>,
    handler: Handler = echo
  ): Promise<{ statistics: ReturnType<Server['statistics']>; reasons: unknown[]; errors: unknown[]; time: number }> {
    const reasons: unknown[] = []
    const errors: unknown[] = []
    return inMemory(function* () {
      const server = yield* serve({ ...HERE, onError: (error) => errors.push(error), ...options }, function* (connection) {
        try {
          yield* (handler as (connection: Connection) => Coroutine<void>)(connection)
        } catch (error) {
          if (error instanceof Cancelled) reasons.push(error.reason)
          throw error
        }
      })
      yield* clients(server.address.port)
      const statistics = server.statistics()
      const time = now()
      yield* server.close()
      return { statistics, reasons, errors, time }
    })
  }

  /** Waits for the reset. */
  function* lost(client: Connection): Coroutine<void> {
    expect((yield* caught(() => client.readSome())).code).toBe('ECONNRESET')
    client.reset()
  }

  /** Sends a byte now and then, until it is reset. */
  function* drip(port: number, pause: number): Coroutine<void> {
    const client = yield* connect({ port })
    const dripping = spawn(function* () {
      // It may meet the reset before the reader does.
      yield* caught(function* () {
        for (;;) {
          yield* client.write('x')
          yield* sleep(pause)
        }
      })
    })
    const end = yield* caught(function* () {
      while ((yield* client.readSome()) !== null);
    })
    expect(end.code).toMatch(/ECONNRESET|EPIPE/)
    client.reset()
    dripping.cancel()
  }

  it('hazard 26: a thousand clients that send a byte every ten seconds are evicted, reset, counted, and no failures', async () => {
    const { statistics, reasons, errors, time } = await serveInMemory(
      { minRate: { bytes: 100, per: 20_000 } },
      function* (port) {
        const clients = Array.from({ length: 1000 }, () => spawn(drip, port, 10_000))
        for (const client of clients) yield* client
      },
      function* (connection) {
        while ((yield* connection.readSome()) !== null);
      }
    )
    expect(time).toBe(40_000)
    expect(errors).toEqual([])
    expect(reasons).toHaveLength(1000)
    expect(reasons[0]).toBeInstanceOf(ConnectionEvictedError)
    expect(reasons[0]).toMatchObject({ code: 'ERR_COREACTOR_EVICTED', limit: 'minRate' })
    expect(statistics).toMatchObject({ open: 0, accepted: 1000, completed: 0, failed: 0, cancelled: 0, evicted: { minRate: 1000 } })
  })

  it('hazard 26: a thousand that connect and send nothing are evicted for want of a first byte', async () => {
    const { statistics, time } = await serveInMemory({ timeouts: { firstByte: 5000 } }, function* (port) {
      const silent: Connection[] = []
      for (let i = 0; i < 1000; i++) silent.push(yield* connect({ port }))
      for (const client of silent) yield* lost(client)
    })
    expect(time).toBe(5000)
    expect(statistics.evicted).toEqual({ connection: 0, idle: 0, firstByte: 1000, minRate: 0 })
  })

  it('who has sent a first byte in time may take any time after it', async () => {
    const { statistics } = await serveInMemory({ timeouts: { firstByte: 5000 } }, function* (port) {
      const client = yield* connect({ port })
      yield* sleep(4999)
      yield* client.write('x')
      yield* sleep(1_000_000)
      yield* client.closeWrite()
      expect(String(yield* readAll(client))).toBe('x')
      yield* client.close()
    })
    expect(statistics).toMatchObject({ completed: 1, evicted: { firstByte: 0 } })
  })

  it('an idle connection is evicted, one on which something moves in either direction is not', async () => {
    const idle = 60_000
    const { statistics, time } = await serveInMemory({ timeouts: { idle } }, function* (port) {
      const client = yield* connect({ port })
      for (let i = 0; i < 100; i++) {
        yield* sleep(idle - 1)
        yield* client.write('x')
        expect(String(yield* client.readSome())).toBe('x')
      }
      yield* lost(client)
    })
    const last = 100 * (idle - 1)
    expect(time).toBeGreaterThanOrEqual(last + idle)
    expect(time).toBeLessThanOrEqual(last + idle * 1.25)
    expect(statistics).toMatchObject({ evicted: { idle: 1 }, bytesRead: 100, bytesWritten: 100 })
  })

  it('a client that does not take what is written to it is idle', async () => {
    const { statistics, errors } = await serveInMemory(
      { timeouts: { idle: 1000 } },
      function* (port) {
        const client = yield* connect({ port })
        yield* sleep(1500)
        yield* caught(() => readAll(client))
        client.reset()
      },
      function* (connection) {
        yield* connection.write(Buffer.alloc(1_000_000))
      }
    )
    expect(errors).toEqual([])
    expect(statistics).toMatchObject({ failed: 0, evicted: { idle: 1 } })
  })

  it('nor may it hold the connection after its handler has ended', async () => {
    const { statistics } = await serveInMemory(
      { timeouts: { idle: 1000 } },
      function* (port) {
        const client = yield* connect({ port })
        yield* sleep(1500)
        client.reset()
      },
      function* (connection) {
        for (let i = 0; i < 16; i++) yield* connection.write(Buffer.alloc(8 * 1024))
      }
    )
    expect(statistics.evicted.idle).toBe(1)
  })

  it('a connection ends after its time, whatever moves', async () => {
    const { statistics, time } = await serveInMemory({ timeouts: { connection: 10_000 } }, (port) => drip(port, 100))
    expect(time).toBe(10_000)
    expect(statistics.evicted.connection).toBe(1)
  })

  it('neither silence nor the edge of an exchange is slow', async () => {
    const { statistics } = await serveInMemory({ minRate: { bytes: 100, per: 1000 } }, function* (port) {
      const client = yield* connect({ port })
      for (const part of [1, 199, 100, 50, 150, 199, 1, 200]) {
        yield* client.write('x'.repeat(part))
        yield* client.readExactly(part)
        // Every exchange of 200 in two windows, and long silences between them.
        yield* sleep(1000)
        if (part >= 100) yield* sleep(7000)
      }
      yield* client.close()
      yield* allParked()
    })
    expect(statistics).toMatchObject({ completed: 1, evicted: { minRate: 0 } })
  })

  it('a byte after every silence is slow', async () => {
    const { statistics } = await serveInMemory({ minRate: { bytes: 100, per: 1000 } }, (port) => drip(port, 5000))
    expect(statistics.evicted.minRate).toBe(1)
  })

  it('what moves costs no timer', async () => {
    let started = 0
    await serveInMemory(
      { timeouts: { idle: 1000, firstByte: 1000, connection: 1000 }, minRate: { bytes: 1, per: 1000 } },
      function* (port) {
        const client = yield* connect({ port })
        for (let i = 0; i < 100; i++) {
          yield* client.write('x')
          yield* client.readSome()
        }
        yield* client.close()
      },
      function* (connection) {
        const { timers } = connection.handle.runtime
        const start = timers.start.bind(timers)
        timers.start = (...args) => {
          started++
          start(...args)
        }
        yield* echo(connection)
      }
    )
    expect(started).toBe(0)
  })

  it('an evicted handler may clean up, and what it fails with then is no news', async () => {
    const cleaned = new Event()
    const { statistics, errors } = await serveInMemory(
      { timeouts: { firstByte: 100 } },
      function* (port) {
        yield* lost(yield* connect({ port }))
        yield* cleaned.wait()
        yield* allParked()
      },
      function* (connection) {
        try {
          yield* connection.readSome()
        } finally {
          yield* shield(() => sleep(1000), { timeout: 5000 })
          cleaned.set()
          yield* shield(() => connection.write('too late'), { timeout: 5000 })
        }
      }
    )
    expect(errors).toEqual([])
    expect(statistics).toMatchObject({ failed: 0, evicted: { firstByte: 1 } })
  })

  it('a connection too many from one address is reset, others are not', async () => {
    const { statistics } = await serveInMemory({ perAddressLimit: 2 }, function* (port) {
      const welcome: Connection[] = []
      for (const host of ['10.0.0.1', '10.0.0.2']) {
        welcome.push(yield* connect({ port, host }), yield* connect({ port, host }))
        yield* lost(yield* connect({ port, host }))
      }
      for (const client of welcome) {
        yield* client.write('x')
        expect(String(yield* client.readSome())).toBe('x')
        yield* client.close()
      }
      yield* allParked()
      const again = yield* connect({ port, host: '10.0.0.1' })
      yield* again.close()
      yield* allParked()
    })
    expect(statistics).toMatchObject({ accepted: 5, completed: 5, refused: 2 })
  })

  it('an IPv4 peer is the same at :: and at 0.0.0.0', async () => {
    await run(function* () {
      const listen = [HERE, { port: 0, host: '::' }]
      const server = yield* serve({ listen, perAddressLimit: 1 }, echo)
      const [first, second] = server.addresses as [SocketAddress, SocketAddress]
      const client = yield* connect({ port: first.port, host: '127.0.0.1' })
      yield* untilOpen(server, 1)
      const refused = yield* connect({ port: second.port, host: '127.0.0.1' })
      expect((yield* caught(() => refused.readExactly(1))).code).toBe('ECONNRESET')
      refused.reset()
      client.reset()
      yield* server.close()
    })
  })
})

onEveryKernel('the counts of a server', (kernel) => {
  it('say what has become of every connection', async () => {
    await kernel.run(function* () {
      const server = yield* serve({ ...HERE, onError: () => {} }, function* (connection) {
        const word = String(yield* connection.readExactly(4))
        if (word === 'fail') throw new Error('as asked')
        yield* connection.write(word)
        if (word === 'stay') yield* sleep(Infinity)
      })
      const { port } = server.address
      yield* ask(port, 'good')
      yield* ask(port, 'fail')
      const client = yield* connect({ port, host: '127.0.0.1' })
      yield* client.write('stay')
      yield* client.readExactly(4)
      const before = { open: 1, accepted: 3, completed: 1, failed: 1, cancelled: 0, refused: 0, paused: false, shortages: 0 }
      expect(server.statistics()).toMatchObject({ ...before, bytesRead: 12, bytesWritten: 8 })
      yield* server.close()
      expect(server.statistics()).toMatchObject({ ...before, open: 0, cancelled: 1, bytesRead: 12, bytesWritten: 8 })
      client.reset()
    })
  })

  it('agree with those of the stream, whichever way it was read and written', async () => {
    await kernel.run(function* () {
      const server = yield* serve(HERE, function* (connection) {
        yield* connection.readLine()
        yield* connection.readExactly(10)
        connection.tryWrite('12345')
        yield* connection.write('678')
        yield* connection.write(Buffer.alloc(100_000))
        expect([connection.bytesRead, connection.bytesWritten]).toEqual([16, 100_008])
      })
      expect(yield* ask(server.address.port, 'line\r\n0123456789')).toHaveLength(100_008)
      yield* server.close()
      expect(server.statistics()).toMatchObject({ completed: 1, failed: 0, bytesRead: 16, bytesWritten: 100_008 })
    })
  })
})

describe('a server that lingers', () => {
  it('gives its reply to a client whose upload has not begun when the handler ends', async () => {
    await inMemory(function* () {
      const server = yield* serve({ ...HERE, linger: 5000 }, function* (connection) {
        yield* connection.write('no, thank you')
      })
      const client = yield* connect({ port: server.address.port })
      yield* allParked()
      yield* client.write('x'.repeat(100))
      yield* sleep(4000)
      yield* client.write('x'.repeat(100))
      yield* client.closeWrite()
      expect(String(yield* readAll(client))).toBe('no, thank you')
      yield* client.close()
      yield* server.close({ grace: 1 })
      expect(server.statistics().completed).toBe(1)
    })
  })
})

describe('closing a server', () => {
  it('before its task has begun', async () => {
    await inMemory(function* () {
      const server = yield* serve({ listen: [HERE, HERE] }, echo)
      yield* server.close({ grace: 1000 })
      expect(now()).toBe(0)
      expect((yield* caught(() => connect({ port: server.address.port }))).code).toBe('ECONNREFUSED')
    })
  })

  it('while it waits for connections, at several addresses', async () => {
    await inMemory(function* () {
      const server = yield* serve({ listen: [HERE, HERE] }, echo)
      yield* allParked()
      yield* server.close({ grace: 1000 })
      expect(now()).toBe(0)
    })
  })

  it('hazard 16: while accepting pauses, without waiting for the pause to end', async () => {
    const kernel = new MemoryKernel()
    kernel.accept = () => EMFILE
    await inMemory(function* () {
      const server = yield* serve(HERE, echo)
      const client = yield* connect({ port: server.address.port })
      yield* sleep(150)
      expect(server.statistics()).toMatchObject({ paused: true, shortages: 1 })
      yield* server.close({ grace: 60_000 })
      expect(now()).toBe(150)
      expect(server.statistics()).toMatchObject({ paused: false, accepted: 0 })
      client.reset()
    }, kernel)
  })

  onEveryKernel('while connections wait to be accepted', (kernel) => {
    it.each([
      { grace: 60_000, outcome: 'served' },
      { grace: 0, outcome: 'reset' }
    ])('with $grace ms of grace: they are $outcome', async ({ grace, outcome }) => {
      await kernel.run(function* () {
        const server = yield* serve(HERE, echo)
        yield* allParked()
        const clients = [1, 2, 3].map(() => connectWithoutTurn(server.address))
        expect(server.connections).toBe(0)
        const asking = clients.map((client) =>
          spawn(function* () {
            try {
              yield* client.write('served')
              yield* client.closeWrite()
              return String(yield* readAll(client))
            } catch (error) {
              // The one or the other, as the kernel comes to know of it.
              if (['ECONNRESET', 'EPIPE'].includes((error as SystemError).code)) return 'reset'
              throw error
            } finally {
              client.reset()
            }
          })
        )
        yield* server.close({ grace })
        expect(yield* all(asking)).toEqual([outcome, outcome, outcome])
      })
    })
  })

  it('at the limit, with grace: the handler ends, and who waits is not let in', async () => {
    await inMemory(function* () {
      const server = yield* serve({ ...HERE, limit: 1 }, echo)
      const [inside, waiting] = [yield* connect({ port: server.address.port }), yield* connect({ port: server.address.port })]
      yield* allParked()
      const closing = spawn(() => server.close({ grace: 60_000 }))
      yield* allParked()
      yield* inside.write('x')
      expect(String(yield* inside.readSome())).toBe('x')
      yield* inside.close()
      yield* closing
      expect((yield* caught(() => waiting.readSome())).code).toBe('ECONNRESET')
      waiting.reset()
      expect(server.statistics()).toMatchObject({ accepted: 1, completed: 1 })
    })
  })

  it('waits for a handler that cleans up in a shield', async () => {
    await inMemory(function* () {
      let cleaned = false
      const server = yield* serve(HERE, function* (connection) {
        try {
          yield* connection.readSome()
        } finally {
          yield* shield(() => sleep(5000), { timeout: 60_000 })
          cleaned = true
        }
      })
      const client = yield* connect({ port: server.address.port })
      yield* allParked()
      yield* server.close()
      expect([cleaned, now()]).toEqual([true, 5000])
      client.reset()
    })
  })

  it('resets a connection whose handler has ended and whose client does not read, when the grace is over', async () => {
    await inMemory(function* () {
      const server = yield* serve(HERE, function* (connection) {
        for (let i = 0; i < 16; i++) yield* connection.write(Buffer.alloc(8 * 1024))
      })
      const client = yield* connect({ port: server.address.port })
      yield* allParked()
      yield* server.close({ grace: 3000 })
      expect(now()).toBe(3000)
      expect((yield* caught(() => readAll(client))).code).toBe('ECONNRESET')
      client.reset()
    })
  })

  it('a second time with less grace', async () => {
    await inMemory(function* () {
      const server = yield* serve(HERE, echo)
      const client = yield* connect({ port: server.address.port })
      yield* allParked()
      const patient = spawn(() => server.close({ grace: 1_000_000 }))
      yield* sleep(10)
      yield* server.close({ grace: 100 })
      yield* patient
      expect(now()).toBe(110)
      client.reset()
    })
  })
})

describe('a server in a flood', () => {
  it('accepts a bounded number of connections before the others have their turn', async () => {
    await inMemory(function* () {
      const server = yield* serve({ ...HERE, backlog: 2000 }, echo)
      const clients: Connection[] = []
      let most = 0
      const connecting = Array.from({ length: 1000 }, () =>
        spawn(function* () {
          clients.push(yield* connect({ port: server.address.port }))
        })
      )
      for (let before = 0; server.statistics().accepted < 1000; before = server.statistics().accepted) {
        yield* checkpoint()
        most = Math.max(most, server.statistics().accepted - before)
      }
      for (const each of connecting) yield* each
      expect(most).toBeGreaterThan(1)
      expect(most).toBeLessThanOrEqual(BUDGET_OPERATIONS)
      for (const client of clients) client.reset()
      yield* server.close()
    })
  })

  it('hazard 29: five thousand that connect at once are all served', async () => {
    await run(function* () {
      const server = yield* serve(HERE, function* (connection) {
        yield* connection.write('hello')
      })
      let served = 0
      const clients = Array.from({ length: 5000 }, () =>
        spawn(function* () {
          const client = yield* connect({ port: server.address.port, host: '127.0.0.1' })
          if (String(yield* readAll(client)) === 'hello') served++
          yield* client.close()
        })
      )
      for (const client of clients) yield* client
      expect(served).toBe(5000)
      yield* server.close()
      expect(server.statistics()).toMatchObject({ accepted: 5000, completed: 5000, failed: 0 })
    })
  })

  it('hazard 28: two that share a port both get some; closing one resets at most what it had not accepted', async () => {
    await run(function* () {
      const first = yield* serve({ ...HERE, reusePort: true }, echo)
      const { port } = first.address
      const second = yield* serve({ port, host: '127.0.0.1', reusePort: true }, echo)
      for (let i = 0; i < 64; i++) expect(yield* ask(port, `${i}`)).toBe(`${i}`)
      const share = first.statistics().accepted
      expect(share).toBeGreaterThan(0)
      expect(second.statistics().accepted).toBe(64 - share)

      let resets = 0
      const storm = Array.from({ length: 500 }, (_, i) =>
        spawn(function* () {
          try {
            expect(yield* ask(port, `${i}`)).toBe(`${i}`)
          } catch (error) {
            expect((error as { code: string }).code).toMatch(/ECONNRESET|EPIPE/)
            resets++
          }
        })
      )
      yield* checkpoint()
      yield* checkpoint()
      const closing = spawn(() => first.close({ grace: 30_000 }))
      for (const each of storm) yield* each
      yield* closing
      const served = first.statistics().completed + second.statistics().completed
      expect(served - 64).toBe(500 - resets)
      for (let i = 0; i < 64; i++) expect(yield* ask(port, `${i}`)).toBe(`${i}`)
      yield* second.close()
    })
  })
})

describe('hazard 16: a server out of fds', () => {
  it('pauses at each address by itself, and serves again when there are some', async () => {
    const kernel = new MemoryKernel()
    const accept = kernel.accept.bind(kernel)
    const short = new Set<number>()
    kernel.accept = (fd) => (short.has(fd) ? EMFILE : accept(fd))
    await inMemory(function* () {
      const listeners = [yield* listen(HERE), yield* listen(HERE)]
      const ports = listeners.map(({ address }) => address.port)
      for (const listener of listeners) yield* listener.close()
      const server = yield* serve({ listen: ports.map((port) => ({ port, host: '127.0.0.1' })) }, echo)
      const fds = (server as unknown as { listeners: { fd: number }[] }).listeners.map(({ fd }) => fd)
      short.add(fds[0] as number)
      const asking = spawn(ask, ports[0] as number, 'patience')
      yield* sleep(50)
      expect(yield* ask(ports[1] as number, 'now')).toBe('now')
      expect(server.statistics()).toMatchObject({ paused: true, shortages: 1, completed: 1 })
      short.clear()
      expect(yield* asking).toBe('patience')
      expect(server.statistics()).toMatchObject({ paused: false, shortages: 1, completed: 2 })
      yield* server.close()
    }, kernel)
  })
})

describe('a socket that listens already', () => {
  it('is taken over by a process that inherits it, and goes no further', async () => {
    await run(async () => {
      const listener = await listen(HERE)
      const { port } = listener.address
      const child = spawnProcess(
        'sh',
        ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" "$1"', process.execPath, FIXTURE],
        { stdio: ['ignore', 'pipe', 'inherit', listener.fd] }
      )
      let output = ''
      child.stdout?.on('data', (chunk: Buffer) => (output += String(chunk)))
      const ended = once(child, 'exit')
      // The child has it: this process lets go before anybody has connected.
      await listener.close()
      const answer = await spawn(ask, port, '')
      expect(await ended).toEqual([0, null])
      expect(JSON.parse(output)).toEqual({
        inherited: [{ fd: 3, name: 'web' }],
        left: {},
        addresses: [{ family: 'IPv4', address: '127.0.0.1', port }]
      })
      expect(answer).toBe(`${child.pid} none`)
    })
  })

  it('serves in this process, too, and its fd is closed with the server', async () => {
    await run(function* () {
      const kernel = nativeKernel()
      const fd = kernel.socket('IPv4')
      kernel.bind(fd, { family: 'IPv4', address: '127.0.0.1', port: 0 })
      kernel.listen(fd, 10)
      const server = yield* serve({ fd }, echo)
      expect((yield* caught(() => listen({ fd }))).code).toBe('ERR_COREACTOR_FD_IN_USE')
      expect(yield* ask(server.address.port, 'adopted')).toBe('adopted')
      yield* server.close()
      expect(kernel.getOption(fd, 0)).toBeLessThan(0)
    })
  })

  it('anything else is refused, and stays the caller’s', async () => {
    const file = openSync('/dev/null', 'r')
    await run(function* () {
      const kernel = nativeKernel()
      const fd = kernel.socket('IPv4')
      expect((yield* caught(() => listen({ fd }))).code).toBe('EINVAL')
      expect((yield* caught(() => listen({ fd: file }))).code).toBe('ENOTSOCK')
      expect(kernel.closeFd(fd)).toBe(0)
      expect((yield* caught(() => listen({ fd: 19_999 }))).code).toBe('EBADF')
    })
    closeSync(file)
  })
})

describe('listenFds', () => {
  const saved = { ...process.env }
  const given = (variables: Record<string, string>, read: () => unknown = listenFds): unknown => {
    Object.assign(process.env, variables)
    try {
      return read()
    } finally {
      for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
        if (saved[name] === undefined) delete process.env[name]
        else process.env[name] = saved[name]
      }
    }
  }
  const pid = `${process.pid}`

  it('gives none where none are announced, or they are for another process', () => {
    expect(given({})).toEqual([])
    expect(given({ LISTEN_FDS: '2' })).toEqual([])
    expect(given({ LISTEN_FDS: '2', LISTEN_PID: `${process.ppid}` })).toEqual([])
    expect(given({ LISTEN_FDS: '0', LISTEN_PID: pid, LISTEN_FDNAMES: '' })).toEqual([])
  })

  it.each([
    ['a number that is none', { LISTEN_FDS: 'two', LISTEN_PID: pid }],
    ['a process that is none', { LISTEN_FDS: '1', LISTEN_PID: '0' }],
    ['too few names', { LISTEN_FDS: '2', LISTEN_PID: pid, LISTEN_FDNAMES: 'web' }]
  ])('refuses %s', (_, variables) => {
    expect(() => given(variables)).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_LISTEN_FDS' }))
  })

  it('reports descriptors that are not there', () => {
    const many = { LISTEN_FDS: '30000', LISTEN_PID: pid }
    expect(() => given(many)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'fcntl' }))
  })
})

const FIXTURE = fileURLToPath(new URL('fixtures/listen-fds.mjs', import.meta.url))

describe('bad options of a server are refused at once', () => {
  it.each<[string, object, string]>([
    ['no options', undefined as never, 'ERR_INVALID_ARG_TYPE'],
    ['addresses that are no array', { listen: HERE }, 'ERR_INVALID_ARG_TYPE'],
    ['no address at all', { listen: [] }, 'ERR_INVALID_ARG_VALUE'],
    ['an fd below 0', { fd: -1 }, 'ERR_OUT_OF_RANGE'],
    ['a limit for addresses of 0', { ...HERE, perAddressLimit: 0 }, 'ERR_OUT_OF_RANGE'],
    ['a timeout of 0', { ...HERE, timeouts: { idle: 0 } }, 'ERR_OUT_OF_RANGE'],
    ['a timeout that is text', { ...HERE, timeouts: { firstByte: '1' } }, 'ERR_INVALID_ARG_TYPE'],
    ['timeouts that are a number', { ...HERE, timeouts: 5 }, 'ERR_INVALID_ARG_TYPE'],
    ['a rate without a time', { ...HERE, minRate: { bytes: 1 } }, 'ERR_INVALID_ARG_TYPE'],
    ['a rate of 0', { ...HERE, minRate: { bytes: 0, per: 1 } }, 'ERR_OUT_OF_RANGE'],
    ['a linger of NaN', { ...HERE, linger: NaN }, 'ERR_OUT_OF_RANGE']
  ])('%s', (_, options, code) => {
    expect(() => serve(options as never, echo)).toThrow(expect.objectContaining({ code }))
  })

  it('an onError that throws is how a server fails fast', async () => {
    const error = await thrownBy(() =>
      run(function* () {
        const failing = function* (): Coroutine<void> {
          throw new Error('the first failure')
        }
        const onError = (failure: unknown): void => {
          throw failure
        }
        const server = yield* serve({ ...HERE, onError }, failing)
        const client = yield* connect({ port: server.address.port, host: '127.0.0.1' })
        yield* readAll(client)
        client.reset()
      })
    )
    expect(String(error)).toContain('the first failure')
  })
})
