/** Programs on a kernel that fails: at every call in turn, and at random. Nothing leaks, nothing hangs, every error is said. */
import { describe, expect, it, vi } from 'vitest'
import { connect, listen, run, serve, SystemError, spawn, timeout, type Connection, type Coroutine } from 'coreactor'
import { FaultyKernel, MemoryKernel, type Fault, type FaultyOperation } from 'coreactor/testing'
import { pattern } from './support.js'

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

/** Runs `body` on a connection, and closes it. Nothing of it is left if that fails. */
function* using(connection: Connection, body: (connection: Connection) => Coroutine<void>): Coroutine<void> {
  try {
    yield* body(connection)
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
