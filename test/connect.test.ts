/** Connecting by name: which addresses are tried, when, and what becomes of those that lose. */
import { createServer } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  Cancelled,
  connect,
  ConnectError,
  listen,
  LookupError,
  moveOnAfter,
  now,
  race,
  run,
  scope,
  serve,
  sleep,
  spawn,
  SystemError,
  TimeoutError,
  type Connection,
  type ConnectOptions,
  type Coroutine
} from 'coreactor'
import { MemoryKernel, type MemoryKernelOptions, type MemoryRoute } from 'coreactor/testing'
import * as errno from '../lib/kernel/errno.js'
import type { SocketAddress } from '../lib/kernel/kernel.js'
import { SocketOption } from '../lib/kernel/layout.js'
import { nativeKernel } from '../lib/kernel/native.js'
import { interleave } from '../lib/net/happy-eyeballs.js'
import { caught, onEveryKernel, thrownBy } from './support.js'

const PORT = 7000
const HERE = { port: 0, host: '127.0.0.1' }

/** A network in memory, and a note of every connection that is begun: to which address, and when. */
class Network extends MemoryKernel {
  readonly begun: [address: string, when: number][] = []

  constructor(hosts: readonly string[], network: Record<string, MemoryRoute>, more: MemoryKernelOptions = {}) {
    super({ names: { 'host.test': hosts }, network, ...more })
  }

  override connect(fd: number, address: SocketAddress): number {
    this.begun.push([address.address, this.now()])
    return super.connect(fd, address)
  }

  /** Runs `main` beside a server; in the end no socket and no job is left. */
  async serving<T>(main: () => Coroutine<T>): Promise<T> {
    const result = await run(
      function* () {
        const server = yield* serve({ port: PORT }, function* (connection) {
          yield* connection.readSome()
        })
        const result = yield* main()
        yield* server.close()
        return result
      },
      { kernel: this }
    )
    expect([this.openSockets, this.openJobs]).toEqual([0, 0])
    return result
  }

  /** Connects, and says to which address and at what time; or gives the error. */
  opened(options: Partial<ConnectOptions> = {}): Promise<[address: string | undefined, when: number] | Error> {
    return this.serving(function* () {
      try {
        const connection = yield* connect({ host: 'host.test', port: PORT, ...options })
        const { remoteAddress } = connection
        yield* connection.close()
        return [remoteAddress?.address, now()] as [string | undefined, number]
      } catch (error) {
        return error as Error
      }
    })
  }
}

const FOUR = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
const SIX = ['2001:db8::1', '2001:db8::2']
const SILENT = { delay: Infinity }

describe('happy eyeballs', () => {
  it('hazard 44: takes the families in turn, beginning with that of the first address', () => {
    const addresses = (list: string[]): SocketAddress[] =>
      list.map((address) => ({ family: address.includes(':') ? 'IPv6' : 'IPv4', address, port: 1 }))
    const order = (list: string[]): string[] => interleave(addresses(list)).map(({ address }) => address)
    expect(order([...SIX, ...FOUR])).toEqual(['2001:db8::1', '10.0.0.1', '2001:db8::2', '10.0.0.2', '10.0.0.3'])
    expect(order([...FOUR, ...SIX])).toEqual(['10.0.0.1', '2001:db8::1', '10.0.0.2', '2001:db8::2', '10.0.0.3'])
    expect(order(FOUR)).toEqual(FOUR)
    expect(order([])).toEqual([])
  })

  it('connects to the first address if that answers, and tries no other', async () => {
    const network = new Network([...SIX, ...FOUR], { '2001:db8::1': { delay: 249 } })
    expect(await network.opened()).toEqual(['2001:db8::1', 249])
    expect(network.begun).toEqual([['2001:db8::1', 0]])
  })

  it('begins the next attempt after 250 ms without an answer, or after what is asked for', async () => {
    const silent = { '2001:db8::1': SILENT, '10.0.0.1': SILENT }
    const network = new Network([...SIX, ...FOUR], silent)
    expect(await network.opened()).toEqual(['2001:db8::2', 500])
    expect(network.begun).toEqual([
      ['2001:db8::1', 0],
      ['10.0.0.1', 250],
      ['2001:db8::2', 500]
    ])
    const hasty = new Network([...SIX, ...FOUR], silent)
    expect(await hasty.opened({ attemptDelay: 10 })).toEqual(['2001:db8::2', 20])
  })

  it('hazard 44: an attempt is not given up because a later one has begun', async () => {
    // Node aborts the first one after 250 ms, and fails.
    const network = new Network(['10.0.0.1', '10.0.0.2'], { '10.0.0.1': { delay: 400 }, '10.0.0.2': SILENT })
    expect(await network.opened()).toEqual(['10.0.0.1', 400])
    expect(network.begun).toHaveLength(2)
  })

  it('the last attempt is waited for as long as it takes', async () => {
    const network = new Network(['10.0.0.1', '10.0.0.2'], { '10.0.0.1': SILENT, '10.0.0.2': { delay: 60_000 } })
    expect(await network.opened()).toEqual(['10.0.0.2', 60_250])
  })

  it('begins the next attempt at once when the one before has failed', async () => {
    const network = new Network(FOUR, { '10.0.0.1': { unreachable: true }, '10.0.0.2': { delay: 30, refuses: true } })
    expect(await network.opened()).toEqual(['10.0.0.3', 30])
    expect(network.begun).toEqual([
      ['10.0.0.1', 0],
      ['10.0.0.2', 0],
      ['10.0.0.3', 30]
    ])
  })

  it('hazard 25, 33: two that answer in the same turn make one connection, and the other is closed', async () => {
    const network = new Network(['10.0.0.1', '10.0.0.2'], { '10.0.0.1': { delay: 300 }, '10.0.0.2': { delay: 50 } })
    expect(await network.opened()).toEqual(['10.0.0.1', 300])
  })

  it('when all fail alike, it is that error, of the first address', async () => {
    const network = new Network(FOUR, Object.fromEntries(FOUR.map((each) => [each, { refuses: true }])))
    const error = await network.opened()
    expect(error).toBeInstanceOf(SystemError)
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '10.0.0.1', port: PORT })
  })

  it('when they fail in different ways, it is one error that has them all, in the order of the addresses', async () => {
    const network = new Network(FOUR, {
      '10.0.0.1': { delay: 1000, refuses: true },
      '10.0.0.2': { unreachable: true },
      '10.0.0.3': { delay: 5, refuses: true }
    })
    const error = await network.opened()
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toBeInstanceOf(AggregateError)
    expect(error).toMatchObject({ code: 'ECONNREFUSED', errno: errno.ECONNREFUSED, syscall: 'connect', hostname: 'host.test', port: PORT })
    expect((error as ConnectError).errors.map(({ code, address }) => [code, address])).toEqual([
      ['ECONNREFUSED', '10.0.0.1'],
      ['EHOSTUNREACH', '10.0.0.2'],
      ['ECONNREFUSED', '10.0.0.3']
    ])
    expect((error as Error).message).toContain('connect to host.test:7000 failed: connect ECONNREFUSED: connection refused 10.0.0.1:7000;')
  })

  it('takes the addresses of one family, if that is asked for', async () => {
    for (const [options, address] of [
      [{ family: 4 }, '10.0.0.1'],
      [{ family: 'IPv6' }, '2001:db8::1'],
      [{ localAddress: '10.9.9.9' }, '10.0.0.1'],
      [{ localAddress: '2001:db8::99' }, '2001:db8::1']
    ] as const) {
      const network = new Network([...FOUR, ...SIX], {})
      expect(await network.opened(options)).toEqual([address, 0])
    }
  })

  it('a name with one address needs no race, a name with none is not found', async () => {
    expect(await new Network(['10.0.0.1'], { '10.0.0.1': { delay: 3000 } }).opened()).toEqual(['10.0.0.1', 3000])
    const error = await new Network([], {}).opened()
    expect(error).toBeInstanceOf(LookupError)
    expect(error).toMatchObject({ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'host.test' })
  })

  it('hazard 33: cancelled at any moment, it leaves neither a socket nor a lookup', async () => {
    for (let ms = 0; ms <= 650; ms += 50) {
      const names = { 'host.test': { addresses: FOUR, delay: 100 } }
      const network = new Network([], { '10.0.0.1': SILENT, '10.0.0.2': { delay: 250 } }, { names })
      await network.serving(function* () {
        const connection = yield* moveOnAfter(ms, function* () {
          return yield* connect({ host: 'host.test', port: PORT })
        })
        // Lookup 100, the second attempt 250 after it, and its answer 250 after that; at that moment it is too late.
        expect(connection !== undefined).toBe(ms > 600)
        expect(now()).toBe(Math.min(ms, 600))
        yield* connection?.close() ?? sleep(200)
      })
    }
  })

  it('hazard 33: the connection of one that loses a race is closed', async () => {
    const network = new Network(FOUR, { '10.0.0.1': { delay: 300 }, '10.0.0.2': SILENT })
    await network.serving(function* () {
      const outcome = yield* race([connect({ host: 'host.test', port: PORT }), sleep(300)])
      yield* outcome?.close() ?? sleep(0)
    })
  })
})

describe('the options of connect', () => {
  it('timeout counts the lookup, and is a TimeoutError', async () => {
    const names = { 'host.test': { addresses: FOUR, delay: 80 } }
    const network = new Network([], { '10.0.0.1': SILENT }, { names })
    const error = await network.serving(function* () {
      const error = yield* caught(() => connect({ host: 'host.test', port: PORT, family: 4, timeout: 100 }))
      expect(now()).toBe(100)
      return error
    })
    expect(error).toBeInstanceOf(TimeoutError)
    const slow = new Network(['10.0.0.1'], { '10.0.0.1': { delay: 99 } })
    expect(await slow.opened({ timeout: 100 })).toEqual(['10.0.0.1', 99])
  })

  it('signal gives up with its reason, and is listened to no longer than that', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const network = new Network(FOUR, { '10.0.0.1': SILENT, '10.0.0.2': SILENT, '10.0.0.3': SILENT })
    const error = await network.serving(function* () {
      spawn(function* () {
        yield* sleep(300)
        controller.abort(reason)
      })
      return yield* caught(() => connect({ host: 'host.test', port: PORT, signal: controller.signal }))
    })
    expect(error).toBe(reason)
    const aborted = await new Network(FOUR, {}).opened({ signal: controller.signal })
    expect(aborted).toBe(reason)
    expect(await new Network(FOUR, {}).opened({ signal: new AbortController().signal })).toEqual(['10.0.0.1', 0])
  })

  it('noDelay and keepAlive are set on the socket', async () => {
    const network = new Network(['10.0.0.1'], {})
    await network.serving(function* () {
      const option = (connection: Connection, number: number): number => network.getOption(connection.fd, number)
      const plain = yield* connect({ host: '10.0.0.1', port: PORT })
      expect([option(plain, SocketOption.NO_DELAY), option(plain, SocketOption.KEEP_ALIVE)]).toEqual([1, 0])
      const other = yield* connect({ host: 'host.test', port: PORT, noDelay: false, keepAlive: { idle: 30, count: 4 } })
      expect([option(other, SocketOption.NO_DELAY), option(other, SocketOption.KEEP_ALIVE)]).toEqual([0, 1])
      expect([option(other, SocketOption.KEEP_ALIVE_IDLE), option(other, SocketOption.KEEP_ALIVE_COUNT)]).toEqual([30, 4])
      yield* plain.close()
      yield* other.close()
    })
  })

  it('with a cookie for Fast Open the connection is open at once, and what is written first opens it', async () => {
    // Linux with TCP_FASTOPEN_CONNECT and a cookie: success, and no connection before the first data.
    class Cookie extends MemoryKernel {
      private begin: (() => void) | null = null

      override connect(fd: number, address: SocketAddress): number {
        if (this.getOption(fd, SocketOption.FAST_OPEN_CONNECT) === 0) return super.connect(fd, address)
        this.begin = () => super.connect(fd, address)
        return 0
      }

      override send(...args: Parameters<MemoryKernel['send']>): number {
        this.begin?.()
        this.begin = null
        return super.send(...args)
      }
    }
    const kernel = new Cookie()
    await run(
      function* () {
        const listener = yield* listen(HERE)
        const client = yield* connect({ port: listener.address.port, fastOpen: true })
        expect(client.remoteAddress).toBeUndefined()
        yield* client.write('first')
        const server = yield* listener.accept()
        expect(String(yield* server.readSome())).toBe('first')
        expect(client.remoteAddress).toEqual({ family: 'IPv4', address: '127.0.0.1', port: listener.address.port })
        for (const each of [client, server]) yield* each.close()
        yield* listener.close()
      },
      { kernel }
    )
    expect(kernel.openSockets).toBe(0)
  })
})

onEveryKernel('connect to this machine', (kernel) => {
  it('hazard 44: localhost is 127.0.0.1, and ::1 if nobody listens there', async () => {
    await kernel.run(function* () {
      for (const host of ['127.0.0.1', '::1']) {
        const listener = yield* listen({ port: 0, host })
        const { port } = listener.address
        const client = yield* connect({ port })
        if (kernel.name === 'native') expect(client.remoteAddress).toEqual({ family: host === '::1' ? 'IPv6' : 'IPv4', address: host, port })
        yield* client.close()
        yield* listener.close()
        const error = yield* caught(() => connect({ port, host: 'localhost' }))
        expect(error).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.1', port })
        expect(yield* caught(() => connect({ port, host: 'localhost', family: 6 }))).toMatchObject({ code: 'ECONNREFUSED', address: '::1' })
      }
    })
  })

  it('connects from the address and the port that are asked for', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      const { port } = listener.address
      const probe = yield* listen(HERE)
      const localPort = probe.address.port
      yield* probe.close()
      for (const options of [{ localAddress: '127.0.0.1' }, { localPort }, { localAddress: '127.0.0.1', localPort: 0 }]) {
        const client = yield* connect({ port, host: '127.0.0.1', ...options })
        const server = yield* listener.accept()
        if (kernel.name === 'native') expect(server.remoteAddress?.address).toBe('127.0.0.1')
        if (options.localPort !== undefined && options.localPort > 0) expect(server.remoteAddress?.port).toBe(localPort)
        yield* client.close()
        yield* server.close()
      }
      yield* listener.close()
    })
  })

  it('Fast Open with a server that does not know it is an ordinary connection', async () => {
    await kernel.run(function* () {
      const listener = yield* listen(HERE)
      for (let i = 0; i < 3; i++) {
        const client = yield* connect({ port: listener.address.port, fastOpen: true })
        const server = yield* listener.accept()
        yield* client.write('hello')
        expect(String(yield* server.readSome())).toBe('hello')
        for (const each of [client, server]) yield* each.close()
      }
      yield* listener.close()
    })
  })
})

describe('connect, by the system', () => {
  it('a local address that is not of this machine is EADDRNOTAVAIL of bind, and leaks nothing', async () => {
    const error = await thrownBy(() => run(() => connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' })))
    expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind', address: '192.0.2.1' })
  })

  it('hazard 25: an immediate success is one, and a connect that a signal interrupts goes on', async () => {
    const kernel = nativeKernel()
    for (const said of [0, errno.EINTR]) {
      const quick = Object.defineProperties(Object.create(kernel) as typeof kernel, {
        connect: {
          value: (fd: number, address: SocketAddress) => {
            const result = kernel.connect(fd, address)
            return result === errno.EINPROGRESS || result === 0 ? said : result
          }
        }
      })
      await run(
        function* () {
          const listener = yield* listen(HERE)
          const client = yield* connect({ port: listener.address.port })
          const server = yield* listener.accept()
          expect(client.remoteAddress).toEqual(server.localAddress)
          yield* client.close()
          yield* server.close()
          yield* listener.close()
        },
        { kernel: quick }
      )
    }
  })

  it('listens on the address of a name, and connects to it by that name', async () => {
    const kernel = nativeKernel()
    // A resolver that knows one more name: everything else is real.
    const named = Object.defineProperties(Object.create(kernel) as typeof kernel, {
      submit: {
        value: (job: Parameters<typeof kernel.submit>[0], slot: number, generation: number) =>
          kernel.submit(job.kind === 'lookup' && job.host === 'here.test' ? { ...job, host: 'localhost', family: 4 } : job, slot, generation)
      }
    })
    await run(
      function* () {
        const listener = yield* listen({ port: 0, host: 'here.test' })
        expect(listener.address.address).toBe('127.0.0.1')
        const client = yield* connect({ port: listener.address.port, host: 'here.test' })
        const server = yield* listener.accept()
        yield* client.close()
        yield* server.close()
        yield* listener.close()
      },
      { kernel: named }
    )
  })

  it('connects to a server of node:net that listens on ::1 only', async () => {
    const server = createServer((socket) => socket.end('six'))
    server.listen(0, '::1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const said = await run(function* () {
      const connection = yield* connect({ port })
      const chunk = yield* connection.readSome()
      yield* connection.close()
      return String(chunk)
    })
    expect(said).toBe('six')
    server.close()
  })

  it('a connect in a cancelled scope opens nothing', async () => {
    await run(function* () {
      yield* scope(function* (inside) {
        inside.cancel()
        for (const host of ['127.0.0.1', 'localhost', 'host.test']) {
          expect(yield* caught(() => connect({ port: 1, host }))).toBeInstanceOf(Cancelled)
        }
      })
    })
  })
})

