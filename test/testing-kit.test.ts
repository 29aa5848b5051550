/** The public kit `coreactor/testing`: virtual time, connections in memory, and the order of tasks. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  Channel,
  checkpoint,
  connect,
  Event,
  moveOnAfter,
  now,
  run,
  serve,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  until,
  type Connection,
  type Coroutine
} from 'coreactor'
import { allParked, MemoryKernel, memoryPair, Sequencer, type MemoryPair } from 'coreactor/testing'
import { caught, deferred, onEveryKernel, readAll, thrownBy } from './support.js'

const inMemory = <T>(main: () => Coroutine<T> | PromiseLike<T>, kernel = new MemoryKernel()): Promise<T> => run(main, { kernel })

describe('the virtual clock', () => {
  it('begins at 0, and jumps to the next deadline when every task is parked', async () => {
    const kernel = new MemoryKernel()
    const times = await inMemory(function* () {
      const read = [now()]
      spawn(function* () {
        yield* sleep(3_600_000)
        read.push(now())
      })
      yield* sleep(0.25)
      read.push(now())
      yield* sleep(7_200_000)
      return [...read, now()]
    }, kernel)
    expect(times).toEqual([0, 0.25, 3_600_000, 7_200_000.25])
    expect(kernel.now()).toBe(7_200_000.25)
  })

  it('stands still while a task can run', async () => {
    await inMemory(function* () {
      const sleeper = spawn(() => sleep(1))
      for (let i = 0; i < 1000; i++) yield* checkpoint()
      expect(now()).toBe(0)
      expect(sleeper.state).toBe('parked')
    })
  })

  it('stands still while bytes are on their way', async () => {
    await inMemory(function* () {
      spawn(() => sleep(1))
      const server = yield* serve({ port: 0 }, function* (connection) {
        for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
      })
      const client = yield* connect({ port: server.address.port })
      for (let i = 0; i < 100; i++) {
        yield* client.write('ping')
        yield* client.readSome()
      }
      expect(now()).toBe(0)
      yield* client.close()
      yield* server.close()
    })
  })

  it('stands still while microtasks lead to a task', async () => {
    await inMemory(async () => {
      spawn(() => sleep(1))
      for (let i = 0; i < 100; i++) {
        await until(Promise.resolve().then(() => Promise.resolve()))
        await checkpoint()
      }
      expect(now()).toBe(0)
    })
  })

  it('does not wait for a foreign promise: a deadline comes first', async () => {
    const { promise, resolve } = deferred()
    expect(await thrownBy(() => inMemory(() => timeout(3_600_000, () => until(promise))))).toBeInstanceOf(TimeoutError)
    resolve()
  })

  it('advance makes what falls due meanwhile late', async () => {
    const kernel = new MemoryKernel()
    const woken = await inMemory(function* () {
      const sleeper = spawn(function* () {
        yield* sleep(10)
        return now()
      })
      yield* allParked()
      kernel.advance(25)
      return yield* sleeper
    }, kernel)
    expect(woken).toBe(25)
  })

  it.each([-1, Infinity, NaN, '1'])('advance(%s) is refused', (ms) => {
    const kernel = new MemoryKernel()
    expect(() => kernel.advance(ms as number)).toThrow(/"ms"/)
    expect(kernel.now()).toBe(0)
  })

  it('goes on in the next run, which finds nothing else of the last one', async () => {
    const kernel = new MemoryKernel()
    for (let i = 0; i < 3; i++) {
      await inMemory(function* () {
        yield* sleep(10)
        // The turn that this asks for never comes.
        kernel.advance(1)
      }, kernel)
    }
    expect(kernel.now()).toBe(33)
  })
})

it.each([{ capacity: 0 }, { capacity: 1.5 }, { seed: -1 }, { seed: '1' as unknown as number }])('a memory kernel with the options %o is refused', (options) => {
  expect(() => new MemoryKernel(options)).toThrow(new RegExp(`"options\\.${Object.keys(options)[0]}"`))
})

it('the sockets that a test has left open are counted', async () => {
  const kernel = new MemoryKernel()
  let pair: MemoryPair | undefined
  await inMemory(function* () {
    pair = memoryPair()
    yield* pair.server.close()
  }, kernel)
  expect(kernel.openSockets).toBe(1)
  pair?.client.reset()
  expect(kernel.openSockets).toBe(0)
})

describe('a pair of connections in memory', () => {
  /** Runs a test with a pair, and sees that nothing is left of it. */
  async function withPair(body: (pair: MemoryPair) => Coroutine<void>, capacity?: number): Promise<void> {
    const kernel = new MemoryKernel({ capacity })
    await inMemory(function* () {
      const pair = memoryPair()
      yield* body(pair)
      yield* pair.client.close()
      yield* pair.server.close()
    }, kernel)
    expect(kernel.openSockets).toBe(0)
  }

  /** What is there to be read once everything has settled; null if nothing is. */
  function* arrived(connection: Connection): Coroutine<string | null> {
    yield* allParked()
    const into = Buffer.alloc(100)
    const size = connection.tryRead(into)
    return size === null ? null : into.toString('utf8', 0, size)
  }

  it('carries bytes both ways, and each end says where it is', async () => {
    await withPair(function* ({ client, server }) {
      yield* client.write('there')
      expect(String(yield* server.readSome())).toBe('there')
      yield* server.write('and back')
      expect(String(yield* client.readSome())).toBe('and back')
      expect(client.remoteAddress).toEqual(server.localAddress)
      expect(server.remoteAddress).toEqual(client.localAddress)
    })
  })

  it('a wire that is held lets through what it is told to, and the other one everything', async () => {
    await withPair(function* ({ client, server, up, down }) {
      up.hold()
      yield* client.write('half a line\n')
      expect(yield* arrived(server)).toBe(null)
      expect([up.held, down.held]).toEqual([12, 0])
      expect(up.pass(4)).toBe(4)
      expect(yield* arrived(server)).toBe('half')
      yield* server.write('what?')
      expect(yield* arrived(client)).toBe('what?')
      yield* client.write('and more')
      yield* client.flush()
      expect(up.pass()).toBe(16)
      expect(yield* arrived(server)).toBe(' a line\nand more')
      expect(up.pass(1)).toBe(0)
      yield* client.write('held again')
      expect(yield* arrived(server)).toBe(null)
      up.flow()
      expect(yield* arrived(server)).toBe('held again')
      yield* client.write('flowing')
      expect(yield* arrived(server)).toBe('flowing')
    })
  })

  it('a reader that waits goes on when a byte is let through', async () => {
    await withPair(function* ({ client, server, up }) {
      up.hold()
      const reader = spawn(() => server.readSome())
      yield* client.write('ab')
      yield* allParked()
      expect(reader.state).toBe('parked')
      up.pass(1)
      expect(String(yield* reader)).toBe('a')
    })
  })

  it('an end waits behind what is held', async () => {
    await withPair(function* ({ client, server, up }) {
      up.hold()
      yield* client.write('last words')
      yield* client.closeWrite()
      expect(yield* arrived(server)).toBe(null)
      up.flow()
      expect(String(yield* readAll(server))).toBe('last words')
    })
  })

  it('a reset overtakes what is held', async () => {
    await withPair(function* ({ client, server, up }) {
      up.hold()
      yield* client.write('never seen')
      yield* allParked()
      client.reset()
      expect((yield* caught(() => server.readSome())).code).toBe('ECONNRESET')
    })
  })

  it('what is held takes room, so a writer feels a peer that is far away', async () => {
    await withPair(function* ({ client, server, up }) {
      up.hold()
      expect(client.tryWrite('0123456789')).toBe(8)
      expect(client.tryWrite('89')).toBe(null)
      up.pass(3)
      expect(client.tryWrite('89')).toBe(null)
      yield* server.readSome()
      expect(client.tryWrite('89')).toBe(2)
    }, 8)
  })

  it.each([0, -1, 1.5])('pass(%s) is refused', async (bytes) => {
    await withPair(function* ({ up }) {
      expect(() => up.pass(bytes)).toThrow(/"bytes"/)
    })
  })

  it('is to be had in memory only', async () => {
    const error = await thrownBy(() => run(async () => memoryPair()))
    expect(error.code).toBe('ERR_COREACTOR_NO_MEMORY_KERNEL')
  })
})

onEveryKernel('allParked', (kernel) => {
  it('waits for whatever leads to something else, and no longer', async () => {
    await kernel.run(function* () {
      const queue = new Channel<number>()
      const seen: number[] = []
      for (let i = 0; i < 50; i++) {
        spawn(async () => {
          const item = await queue.receive()
          seen.push(item)
          await until(Promise.resolve())
          if (item < 49) await queue.send(item + 1)
        })
      }
      yield* queue.send(0)
      const idle = spawn(() => new Event().wait())
      yield* allParked()
      expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i))
      expect(idle.state).toBe('parked')
      idle.cancel()
    })
  })

  it('waits for what a microtask is about to wake', async () => {
    await kernel.run(function* () {
      const { promise, resolve } = deferred()
      const waiting = spawn(() => until(promise))
      yield* allParked()
      resolve()
      yield* allParked()
      expect(waiting.state).toBe('ended')
    })
  })

  it('may be waited for by several at once', async () => {
    await kernel.run(function* () {
      let moves = 0
      const waiting = [1, 2, 3].map(() =>
        spawn(function* () {
          yield* allParked()
          return moves
        })
      )
      for (; moves < 20; moves++) yield* checkpoint()
      for (const each of waiting) expect(yield* each).toBe(20)
    })
  })

  it('can be cancelled, and the next one works', async () => {
    await kernel.run(function* () {
      const busy = spawn(function* () {
        for (;;) yield* checkpoint()
      })
      yield* moveOnAfter(0, () => allParked())
      busy.cancel()
      yield* allParked()
      expect(busy.state).toBe('ended')
    })
  })
})

onEveryKernel('a sequencer', (kernel) => {
  it('has tasks do things in the order of their positions, whoever comes first', async () => {
    await kernel.run(function* () {
      const sequencer = new Sequencer()
      const done: number[] = []
      const tasks = [3, 1, 0, 2].map((position) =>
        spawn(() =>
          sequencer.at(position, function* () {
            yield* checkpoint()
            done.push(position)
            return position * 10
          })
        )
      )
      const results: number[] = []
      for (const task of tasks) results.push(yield* task)
      expect(done).toEqual([0, 1, 2, 3])
      expect(results).toEqual([30, 10, 0, 20])
    })
  })

  it('goes on after a body that failed, and after one that was cancelled before its turn had come', async () => {
    await kernel.run(function* () {
      const sequencer = new Sequencer()
      const cancelled = spawn(() => sequencer.at(1))
      yield* allParked()
      cancelled.cancel()
      const failing = function* (): Coroutine<void> {
        throw new Error('on purpose')
      }
      expect((yield* caught(() => sequencer.at(0, failing))).message).toBe('on purpose')
      yield* sequencer.at(2)
    })
  })

  it('gives each position once, and refuses what is none', async () => {
    await kernel.run(async () => {
      const sequencer = new Sequencer()
      await sequencer.at(0)
      expect(() => sequencer.at(0)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }) as Error)
      expect(() => sequencer.at(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error)
      expect(() => sequencer.at(1, 'body' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }) as Error)
    })
  })
})

describe('the order of ready tasks', () => {
  const TASKS = 8
  const ROUNDS = 4

  /** Tasks that all run once in each turn: who ran, in which order. */
  async function order(seed?: number): Promise<number[]> {
    const ran: number[] = []
    await run(
      function* () {
        for (let id = 0; id < TASKS; id++) {
          spawn(function* () {
            for (let round = 0; round < ROUNDS; round++) {
              ran.push(id)
              yield* checkpoint()
            }
          })
        }
      },
      { kernel: new MemoryKernel(), seed }
    )
    return ran
  }

  const sorted = Array.from({ length: TASKS }, (_, i) => i)
  const seeds = Array.from({ length: 30 }, (_, i) => i * 1_000_003)

  it('is that in which they became ready, without a seed', async () => {
    expect(await order()).toEqual(Array.from({ length: ROUNDS }, () => sorted).flat())
  })

  it('is decided by the seed: the same with the same one, another with another', async () => {
    const orders = await Promise.all(seeds.map(order))
    expect(await Promise.all(seeds.map(order))).toEqual(orders)
    expect(new Set(orders.map(String)).size).toBe(seeds.length)
  })

  it('has every task in every turn, once: none is lost, none is starved', async () => {
    for (const seed of seeds) {
      const ran = await order(seed)
      expect(ran).toHaveLength(TASKS * ROUNDS)
      for (let round = 0; round < ROUNDS; round++) {
        expect(ran.slice(round * TASKS, (round + 1) * TASKS).sort()).toEqual(sorted)
      }
    }
  })

  it('has every task come first, and every one last, with some seed', async () => {
    const orders = await Promise.all(Array.from({ length: 200 }, (_, seed) => order(seed)))
    expect(new Set(orders.map((ran) => ran[0])).size).toBe(TASKS)
    expect(new Set(orders.map((ran) => ran[TASKS - 1])).size).toBe(TASKS)
  })

  it.each([-1, 1.5, 2 ** 32, '1'])('the seed %s is refused', (seed) => {
    expect(() => run(() => sleep(0), { kernel: new MemoryKernel(), seed: seed as number })).toThrow(/"options.seed"/)
  })

  it('cannot be had of a kernel that others run on', () => {
    expect(() => run(() => sleep(0), { seed: 1 })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }) as Error)
  })
})

describe('COREACTOR_SEED', () => {
  function orderWith(seed: string) {
    const fixture = fileURLToPath(new URL('fixtures/order.mjs', import.meta.url))
    const { status, stdout, stderr } = spawnSync(process.execPath, [fixture], { encoding: 'utf8', env: { ...process.env, COREACTOR_SEED: seed } })
    return { status, order: stdout.trim(), stderr }
  }

  it('a number decides the order of everything in the process', () => {
    expect(orderWith('')).toEqual({ status: 0, order: 'abcdeabcdeabcde', stderr: '' })
    const first = orderWith('7')
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(first.order).not.toBe('abcdeabcdeabcde')
    expect(orderWith('7')).toEqual(first)
  })

  it('random prints the seed, with which the same order comes again', () => {
    const { order, stderr } = orderWith('random')
    const [, seed] = /^coreactor: tasks run in a random order\. Again: COREACTOR_SEED=(\d+)\n$/.exec(stderr) ?? []
    expect(seed).toBeDefined()
    expect(orderWith(seed as string)).toEqual({ status: 0, order, stderr: '' })
  })

  it.each(['chaos', '-1', '1.5', '4294967296'])('%s is an error that says what may stand there', (seed) => {
    const { status, stderr } = orderWith(seed)
    expect(status).toBe(1)
    expect(stderr).toContain(`COREACTOR_SEED must be "random" or an integer from 0 to 4294967295, not "${seed}"`)
  })
})
