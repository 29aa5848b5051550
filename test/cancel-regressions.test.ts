/** What cancelling everything everywhere has found, each as one story. The tables are in `cancel-everywhere.test.ts`. */
import { expect, it } from 'vitest'
import {
  all,
  allSettled,
  Cancelled,
  Channel,
  checkpoint,
  ClosedError,
  connect,
  Event,
  map,
  op,
  race,
  run,
  scope,
  serve,
  shield,
  sleep,
  spawn,
  until,
  type Coroutine,
  type Op,
  type Scope,
  type Server,
  type SystemError
} from 'coreactor'
import { allParked, MemoryKernel, memoryPair, Sequencer } from 'coreactor/testing'
import { caught, onEveryKernel, pair, pattern, readAll, thrownBy } from './support.js'

const inMemory = <T>(main: () => Coroutine<T>): Promise<T> => run(main, { kernel: new MemoryKernel() })

/** How the operation ends in a task that is cancelled while it waits. */
function* cancelledDuring(operate: () => Op<unknown>): Coroutine<unknown> {
  let end: unknown = 'nothing'
  const task = spawn(function* () {
    try {
      end = yield* operate()
    } catch (error) {
      end = error
      throw error
    }
  })
  yield* allParked()
  task.cancel()
  yield* allSettled([task])
  return end
}

const waiting = function* (): Coroutine<void> {
  yield* sleep(1000)
}

it.each<[string, () => Op<unknown>]>([
  ['all', () => all([op(waiting), op(waiting)])],
  ['allSettled', () => allSettled([op(waiting), op(waiting)])],
  ['race', () => race([op(waiting), op(waiting)])],
  ['map', () => map([1, 2], 3, waiting)],
  ['a scope whose body has returned', () => scope(function* (tasks) {
    tasks.spawn(waiting)
    return 'as if all were done'
  })]
])('%s, cancelled from outside while it waits for its tasks, ends with Cancelled', async (_, operate) => {
  await inMemory(function* () {
    expect(yield* cancelledDuring(operate)).toBeInstanceOf(Cancelled)
  })
})

it('a run whose main has returned is ended by its signal, and rejects with its reason', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const ended = run(
    function* () {
      spawn(waiting)
      spawn(function* () {
        yield* checkpoint()
        controller.abort(reason)
      })
    },
    { kernel: new MemoryKernel(), signal: controller.signal }
  )
  expect(await thrownBy(() => ended)).toBe(reason)
})

it('a race that is cancelled when two have been served takes from one of them only', async () => {
  await inMemory(function* () {
    const channels = [new Channel<string>(1), new Channel<string>(1)] as const
    let won: unknown
    const racing = spawn(function* () {
      won = yield* race(channels.map((channel) => channel.receive()))
    })
    yield* allParked()
    channels[0].trySend('first')
    channels[1].trySend('second')
    racing.cancel()
    yield* allSettled([racing])
    expect(won).toBe('first')
    expect(channels[1].tryReceive()).toBe('second')
  })
})

it('a task that reports its start to a starter that is being cancelled goes with it', async () => {
  await inMemory(function* () {
    yield* scope(function* (tasks: Scope) {
      const go = new Event()
      const stop = new Event()
      let cleaned = false
      const starting = spawn(function* () {
        yield* tasks.start(function* (started: (value: string) => void) {
          try {
            yield* go.wait()
            started('up')
            yield* stop.wait()
          } finally {
            cleaned = true
          }
        })
      })
      yield* allParked()
      go.set()
      starting.cancel()
      yield* allSettled([starting])
      expect(cleaned).toBe(true)
    })
  })
})

it('positions of a sequencer keep their order when one of them is cancelled', async () => {
  await inMemory(function* () {
    const sequencer = new Sequencer()
    const order: number[] = []
    const take = (position: number): Op<void> =>
      sequencer.at(position, function* () {
        yield* checkpoint()
        order.push(position)
      })
    spawn(() => take(2))
    const middle = spawn(() => take(1))
    yield* allParked()
    middle.cancel()
    yield* allParked()
    expect(order).toEqual([])
    yield* take(0)
    yield* allParked()
    expect(order).toEqual([0, 2])
  })
})

it('a server whose scope was cancelled is closed, and closing it says no more than that', async () => {
  await inMemory(function* () {
    yield* scope(function* (tasks) {
      const server = yield* serve({ port: 7000 }, waiting)
      tasks.cancel()
      yield* shield(function* () {
        yield* server.close()
        expect(server.connections).toBe(0)
      })
    })
  })
})

it('servers that are started by a combinator outlive it', async () => {
  await inMemory(function* () {
    const [first, second] = yield* all([serve({ port: 7000 }, waiting), serve({ port: 7001 }, waiting)])
    const third = yield* race([serve({ port: 7002 }, waiting), sleep(1000)])
    for (const { port } of [first.address, second.address, (third as Server).address]) {
      yield* (yield* connect({ port })).close()
    }
    yield* all([first.close(), second.close(), (third as Server).close()])
  })
})

it('a large write that loses a race when all of it has gone leaves the connection as it is', async () => {
  await run(
    function* () {
      const { client, server } = memoryPair()
      const lost = new Event()
      const reading = spawn(function* () {
        const first = yield* server.readSome()
        const second = yield* server.readSome()
        lost.set()
        return Buffer.concat([first as Buffer, second as Buffer, yield* readAll(server)])
      })
      yield* race([client.write(pattern(20 * 1024)), lost.wait()])
      yield* client.write('and more')
      yield* client.close()
      expect((yield* reading).equals(Buffer.concat([pattern(20 * 1024), Buffer.from('and more')]))).toBe(true)
      yield* server.close()
    },
    { kernel: new MemoryKernel({ capacity: 8 * 1024 }) }
  )
})

onEveryKernel('closing', (kernel) => {
  it('a close that is cancelled before its first attempt frees the fd all the same', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const set = new Event()
      set.set()
      const closing = spawn(function* () {
        try {
          // Its share of operations: the next one is parked before it has been tried.
          for (let i = 0; i < 127; i++) yield* set.wait()
        } finally {
          // On a machine so slow that half a millisecond had passed before, it is refused: that frees the fd as well.
          yield* client.close()
        }
      })
      yield* checkpoint()
      expect(client.closed).toBe(false)
      closing.cancel()
      yield* allSettled([closing])
      expect(client.closed).toBe(true)
      yield* server.close()
    })
  })

  it('after a large write that was cut off the peer gets a reset, and not an end', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const writing = spawn(function* () {
        yield* client.write(pattern(16 * 1024 * 1024))
      })
      for (let i = 0; i < 20; i++) yield* checkpoint()
      writing.cancel()
      yield* allSettled([writing])
      expect(yield* caught(() => client.close())).toBeInstanceOf(ClosedError)
      const error = yield* caught(() => readAll(server))
      expect((error as SystemError).code).toBe('ECONNRESET')
      yield* server.close()
    })
  })
})

it('a promise that is rejected is no unhandled rejection, even if the wait for it was refused or put off', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  try {
    await inMemory(function* () {
      yield* scope(function* (cancelled) {
        cancelled.cancel()
        yield* until(Promise.reject(new Error('refused')))
      })
      // The budget of the task is spent on the way: one of these waits is parked before its first attempt.
      for (let i = 0; i < 300; i++) {
        const error = yield* caught(() => until(Promise.reject(new Error('put off'))))
        expect(error.message).toBe('put off')
      }
    })
    await new Promise(setImmediate)
  } finally {
    process.off('unhandledRejection', note)
  }
  expect(unhandled).toEqual([])
})
