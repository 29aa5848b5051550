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
import { FaultyKernel, MemoryKernel, type Fault, type Faults, type FaultyOperation } from 'coreactor/testing'
import { caught, pair, pattern, randomFrom, thrownBy } from './support.js'

/** Longer than anything takes that ends by itself: pauses of accepting, lingering closes. Virtual, or never reached. */
const HANGS_MS = 15_000

const PATTERN = pattern(100_000)

const HOST = 'host.test'
const ADDRESSES = ['10.0.0.1', '10.0.0.2']

/** What a program does when nothing fails. `report` hears of errors that do not come out of it. */
type Program = (report: (error: unknown) => void) => Coroutine<void>

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

/** What goes wrong, and the system calls that it is said to be an error of. */
const FAILURES: readonly [operation: FaultyOperation, faults: readonly string[], syscalls: readonly string[]][] = [
  ['socket', ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EACCES'], ['socket']],
  ['setOption', ['ENOMEM', 'ENOPROTOOPT'], ['setsockopt']],
  ['bind', ['EADDRINUSE', 'EACCES'], ['listen']],
  ['listen', ['EADDRINUSE'], ['listen']],
  ['connect', ['ECONNREFUSED', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EINTR'], ['connect']],
  ['getOption', ['ENOBUFS'], ['connect']],
  ['localAddress', ['ENOBUFS'], ['getsockname']],
  ['remoteAddress', ['ENOBUFS'], ['connect']],
  ['add', ['ENOMEM', 'ENOSPC'], ['epoll_ctl']],
  ['accept', ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ECONNABORTED', 'EPROTO', 'EPERM', 'EINTR', 'EAGAIN'], ['accept']],
  ['receive', ['ECONNRESET', 'ETIMEDOUT', 'ENOMEM', 'EINTR', 'EAGAIN', 'short'], ['read']],
  ['send', ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM', 'EINTR', 'EAGAIN', 'short'], ['write']],
  ['sendVector', ['EPIPE', 'ECONNRESET', 'ENOBUFS', 'ENOMEM', 'EINTR', 'EAGAIN', 'short'], ['write']],
  // No connection is no reason: reading says why.
  ['shutdown', ['ENOTCONN', 'ENOBUFS'], ['shutdown', 'read']],
  ['submit', ['ENOMEM', 'EAGAIN'], ['lookup', 'pthread_create']],
  ['remove', ['EBADF', 'ENOENT'], []],
  ['closeFd', ['EIO', 'EINTR'], []]
]

/** Faults that no program notices. */
function isHarmless(operation: FaultyOperation, fault: string): boolean {
  if (operation === 'closeFd' || operation === 'remove') return true
  if (operation === 'accept') return ['ECONNABORTED', 'EPROTO', 'EPERM', 'EINTR', 'EAGAIN'].includes(fault)
  if (operation === 'connect') return fault === 'EINTR'
  return ['receive', 'send', 'sendVector'].includes(operation) && ['EINTR', 'EAGAIN', 'short'].includes(fault)
}

/** Every error in `errors` and inside of them. */
function* flat(errors: readonly unknown[]): Generator<Error> {
  for (const error of errors) {
    if (error instanceof Error) yield error
    if (error instanceof AggregateError) yield* flat(error.errors as unknown[])
    else if (error instanceof Error && error.cause !== undefined) yield* flat([error.cause])
  }
}

interface Outcome {
  readonly kernel: FaultyKernel
  readonly succeeded: boolean
  /** What came out, and what was reported. */
  readonly errors: Error[]
  readonly warnings: string[]
}

/** Runs a program with one fault. Whatever becomes of it, nothing is left, and it does not hang. */
async function attempt(program: Program, operation: FaultyOperation, fault: Fault, over: MemoryKernel | undefined): Promise<Outcome> {
  const kernel = new FaultyKernel({ faults: { [operation]: fault }, over, seed: 1 })
  const errors: unknown[] = []
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  let succeeded = false
  try {
    await run(() => timeout(HANGS_MS, () => program((error) => errors.push(error))), { kernel })
    succeeded = true
  } catch (error) {
    errors.unshift(error)
  }
  const said = warnings.mock.calls.map(([warning]) => String(warning))
  warnings.mockRestore()
  const found = [...flat(errors)]
  const left = { fds: kernel.openFds, watched: kernel.watched, sockets: over?.openSockets ?? 0, jobs: over?.openJobs ?? 0 }
  const hangs = found.some(({ name }) => name === 'TimeoutError')
  expect({ ...left, hangs }, `${operation} ${JSON.stringify(fault)}`).toEqual({ fds: 0, watched: 0, sockets: 0, jobs: 0, hangs: false })
  return { kernel, succeeded, errors: found, warnings: said }
}

/** On the operating system, which takes longer, an operation fails in one way, and in those that should not show. */
function describeProgram(title: string, program: Program, operations: readonly FaultyOperation[], inMemory: boolean): void {
  const over = (): MemoryKernel | undefined => (inMemory ? new MemoryKernel({ names: { [HOST]: ADDRESSES } }) : undefined)

  describe(`${title} (${inMemory ? 'memory' : 'native'})`, () => {
    const cases = FAILURES.filter(([operation]) => operations.includes(operation)).flatMap(([operation, faults, syscalls]) =>
      faults.filter((fault, i) => inMemory || i === 0 || isHarmless(operation, fault)).map((fault) => [operation, fault, syscalls] as const)
    )

    it.each(cases)('%s fails with %s, at every call in turn', async (operation, fault, syscalls) => {
      for (const times of isLasting(operation, fault) ? [1, Infinity] : [1]) {
        let hit = true
        for (let nth = 1; hit; nth++) {
          const { kernel, succeeded, errors, warnings } = await attempt(program, operation, { fault, nth, times }, over())
          hit = kernel.injected() > 0
          expect(warnings.length).toBeLessThan(2)
          if (succeeded) continue
          const code = fault === 'ENOTCONN' ? 'ECONNRESET' : fault
          const told =
            errors.some((error) => error instanceof SystemError && error.code === code && syscalls.includes(error.syscall)) ||
            warnings.some((warning) => syscalls.some((syscall) => warning.includes(`pauses: ${syscall} ${fault}`)))
          if (!hit || isHarmless(operation, fault) || !told) {
            throw new Error(`call ${nth}, ${times} times: ${errors.map((error) => error.stack).join('\n')}`)
          }
          expect(nth).toBeLessThan(1000)
        }
      }
    })
  })
}

/** Whether a program comes to an end although it fails for ever. */
function isLasting(operation: FaultyOperation, fault: string): boolean {
  return operation !== 'accept' && fault !== 'EAGAIN' && fault !== 'EINTR'
}

const SOCKETS: readonly FaultyOperation[] = FAILURES.map(([operation]) => operation).filter((name) => name !== 'submit')

for (const inMemory of [true, false]) {
  describeProgram('an echo of one connection', once, SOCKETS, inMemory)
  describeProgram('a server of three clients', server, SOCKETS, inMemory)
}
describeProgram('a connection by name', byName, [...SOCKETS, 'submit'], true)

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
