/** Listening, connecting and serving over TCP. */
import { createConnection, createServer } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  Cancelled,
  checkpoint,
  ClosedError,
  connect,
  Event,
  HostNotNumericError,
  listen,
  run,
  scope,
  serve,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  until,
  type Connection,
  type Coroutine,
  type Op,
  type Server
} from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import * as errno from '../lib/kernel/errno.js'
import { socketAddress } from '../lib/net/address.js'
import { ownRuntime } from '../lib/runtime/current.js'
import { caught, onEveryKernel, pair, readAll, thrownBy } from './support.js'

/** What a task may do before the others have their turn: see lib/task/scheduler.ts. */
const BUDGET_OPERATIONS = 128
const HERE = { port: 0, host: '127.0.0.1' }

function* echo(connection: Connection): Coroutine<void> {
  for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
}

function* ask(server: Server, question: string): Coroutine<string> {
  const client = yield* connect({ port: server.address.port })
  yield* client.write(question)
  yield* client.closeWrite()
  const answer = yield* readAll(client)
  yield* client.close()
  return answer.toString()
}

onEveryKernel('serve', (kernel) => {
  it('runs a handler for every connection, in tasks of their own', async () => {
    const answers = await kernel.run(function* () {
      const server = yield* serve(HERE, echo)
      const asking = ['one', 'two', 'three'].map((word) => spawn(ask, server, word))
      const all: string[] = []
      for (const each of asking) all.push(yield* each)
      yield* server.close()
      return all
    })
    expect(answers).toEqual(['one', 'two', 'three'])
  })

  it('serves async handlers and generator handlers alike', async () => {
    const answer = await kernel.run(async () => {
      const server = await serve(HERE, async (connection) => {
        for await (const chunk of connection) await connection.write(chunk)
      })
      const answer = await spawn(ask, server, 'hello')
      await server.close()
      return answer
    })
    expect(answer).toBe('hello')
  })

  it('closes the connection when its handler ends, after what it wrote', async () => {
    const answer = await kernel.run(function* () {
      const server = yield* serve(HERE, function* (connection) {
        yield* connection.write('x'.repeat(10_000))
        yield* connection.write('bye')
      })
      const client = yield* connect({ port: server.address.port })
      const all = yield* readAll(client)
      yield* client.close()
      yield* server.close()
      return all.toString()
    })
    expect(answer).toBe('x'.repeat(10_000) + 'bye')
  })

  it('a failing handler is reported and closes its connection; the server lives', async () => {
    const reported: [unknown, boolean][] = []
    const failure = new Error('handler')
    const answers = await kernel.run(function* () {
      const server = yield* serve(
        { ...HERE, onError: (error, connection) => reported.push([error, connection.closed]) },
        function* (connection) {
          const chunk = String(yield* connection.readSome())
          yield* connection.write(`got ${chunk}`)
          if (chunk === 'bad') throw failure
        }
      )
      const answers = [yield* ask(server, 'bad'), yield* ask(server, 'good')]
      yield* server.close()
      return answers
    })
    expect(answers).toEqual(['got bad', 'got good'])
    expect(reported).toEqual([[failure, false]])
  })

  it('an onError that throws ends the server with that error', async () => {
    const failure = new Error('fail fast')
    const error = await thrownBy(() =>
      kernel.run(function* () {
        const server = yield* serve(
          {
            ...HERE,
            onError(error) {
              throw error
            }
          },
          function* () {
            throw failure
          }
        )
        const client = yield* connect({ port: server.address.port })
        yield* readAll(client)
        client.reset()
      })
    )
    const messages = JSON.stringify(flatten(error))
    expect(messages).toContain('fail fast')
  })

  it('close cancels the handlers that have not ended, which may clean up', async () => {
    const seen: string[] = []
    await kernel.run(function* () {
      const server = yield* serve(HERE, function* (connection) {
        try {
          yield* connection.readSome()
        } catch (error) {
          seen.push(error instanceof Cancelled ? `cancelled: ${String(error.reason)}` : String(error))
          throw error
        } finally {
          seen.push('cleaned up')
        }
      })
      const client = yield* connect({ port: server.address.port })
      while (server.connections === 0) yield* checkpoint()
      yield* checkpoint()
      yield* server.close()
      yield* server.close()
      expect(server.connections).toBe(0)
      expect(yield* client.readSome()).toBeNull()
      yield* client.close()
    })
    expect(seen).toEqual(['cancelled: the server is closing', 'cleaned up'])
  })

  it('close with grace lets handlers end, and accepts nobody meanwhile', async () => {
    await kernel.run(function* () {
      const server = yield* serve(HERE, echo)
      const client = yield* connect({ port: server.address.port })
      yield* client.write('before')
      expect(String(yield* client.readSome())).toBe('before')
      const closing = spawn(function* () {
        yield* server.close({ grace: 60_000 })
      })
      yield* checkpoint()
      expect((yield* caught(() => connect({ port: server.address.port }))).code).toBe('ECONNREFUSED')
      yield* client.write('after')
      expect(String(yield* client.readSome())).toBe('after')
      expect(closing.state).toBe('parked')
      yield* client.close()
      yield* closing
    })
  })

  it('close with grace cancels what is left when the grace is over', async () => {
    await kernel.run(function* () {
      const server = yield* serve(HERE, echo)
      const client = yield* connect({ port: server.address.port })
      while (server.connections === 0) yield* checkpoint()
      yield* server.close({ grace: 2 })
      expect(yield* client.readSome()).toBeNull()
      yield* client.close()
    })
  })

  it('close from inside a handler ends that handler, too', async () => {
    await kernel.run(function* () {
      const server: Server = yield* serve(HERE, function* (connection) {
        yield* connection.readSome()
        yield* server.close()
      })
      const client = yield* connect({ port: server.address.port })
      yield* client.write('close yourself')
      yield* caught(() => failIfData(client))
      yield* client.close()
    })
  })

  it('the limit holds connections back until one ends', async () => {
    await kernel.run(function* () {
      let most = 0
      const server = yield* serve({ ...HERE, limit: 2 }, function* (connection) {
        most = Math.max(most, server.connections)
        yield* echo(connection)
      })
      const asking = Array.from({ length: 10 }, (_, i) => spawn(ask, server, `${i}`))
      for (const [i, each] of asking.entries()) expect(yield* each).toBe(`${i}`)
      expect(most).toBe(2)
      yield* server.close()
    })
  })

  it('ends with the scope it is in, and with its signal', async () => {
    await kernel.run(function* () {
      const abort = new AbortController()
      const bySignal = yield* serve({ ...HERE, signal: abort.signal }, echo)
      const client = yield* connect({ port: bySignal.address.port })
      while (bySignal.connections === 0) yield* checkpoint()
      abort.abort('enough')
      expect(yield* client.readSome()).toBeNull()
      yield* client.close()
      const port = yield* scope(function* (tasks) {
        const server = yield* serve(HERE, echo)
        tasks.cancel()
        return server.address.port
      })
      expect((yield* caught(() => connect({ port }))).code).toBe('ECONNREFUSED')
    })
  })

  it('hazard 2: handlers that close themselves, each other and the listener in one turn leave nothing', async () => {
    await kernel.run(function* () {
      const open: Connection[] = []
      const server: Server = yield* serve({ ...HERE, onError: () => {} }, function* (connection) {
        open.push(connection)
        yield* connection.readSome()
        for (const each of open) each.reset()
        yield* server.close()
      })
      const clients: Connection[] = []
      for (let i = 0; i < 5; i++) clients.push(yield* connect({ port: server.address.port }))
      while (server.connections < 5) yield* checkpoint()
      for (const client of clients) client.tryWrite('now')
      for (const client of clients) {
        yield* caught(() => failIfData(client))
        client.reset()
      }
    })
  })
})

onEveryKernel('listen and connect', (kernel) => {
  it('a listener has its address, accepts, and iterates until it is closed', async () => {
    await kernel.run(async () => {
      const listener = await listen(HERE)
      expect(listener.address).toMatchObject({ family: 'IPv4', address: '127.0.0.1' })
      expect(listener.address.port).toBeGreaterThan(0)
      const client = await connect({ port: listener.address.port })
      for await (const connection of listener) {
        expect(connection.remoteAddress).toEqual(client.localAddress)
        expect(connection.localAddress).toMatchObject({ port: listener.address.port })
        connection.reset()
        await listener.close()
      }
      await listener.close()
      client.reset()
    })
  })

  it('closing a listener wakes who accepts from it', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const accepting = spawn(() => caught(() => listener.accept()))
      yield* checkpoint()
      yield* listener.close()
      expect(yield* accepting).toBeInstanceOf(ClosedError)
      expect(yield* caught(() => listener.accept())).toBeInstanceOf(ClosedError)
    })
  })

  it('closing a listener in a cancelled scope frees its fd all the same, and is cancelled then', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      yield* scope(function* (tasks) {
        tasks.cancel()
        expect(yield* caught(() => listener.close())).toBeInstanceOf(Cancelled)
      })
      expect(listener.closed).toBe(true)
      expect((yield* caught(() => connect({ port: listener.address.port }))).code).toBe('ECONNREFUSED')
    })
  })

  it('the end of an await using block in a cancelled scope frees all, and the scope absorbs its cancellation', async () => {
    await kernel.run(async () => {
      let kept: Connection | undefined
      const result = await scope(async (tasks) => {
        await using server = await serve(HERE, echo)
        await using connection = await connect({ port: server.address.port })
        kept = connection
        tasks.cancel()
        await sleep(1)
        return 'never'
      })
      expect(result).toBeUndefined()
      expect(kept?.closed).toBe(true)
    })
  })

  it('what is cancelled while the budget keeps it from closing frees its fd all the same', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const connection = yield* connect({ port: listener.address.port })
      const up = new Event()
      up.set()
      const closeLate = function* (each: { close(): Op<void> }): Coroutine<void> {
        try {
          // As many as make it the turn of the others right before the first attempt to close.
          for (let i = 1; i < BUDGET_OPERATIONS; i++) yield* up.wait()
        } finally {
          yield* each.close()
        }
      }
      for (const each of [listener, connection]) {
        yield* scope(function* (tasks) {
          const closing = tasks.spawn(closeLate, each)
          tasks.spawn(function* () {
            closing.cancel()
          })
        })
        expect(each.closed).toBe(true)
      }
    })
  })

  it('a second accept at a time is BusyError', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const accepting = spawn(() => caught(() => listener.accept()))
      yield* checkpoint()
      expect((yield* caught(() => listener.accept())).code).toBe('ERR_COREACTOR_BUSY')
      yield* listener.close()
      yield* accepting
    })
  })

  it('hazard 33: an accept that is cancelled at any step loses no connection and leaks no fd', async () => {
    for (let cancelAfter = 0; cancelAfter < 12; cancelAfter++) {
      await kernel.run(function* () {
        const listener = yield* listen(HERE)
        let accepted: Connection | undefined
        const accepting = spawn(function* () {
          accepted = yield* listener.accept()
        })
        const connecting = spawn(function* () {
          return yield* connect({ port: listener.address.port })
        })
        for (let i = 0; i < cancelAfter; i++) yield* checkpoint()
        accepting.cancel()
        const client = yield* connecting
        while (accepting.state !== 'ended') yield* checkpoint()
        accepted ??= yield* listener.accept()
        yield* client.write('hello')
        yield* client.close()
        expect(String(yield* readAll(accepted))).toBe('hello')
        yield* accepted.close()
        yield* listener.close()
      })
    }
  })

  it('hazard 6, 25: a refused connection is ECONNREFUSED with its address, and not a connection before', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const { port } = listener.address
      yield* listener.close()
      const error = yield* caught(() => connect({ port, host: '127.0.0.1' }))
      expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port, errno: errno.ECONNREFUSED })
      expect(error.message).toBe(`connect ECONNREFUSED: connection refused 127.0.0.1:${port}`)
    })
  })

  it('hazard 25: a connect that is cancelled while it waits closes its socket', async () => {
    await kernel.run(function* () {
      // Two fill the queue of one (Linux keeps backlog + 1); whoever comes then gets no answer.
      const listener = yield* listen({ ...HERE, backlog: 1 })
      const { port } = listener.address
      const others: Connection[] = []
      let error: unknown
      while (error === undefined) {
        try {
          others.push(yield* timeout(20, () => connect({ port })))
        } catch (thrown) {
          error = thrown
        }
        expect(others.length).toBeLessThan(5)
      }
      expect(error).toBeInstanceOf(TimeoutError)
      for (const each of others) each.reset()
      yield* listener.close()
    })
  })

  it('hazard 25: connections to a listener that closes meanwhile end in an error or an end, and leak nothing', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const connecting = Array.from({ length: 20 }, () =>
        spawn(function* () {
          try {
            const client = yield* connect({ port: listener.address.port })
            try {
              return String(yield* client.readSome())
            } finally {
              client.reset()
            }
          } catch (error) {
            return (error as { code: string }).code
          }
        })
      )
      yield* checkpoint()
      yield* listener.close()
      for (const each of connecting) expect(['ECONNREFUSED', 'ECONNRESET', 'null']).toContain(yield* each)
    })
  })

  it('an address in use is EADDRINUSE, with the address, and leaks nothing', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const { port } = listener.address
      const error = yield* caught(() => listen({ port, host: '127.0.0.1' }))
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port })
      yield* listener.close()
    })
  })

  it('options can be set while the connection is open', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      client.setNoDelay().setNoDelay(false).setKeepAlive(true, { idle: 10, interval: 5, count: 3 }).setKeepAlive(false)
      yield* client.close()
      yield* server.close()
    })
  })
})

describe('serve, when accept fails', () => {
  it('hazard 16: out of fds it pauses, warns once, and goes on when there are some again', async () => {
    const warnings: string[] = []
    const onWarning = (warning: Error & { code?: string }): void => void warnings.push(warning.code ?? warning.message)
    process.on('warning', onWarning)
    const shortages = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
    const memory = new MemoryKernel()
    const accept = memory.accept.bind(memory)
    memory.accept = (fd) => shortages.shift() ?? accept(fd)
    const elapsed = await run(
      function* () {
        const server = yield* serve(HERE, echo)
        expect(yield* ask(server, 'patience')).toBe('patience')
        yield* server.close()
        return memory.now()
      },
      { kernel: memory }
    )
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', onWarning)
    // 100 + 200 + 400 + 800 ms of the virtual clock.
    expect(elapsed).toBe(1500)
    expect(warnings).toEqual(['COREACTOR_ACCEPT_PAUSED'])
  })

  it('hazard 17: connections that were gone before they were accepted are passed over', async () => {
    const gone = [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EOPNOTSUPP, errno.EINTR]
    const memory = new MemoryKernel()
    const accept = memory.accept.bind(memory)
    memory.accept = (fd) => gone.shift() ?? accept(fd)
    await run(
      function* () {
        const server = yield* serve(HERE, echo)
        expect(yield* ask(server, 'still here')).toBe('still here')
        yield* server.close()
      },
      { kernel: memory }
    )
    expect(gone).toEqual([])
  })

  it('hazard 17: any other error of accept ends the server', async () => {
    const memory = new MemoryKernel()
    memory.accept = () => errno.EINVAL
    const error = await thrownBy(() =>
      run(
        function* () {
          const server = yield* serve(HERE, echo)
          const client = yield* connect({ port: server.address.port })
          yield* sleep(1)
          client.reset()
        },
        { kernel: memory }
      )
    )
    expect(JSON.stringify(flatten(error))).toContain('accept EINVAL')
  })
})

describe('bad arguments are refused at once, before any effect', () => {
  it.each([
    ['listen without options', () => listen(undefined as never), 'ERR_INVALID_ARG_TYPE'],
    ['a port that is text', () => listen({ port: '80' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a port out of range', () => listen({ port: 65536 }), 'ERR_OUT_OF_RANGE'],
    ['a negative port', () => connect({ port: -1 }), 'ERR_OUT_OF_RANGE'],
    ['port 0 to connect to', () => connect({ port: 0 }), 'ERR_OUT_OF_RANGE'],
    ['a fractional port', () => connect({ port: 1.5 }), 'ERR_OUT_OF_RANGE'],
    ['a host that is no text', () => connect({ port: 1, host: 5 as never }), 'ERR_INVALID_ARG_TYPE'],
    ['an empty host', () => connect({ port: 1, host: '' }), 'ERR_INVALID_ARG_VALUE'],
    ['a family that is none', () => connect({ port: 1, family: 5 as never }), 'ERR_INVALID_ARG_VALUE'],
    ['an attempt delay below 10 ms', () => connect({ port: 1, attemptDelay: 9 }), 'ERR_OUT_OF_RANGE'],
    ['a local address that is a name', () => connect({ port: 1, localAddress: 'localhost' }), 'ERR_INVALID_ARG_VALUE'],
    ['a local port out of range', () => connect({ port: 1, localPort: 65536 }), 'ERR_OUT_OF_RANGE'],
    ['a connect timeout of NaN', () => connect({ port: 1, timeout: NaN }), 'ERR_OUT_OF_RANGE'],
    ['a connect signal that is none', () => connect({ port: 1, signal: {} as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a noDelay that is text', () => connect({ port: 1, noDelay: 'no' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a fastOpen that is a number', () => connect({ port: 1, fastOpen: 1 as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a keepAlive out of range', () => connect({ port: 1, keepAlive: { count: 0 } }), 'ERR_OUT_OF_RANGE'],
    ['a backlog of 0', () => listen({ port: 0, backlog: 0 }), 'ERR_OUT_OF_RANGE'],
    ['a path', () => listen({ port: 0, path: '/tmp/x' } as never), 'ERR_INVALID_ARG_VALUE'],
    ['serve without a handler', () => serve(HERE, undefined as never), 'ERR_INVALID_ARG_TYPE'],
    ['a limit of 0', () => serve({ ...HERE, limit: 0 }, echo), 'ERR_OUT_OF_RANGE'],
    ['a signal that is none', () => serve({ ...HERE, signal: {} as never }, echo), 'ERR_INVALID_ARG_TYPE'],
    ['an onError that is no function', () => serve({ ...HERE, onError: 'x' as never }, echo), 'ERR_INVALID_ARG_TYPE'],
    ['a sleep of NaN', () => sleep(NaN), 'ERR_OUT_OF_RANGE'],
    ['a sleep of text', () => sleep('1' as never), 'ERR_INVALID_ARG_TYPE'],
    ['a timeout without a body', () => timeout(1, undefined as never), 'ERR_INVALID_ARG_TYPE'],
    ['until of no promise', () => until(5 as never), 'ERR_INVALID_ARG_TYPE']
  ])('%s', (_, use, code) => {
    expect(use).toThrow(expect.objectContaining({ code }))
  })

  it('where only an address makes sense, a host name says what to do instead', () => {
    expect(() => socketAddress({ port: 1, host: 'example.com' }, '::', 0)).toThrow(HostNotNumericError)
    expect(socketAddress({ port: 1, host: 'localhost' }, '::', 0)).toMatchObject({ address: '127.0.0.1' })
  })
})

describe('the operating system', () => {
  it('talks to node:net in both directions', async () => {
    await run(async () => {
      const server = await serve(HERE, echo)
      const socket = createConnection(server.address.port, '127.0.0.1')
      socket.end('from node')
      const [data] = (await once(socket, 'data')) as [Buffer]
      expect(String(data)).toBe('from node')
      await once(socket, 'close')
      await server.close()
    })
    const nodeServer = createServer((socket) => socket.pipe(socket))
    nodeServer.listen(0, '127.0.0.1')
    await once(nodeServer, 'listening')
    await run(function* () {
      const client = yield* connect({ port: (nodeServer.address() as { port: number }).port })
      yield* client.write('to node')
      yield* client.closeWrite()
      expect(String(yield* readAll(client))).toBe('to node')
      yield* client.close()
    })
    nodeServer.close()
    await once(nodeServer, 'close')
  })

  it('listens on every address, IPv6 and IPv4, when no host is given', async () => {
    await run(function* () {
      const server = yield* serve({ port: 0 }, echo)
      const { port } = server.address
      for (const host of ['127.0.0.1', 'localhost', '::1']) {
        const client = yield* connect({ port, host })
        expect(client.remoteAddress?.port).toBe(port)
        yield* client.close()
      }
      yield* server.close()
    })
  })

  it('hazard 25: a connection to oneself is refused, and not a success', async () => {
    const error = await thrownBy(() =>
      run(function* () {
        const listener = yield* listen(HERE)
        const { port } = listener.address
        yield* listener.close()
        // From the very port it goes to: the system would connect the socket to itself.
        yield* connect({ port, host: '127.0.0.1', localPort: port })
      })
    )
    expect(error.code).toBe('ECONNREFUSED')
  })

  it('hazard 12: an idle connection with unread data takes no turns', async () => {
    await run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('nobody reads this')
      yield* client.flush()
      yield* sleep(1)
      const before = ownRuntime().turns
      for (let i = 0; i < 100; i++) yield* until(new Promise((resolve) => setImmediate(resolve)))
      // One turn for each of our own wake-ups, and none besides.
      expect(ownRuntime().turns - before).toBeLessThan(110)
      yield* client.close()
      yield* server.close()
    })
  })
})

function* failIfData(connection: Connection): Coroutine<void> {
  const chunk = yield* connection.readSome()
  if (chunk === null) throw new Error('the end')
}

function flatten(error: unknown): unknown {
  if (error instanceof AggregateError) return error.errors.map(flatten)
  return error instanceof Error ? error.message : error
}
