/** Programs on a kernel that fails: at every call in turn, and at random. Nothing leaks, nothing hangs, every error is said. */
import { describe, expect, it, vi } from 'vitest'
import {
  Cancelled,
  checkpoint,
  connect,
  fd,
  listen,
  run,
  scope,
  ScopeError,
  serve,
  spawn,
  SystemError,
  timeout,
  type Connection,
  type Coroutine
} from 'coreactor'
import { FaultyKernel, MemoryKernel, type Fault, type Faults } from 'coreactor/testing'
import { atEveryCall, CLOSING, flat, HANGS_MS, HOST, RELUCTANT, type Failure } from './at-every-call.js'
import { caught, pair, pattern, randomFrom, thrownBy } from './support.js'

const PATTERN = pattern(100_000)

function* echo(connection: Connection): Coroutine<void> {
  for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
}

/** Asks for an echo, in one piece and in several, and checks it. */
function* ask(connection: Connection, size: number): Coroutine<void> {
  const sent = PATTERN.subarray(0, size)
  const writing = spawn(function* () {
    yield* connection.write([sent.subarray(0, size >> 1), sent.subarray(size >> 1)])
    yield* connection.closeWrite()
  })
  const received = yield* connection.readExactly(size)
  yield* writing
  if (!received.equals(sent)) throw new Error('what came back is not what was sent')
  if ((yield* connection.readSome()) !== null) throw new Error('more came back than was sent')
}

/** Runs `body` on a connection, in a scope, and closes it. Nothing of it is left if that fails. */
function* using(connection: Connection, body: (connection: Connection) => Coroutine<void>): Coroutine<void> {
  try {
    yield* scope(() => body(connection))
    yield* connection.close()
  } finally {
    connection.reset()
  }
}

function* once(): Coroutine<void> {
  const listener = yield* listen({ port: 0, host: '127.0.0.1' })
  try {
    const serving = spawn(function* () {
      yield* using(yield* listener.accept(), echo)
    })
    const client = yield* connect({ port: listener.address.port, host: '127.0.0.1' })
    yield* using(client, (connection) => ask(connection, 20_000))
    yield* serving
  } finally {
    yield* listener.close()
  }
}

function* byName(report: (error: unknown) => void): Coroutine<void> {
  const server = yield* serve({ port: 7000, onError: report }, echo)
  const client = yield* connect({ port: 7000, host: HOST, timeout: 5000, keepAlive: true })
  yield* using(client, (connection) => ask(connection, 10))
  yield* server.close({ grace: 1000 })
}

function* server(report: (error: unknown) => void): Coroutine<void> {
  const server = yield* serve({ port: 0, host: '127.0.0.1', onError: report }, echo)
  const clients = [10, 20_000, 100_000].map((size) =>
    spawn(function* () {
      const client = yield* connect({ port: server.address.port, host: '127.0.0.1' })
      yield* using(client, (connection) => ask(connection, size))
    })
  )
  for (const client of clients) yield* client
  yield* server.close({ grace: 1000 })
}

const FAILURES: readonly Failure[] = [
  { operation: 'socket', told: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EACCES'], syscalls: ['socket'] },
  { operation: 'setOption', told: ['ENOMEM', 'ENOPROTOOPT'], syscalls: ['setsockopt'] },
  { operation: 'bind', told: ['EADDRINUSE', 'EACCES'], syscalls: ['listen'] },
  { operation: 'listen', told: ['EADDRINUSE'], syscalls: ['listen'] },
  {
    operation: 'connect',
    told: ['ECONNREFUSED', 'ENETUNREACH', 'EADDRNOTAVAIL'],
    survived: ['EINTR'],
    syscalls: ['connect']
  },
  { operation: 'getOption', told: ['ENOBUFS'], syscalls: ['connect'] },
  { operation: 'localAddress', told: ['ENOBUFS'], syscalls: ['getsockname'] },
  { operation: 'remoteAddress', told: ['ENOBUFS'], syscalls: ['connect'] },
  { operation: 'add', told: ['ENOMEM', 'ENOSPC'], syscalls: ['epoll_ctl'] },
  {
    operation: 'accept',
    told: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'],
    survived: ['ECONNABORTED', 'EPROTO', 'EPERM', 'EINTR', 'EAGAIN'],
    syscalls: ['accept']
  },
  { operation: 'receive', told: ['ECONNRESET', 'ETIMEDOUT', 'ENOMEM'], survived: RELUCTANT, syscalls: ['read'] },
  { operation: 'send', told: ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM'], survived: RELUCTANT, syscalls: ['write'] },
  { operation: 'sendVector', told: ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM'], survived: RELUCTANT, syscalls: ['write'] },
  // No connection is no reason: reading says why.
  { operation: 'shutdown', told: ['ENOTCONN', 'ENOBUFS'], syscalls: ['shutdown', 'read'] },
  { operation: 'submit', told: ['ENOMEM', 'EAGAIN'], syscalls: ['lookup', 'pthread_create'] },
  ...CLOSING
]

const SOCKETS = FAILURES.filter(({ operation }) => operation !== 'submit')

for (const inMemory of [true, false]) {
  atEveryCall('an echo of one connection', once, SOCKETS, inMemory)
  atEveryCall('a server of three clients', server, SOCKETS, inMemory)
}
atEveryCall('a connection by name', byName, FAILURES, true)

/** Two hundred bad days: which calls fail how, how often, and what is sent, drawn from a seed. */
describe('at random', () => {
  /** What a call may fail with, some of it often: the first are survived. */
  const survived: Record<string, readonly string[]> = {
    receive: ['short', 'EAGAIN', 'EINTR'],
    send: ['short', 'EAGAIN', 'EINTR'],
    sendVector: ['short', 'EAGAIN', 'EINTR'],
    accept: ['ECONNABORTED', 'EPROTO', 'EINTR', 'EAGAIN'],
    connect: ['EINTR'],
    closeFd: ['EIO', 'EINTR']
  }
  /** Survived after a pause, for which there is time only on a virtual clock. */
  const shortages: Record<string, readonly string[]> = { accept: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] }
  const fatal: Record<string, readonly string[]> = {
    receive: ['ECONNRESET', 'ETIMEDOUT', 'ENOMEM'],
    send: ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM'],
    sendVector: ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM'],
    add: ['ENOMEM', 'ENOSPC'],
    socket: ['EMFILE', 'ENOBUFS'],
    connect: ['ECONNREFUSED', 'ENETUNREACH'],
    getOption: ['ENOBUFS'],
    remoteAddress: ['ENOBUFS'],
    shutdown: ['ENOTCONN', 'ENOBUFS'],
    setOption: ['ENOMEM']
  }

  function plan(random: () => number, failing: boolean, inMemory: boolean): Faults {
    const faults: Record<string, Fault[]> = {}
    const add = (from: Record<string, readonly string[]>, chance: number, most: number): void => {
      for (const [operation, kinds] of Object.entries(from)) {
        for (const fault of kinds) {
          if (random() < chance) (faults[operation] ??= []).push({ fault, percent: random() * most })
        }
      }
    }
    if (failing) add(fatal, 0.3, 5)
    if (inMemory) add(shortages, 0.5, 30)
    add(survived, 0.5, 60)
    return faults
  }

  /** Sends `sent` to an echo in parts, and reads what comes back until the end. */
  function* exchange(port: number, sent: Buffer, random: () => number): Coroutine<Buffer> {
    const client = yield* connect({ port, host: '127.0.0.1' })
    const received: Buffer[] = []
    yield* using(client, function* () {
      const writing = spawn(function* () {
        for (let at = 0; at < sent.length; ) {
          const end = Math.min(sent.length, at + 1 + Math.floor(random() ** 3 * 60_000))
          yield* client.write(sent.subarray(at, end))
          at = end
        }
        yield* client.closeWrite()
      })
      for (let chunk; (chunk = yield* client.readSome()) !== null; ) received.push(chunk)
      yield* writing
    })
    return Buffer.concat(received)
  }

  async function badDay(seed: number, over: MemoryKernel | undefined): Promise<{ injected: number; failed: boolean }> {
    const random = randomFrom(seed * 7919)
    // Every third day is one that everything survives.
    const failing = seed % 3 !== 0
    const kernel = new FaultyKernel({ over, seed, faults: plan(random, failing, over !== undefined) })
    const errors: unknown[] = []
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const main = function* (): Coroutine<void> {
      const server = yield* serve({ port: 0, host: '127.0.0.1', onError: (error) => errors.push(error) }, echo)
      const clients = Array.from({ length: 3 }, () =>
        spawn(function* () {
          const sent = PATTERN.subarray(0, Math.floor(random() ** 3 * PATTERN.length))
          try {
            const received = yield* exchange(server.address.port, sent, random)
            // The end has come: then it is the end of everything.
            if (!received.equals(sent)) throw new Error(`${received.length} of ${sent.length} bytes came back, and then an end`)
          } catch (error) {
            if (error instanceof Cancelled) throw error
            errors.push(error)
          }
        })
      )
      for (const client of clients) yield* client
      yield* server.close({ grace: 1000 })
    }
    try {
      await run(() => timeout(over === undefined ? HANGS_MS : 3_600_000, main), { kernel })
    } catch (error) {
      errors.push(error)
    } finally {
      vi.restoreAllMocks()
    }
    const found = [...flat(errors)]
    const strange = found.filter((error) => !(error instanceof SystemError) && !(error instanceof ScopeError))
    const left = { fds: kernel.openFds, watched: kernel.watched, sockets: over?.openSockets ?? 0 }
    if (strange.length > 0 || (!failing && found.length > 0) || Object.values(left).some((count) => count > 0)) {
      throw new Error(`${String(kernel)}; left ${JSON.stringify(left)}: ${found.map(({ stack }) => stack).join('\n')}`)
    }
    return { injected: kernel.injected(), failed: found.length > 0 }
  }

  it.each([
    ['memory', 150, 1],
    ['native', 50, 1001]
  ] as const)('what comes back is what was sent, or both sides are told (%s, %i days)', async (where, days, first) => {
    let hit = 0
    let failed = 0
    for (let seed = first; seed < first + days; seed++) {
      const day = await badDay(seed, where === 'memory' ? new MemoryKernel({ seed }) : undefined)
      hit += Math.sign(day.injected)
      failed += Number(day.failed)
    }
    expect(hit).toBeGreaterThan(days * 0.9)
    expect(failed).toBeGreaterThan(days * 0.2)
    expect(failed).toBeLessThan(days * 0.7)
  })
})

describe('what faults have found', () => {
  it('a write that fails on a connection that lives ends it with a reset: the peer does not take a part for the whole', async () => {
    for (const leave of ['close', 'handler'] as const) {
      const kernel = new FaultyKernel({ over: new MemoryKernel(), faults: { send: { fault: 'ENOBUFS', nth: 2 } } })
      const reported: unknown[] = []
      await run(
        function* () {
          const server = yield* serve({ port: 7000, onError: (error) => reported.push(error) }, function* (connection) {
            yield* connection.write('a part')
            yield* connection.flush()
            yield* connection.write('the rest')
            // Without, the handler ends, and the server closes.
            if (leave === 'handler') yield* connection.flush()
          })
          const client = yield* connect({ port: 7000 })
          expect(String(yield* client.readExactly(6))).toBe('a part')
          expect((yield* caught(() => client.readSome())).code).toBe('ECONNRESET')
          yield* client.close()
          yield* server.close()
        },
        { kernel }
      )
      expect(reported).toEqual([expect.objectContaining({ code: 'ENOBUFS', syscall: 'write' })])
    }
  })

  it('connections that are gone before they are accepted, one after the other, do not hold up the other tasks', async () => {
    const kernel = new FaultyKernel({ over: new MemoryKernel(), faults: { accept: { fault: 'ECONNABORTED', nth: 1, times: 10_000 } } })
    await run(
      function* () {
        const listener = yield* listen({ port: 7000 })
        const accepting = spawn(() => listener.accept())
        const client = yield* connect({ port: 7000 })
        for (let turn = 0; turn < 3; turn++) yield* checkpoint()
        expect(kernel.injected('accept')).toBeGreaterThan(0)
        expect(kernel.injected('accept')).toBeLessThan(1000)
        accepting.cancel()
        yield* checkpoint()
        expect(accepting.state).toBe('ended')
        const next = spawn(() => listener.accept())
        yield* (yield* next).close()
        expect(kernel.injected('accept')).toBe(10_000)
        yield* client.close()
        yield* listener.close()
      },
      { kernel }
    )
    expect(kernel.openFds).toBe(0)
  })

  it('listen fails when the system does not say where it listens', async () => {
    const kernel = new FaultyKernel({ over: new MemoryKernel(), faults: { localAddress: { fault: 'ENOBUFS', nth: 1 } } })
    const error = await thrownBy(() => run(() => listen({ port: 0 }), { kernel }))
    expect(error).toMatchObject({ code: 'ENOBUFS', syscall: 'getsockname' })
    expect([kernel.openFds, kernel.watched]).toEqual([0, 0])
  })

  it('a call that was interrupted is made again: reading, writing, trying either, draining, and any descriptor', async () => {
    const often = { fault: 'EINTR', percent: 100 }
    const kernel = new FaultyKernel({
      over: new MemoryKernel(),
      faults: { receive: often, send: often, sendVector: often, read: often, write: often, accept: often }
    })
    await run(
      function* () {
        const [first, second] = yield* pair()
        yield* first.write(['one ', 'two ', 'three'].map((word) => Buffer.from(word)))
        yield* first.flush()
        expect(String(yield* second.readSome())).toBe('one two three')
        expect(second.tryWrite('four')).toBe(4)
        const four = Buffer.alloc(4)
        expect(first.tryRead(four)).toBe(4)
        yield* second.write('unread')
        yield* second.flush()
        // Something has been written and something is unread: the rest is drained.
        const closing = spawn(() => first.close())
        yield* checkpoint()
        expect(closing.state).toBe('parked')
        expect(yield* second.readSome()).toBeNull()
        yield* second.close()
        yield* closing
        const fds = kernel.socketPair() as readonly [number, number]
        const [here, there] = [fd(fds[0], { own: true }), fd(fds[1], { own: true })]
        yield* here.write('five')
        expect(String(yield* there.readSome())).toBe('five')
        yield* here.close()
        yield* there.close()
      },
      { kernel }
    )
    expect(kernel.injected('receive', 'EINTR')).toBeGreaterThan(3)
    expect(kernel.injected('send', 'EINTR')).toBeGreaterThan(1)
  })
})
