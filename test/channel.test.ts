/** Channel and map: values from task to task, in order, none lost and none given out twice. */
import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import {
  Cancelled,
  Channel,
  ChannelClosedError,
  checkpoint,
  currentTask,
  deferred,
  map,
  race,
  scope,
  ScopeError,
  sleep,
  spawn,
  TaskCancelledError,
  type Coroutine,
  type Op,
  type Task
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { Ring } from '../lib/sync/ring.js'
import { caught, onEveryKernel, thrownBy } from './support.js'

const CLOSED = { name: 'ChannelClosedError', code: 'ERR_COREACTOR_CHANNEL_CLOSED' }

/** Everything until the end. */
function* drain<T>(channel: Channel<T>): Coroutine<T[]> {
  const all: T[] = []
  for (let item; (item = yield* channel.next()).done !== true; ) all.push(item.value)
  return all
}

/** Everything that is there now. */
function drainNow<T>(channel: Channel<T>): T[] {
  const all: T[] = []
  for (let item; (item = channel.tryReceive()) !== undefined; ) all.push(item)
  return all
}

/** A task for each of the operations, parked one after another. */
function* parked<T>(...ops: Op<T>[]): Coroutine<Task<T>[]> {
  const tasks: Task<T>[] = []
  for (const each of ops) {
    tasks.push(spawn(() => each))
    yield* allParked()
  }
  return tasks
}

it.each([
  ['a string', () => new Channel('1' as never), 'ERR_INVALID_ARG_TYPE'],
  ['null', () => new Channel(null as never), 'ERR_INVALID_ARG_TYPE'],
  ['a negative number', () => new Channel(-1), 'ERR_OUT_OF_RANGE'],
  ['a fraction', () => new Channel(1.5), 'ERR_OUT_OF_RANGE'],
  ['NaN', () => new Channel(NaN), 'ERR_OUT_OF_RANGE']
] as const)('%s is no capacity', (_, make, code) => {
  expect(make).toThrow(expect.objectContaining({ code }))
})

it('a ring keeps its order while it grows, shrinks and takes values back, and gives memory back without being empty', () => {
  const ring = new Ring<number>()
  const model: number[] = []
  for (let round = 0, n = 0; round < 50; round++) {
    for (let i = 0; i < round * 7; i++) {
      ring.push(++n)
      model.push(n)
    }
    for (let position = 0; position < Math.min(3, model.length); position++) {
      ring.insert(position, -position)
      model.splice(position, 0, -position)
    }
    for (let i = 0; i < round * 6; i++) expect(ring.shift()).toBe(model.shift())
    expect(ring.size).toBe(model.length)
  }
  while (ring.size > 1) expect(ring.shift()).toBe(model.shift())
  expect(ring.capacity).toBe(8)
})

onEveryKernel('Channel', (kernel) => {
  it('of no capacity hands each value over in person: the sender waits for its receiver', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      expect([channel.capacity, channel.trySend('nobody waits'), channel.tryReceive()]).toEqual([0, false, undefined])
      const [sender] = yield* parked(channel.send('hello'))
      expect([sender?.state, channel.size, channel.statistics().waitingSenders]).toEqual(['parked', 0, 1])
      expect(yield* channel.receive()).toBe('hello')
      yield* sender as Task<void>
      const [receiver] = yield* parked(channel.receive())
      expect(channel.trySend('you wait')).toBe(true)
      expect(yield* receiver as Task<string>).toBe('you wait')
    })
  })

  it('of some capacity makes a sender wait only when it is full', async () => {
    await kernel.run(function* () {
      const channel = new Channel<number>(2)
      yield* channel.send(1)
      expect(channel.trySend(2)).toBe(true)
      expect([channel.size, channel.trySend(3)]).toEqual([2, false])
      const [third, fourth] = yield* parked(channel.send(3), channel.send(4))
      expect(yield* channel.receive()).toBe(1)
      yield* third as Task<void>
      expect([fourth?.state, channel.size, channel.trySend(5)]).toEqual(['parked', 2, false])
      expect(drainNow(channel)).toEqual([2, 3, 4])
    })
  })

  it('of infinite capacity never makes a sender wait', async () => {
    await kernel.run(function* () {
      const channel = new Channel<number>(Infinity)
      for (let i = 0; i < 10_000; i++) expect(channel.trySend(i)).toBe(true)
      yield* channel.send(10_000)
      expect(channel.size).toBe(10_001)
      channel.close()
      expect(yield* drain(channel)).toEqual(Array.from({ length: 10_001 }, (_, i) => i))
    })
  })

  it('serves senders and receivers in the order in which they came', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const receivers = yield* parked(channel.receive(), channel.receive(), channel.receive())
      for (const item of 'abc') channel.trySend(item)
      const got: string[] = []
      for (const each of receivers) got.push(yield* each)
      expect(got).toEqual(['a', 'b', 'c'])
      yield* parked(...[...'def'].map((item) => channel.send(item)))
      expect(drainNow(channel)).toEqual(['d', 'e', 'f'])
    })
  })

  it('what several producers send, several consumers receive, each value once', async () => {
    for (const capacity of [0, 1, 3, Infinity]) {
      const received: number[][] = [[], [], []]
      await kernel.run(function* () {
        const channel = new Channel<number>(capacity)
        yield* scope(function* (tasks) {
          for (const mine of received) {
            tasks.spawn(function* () {
              for (let item; (item = yield* channel.next()).done !== true; ) {
                mine.push(item.value)
                if (item.value % 5 === 0) yield* checkpoint()
              }
            })
          }
          yield* scope(function* (producers) {
            for (const base of [0, 100, 200, 300]) {
              producers.spawn(function* () {
                for (let i = 0; i < 100; i++) yield* channel.send(base + i)
              })
            }
          })
          channel.close()
        })
        expect(channel.statistics()).toMatchObject({ sent: 400, received: 400, buffered: 0 })
      })
      const all = received.flat()
      expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, i) => i))
      for (const mine of received) {
        for (const base of [0, 100, 200, 300]) {
          const ofOne = mine.filter((n) => n >= base && n < base + 100)
          expect(ofOne).toEqual(ofOne.toSorted((a, b) => a - b))
        }
      }
    }
  })

  it('a cancelled send was not sent, and those behind it move up', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      channel.trySend('a')
      const [b] = yield* parked(channel.send('b'), channel.send('c'))
      b?.cancel()
      yield* allParked()
      expect(channel.statistics()).toMatchObject({ sent: 1, waitingSenders: 1 })
      expect(drainNow(channel)).toEqual(['a', 'c'])
    })
  })

  it('a cancelled receive has taken nothing, and those behind it move up', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const [first, second] = yield* parked(channel.receive(), channel.receive())
      first?.cancel()
      expect(channel.statistics().waitingReceivers).toBe(1)
      expect([channel.trySend('a'), channel.trySend('b')]).toEqual([true, false])
      expect(yield* second as Task<string>).toBe('a')
    })
  })

  it('a value that was handed over before the cancellation is received', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      const got: string[] = []
      const task = spawn(function* () {
        got.push(yield* channel.receive())
        got.push(yield* channel.receive())
      })
      yield* allParked()
      channel.trySend('a')
      channel.trySend('b')
      task.cancel()
      yield* allParked()
      expect([got, drainNow(channel)]).toEqual([['a'], ['b']])
    })
  })

  it('a send whose value was taken before the cancellation has been sent', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const log: string[] = []
      const task = spawn(function* () {
        yield* channel.send('a')
        log.push('sent')
        yield* channel.send('b')
        log.push('not reached')
      })
      yield* allParked()
      expect(channel.tryReceive()).toBe('a')
      task.cancel()
      yield* allParked()
      expect([log, channel.tryReceive()]).toEqual([['sent'], undefined])
    })
  })

  it('what is handed to the losers of races goes to the next receiver, or back where it was in the order', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      const stop = deferred()
      const racing = yield* parked<unknown>(race([stop, channel.receive()]), race([stop, channel.receive()]), race([stop, channel.next()]))
      stop.resolve()
      for (const item of 'abcd') channel.trySend(item)
      for (const task of racing) expect(yield* task).toBeUndefined()
      // One more than there is room for: a and b and c were out already when d came.
      expect(channel.statistics()).toMatchObject({ sent: 4, received: 0, buffered: 4, peak: 4 })
      expect(channel.trySend('e')).toBe(false)
      const [sender] = yield* parked(channel.send('e'))
      expect([yield* channel.receive(), yield* channel.receive(), yield* channel.receive(), sender?.state]).toEqual([...'abc', 'parked'])
      expect(drainNow(channel)).toEqual(['d', 'e'])

      const again = deferred()
      const [loser, next] = yield* parked<unknown>(race([again, channel.receive()]), channel.receive())
      again.resolve()
      channel.trySend('f')
      yield* loser as Task<unknown>
      expect(yield* next as Task<unknown>).toBe('f')
      expect(channel.statistics()).toMatchObject({ sent: 6, received: 6, buffered: 0 })
    })
  })

  it('what was handed to the loser of a race is given back also if the race was cancelled meanwhile', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const stop = deferred<string>()
      const [racing] = yield* parked<unknown>(race([stop, channel.receive()]))
      // In this order: the one who waits for `stop` runs first, and finds the scope of the race cancelled already.
      stop.resolve('stop')
      channel.trySend('a')
      racing?.cancel()
      expect(yield* racing as Task<unknown>).toBe('stop')
      expect(channel.tryReceive()).toBe('a')
    })
  })

  it('what a loser gives back after the close can still be received, and then comes the end', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const stop = deferred()
      const [racing, waiting] = yield* parked<unknown>(race([stop, channel.receive()]), channel.next(), channel.next())
      stop.resolve()
      channel.trySend('a')
      channel.close()
      yield* racing as Task<unknown>
      expect(yield* waiting as Task<unknown>).toEqual({ done: false, value: 'a' })
      expect(yield* channel.next()).toEqual({ done: true, value: undefined })
    })
  })

  it('close tells those who wait to send and those who try to, and what was sent can still be received', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      channel.trySend('sent')
      const [sender] = yield* parked(caught(() => channel.send('waiting')) as never as Op<Error>)
      expect(channel.closed).toBe(false)
      channel.close()
      channel.close(new Error('too late'))
      expect(channel.closed).toBe(true)
      expect(yield* sender as Task<Error>).toMatchObject(CLOSED)
      expect(yield* caught(() => channel.send('later'))).toBeInstanceOf(ChannelClosedError)
      expect(() => channel.trySend('later')).toThrow(expect.objectContaining(CLOSED))
      expect(() => channel.producer()).toThrow(expect.objectContaining(CLOSED))
      expect([channel.size, yield* channel.receive()]).toEqual([1, 'sent'])
      expect(yield* caught(() => channel.receive())).toMatchObject(CLOSED)
      expect(() => channel.tryReceive()).toThrow(expect.objectContaining(CLOSED))
      expect(yield* channel.next()).toEqual({ done: true, value: undefined })
      expect(channel.statistics()).toMatchObject({ sent: 1, received: 1, waitingSenders: 0 })
    })
  })

  it('close tells those who wait to receive', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const receiving = spawn(() => caught(() => channel.receive()))
      const [looping] = yield* parked(channel.next())
      channel.close()
      expect(yield* receiving).toMatchObject(CLOSED)
      expect(yield* looping as Task<unknown>).toEqual({ done: true, value: undefined })
    })
  })

  it('with an error: first what was sent, then the error, for senders and receivers alike', async () => {
    await kernel.run(function* () {
      const failure = new Error('the source has failed')
      const channel = new Channel<string>(1)
      channel.trySend('sent')
      const sending = spawn(() => caught(() => channel.send('waiting')))
      yield* allParked()
      channel.close(failure)
      expect(yield* sending).toBe(failure)
      expect(yield* channel.receive()).toBe('sent')
      for (const act of [() => channel.send('x'), () => channel.receive(), () => channel.next()]) {
        expect(yield* caught(act)).toBe(failure)
      }
      for (const act of [() => channel.trySend('x'), () => channel.tryReceive(), () => channel.producer()]) expect(act).toThrow(failure)

      const other = new Channel<string>()
      const receivers = [() => other.receive(), () => other.next()].map((act) => spawn(() => caught(act)))
      yield* allParked()
      other.close(failure)
      for (const each of receivers) expect(yield* each).toBe(failure)
    })
  })

  it('null is no error, as callbacks have it', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      new EventEmitter().once('close', (error: unknown) => channel.close(error)).emit('close', null)
      expect(yield* channel.next()).toEqual({ done: true, value: undefined })
      expect(() => channel.trySend('x')).toThrow(expect.objectContaining(CLOSED))
    })
  })

  it('the Cancelled of a producer does not pass for one of its consumer', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>()
      const producer = spawn(function* () {
        try {
          yield* channel.send('never taken')
        } catch (error) {
          channel.close(error)
          throw error
        }
      })
      yield* allParked()
      producer.cancel('why')
      const error = yield* caught(() => channel.next())
      expect(error).toMatchObject(CLOSED)
      expect((error.cause as Cancelled).reason).toBe('why')
    })
  })

  it('is closed when the last of its producers is', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(9)
      const first = channel.producer()
      const second = first.clone()
      const third = channel.producer()
      first.trySend('a')
      yield* second.send('b')
      for (const each of [first, first, third]) each.close()
      expect(channel.closed).toBe(false)
      for (const act of [() => first.trySend('x'), () => first.send('x'), () => first.clone()]) {
        expect(act).toThrow(expect.objectContaining(CLOSED))
      }
      second.close()
      expect(channel.closed).toBe(true)
      expect(yield* drain(channel)).toEqual(['a', 'b'])
    })
  })

  it('a producer that is declared with using is closed at the end of its block, also by a cancellation', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      const tasks = ['a', 'b'].map((name) => {
        const producer = channel.producer()
        return spawn(function* () {
          using mine = producer
          for (;;) yield* mine.send(name)
        })
      })
      yield* allParked()
      tasks[0]?.cancel()
      yield* allParked()
      expect(channel.closed).toBe(false)
      tasks[1]?.cancel()
      yield* allParked()
      expect([channel.closed, yield* drain(channel)]).toEqual([true, ['a']])
    })
  })

  it('statistics count what goes through, and the most there was', async () => {
    await kernel.run(function* () {
      const channel = new Channel<number>(3)
      const nothing = { sent: 0, received: 0, buffered: 0, peak: 0, waitingSenders: 0, waitingReceivers: 0 }
      expect(channel.statistics()).toEqual(nothing)
      const waiting = yield* parked(channel.receive())
      channel.trySend(1)
      yield* waiting[0] as Task<number>
      expect(channel.statistics()).toEqual({ ...nothing, sent: 1, received: 1 })
      for (const n of [2, 3]) channel.trySend(n)
      channel.tryReceive()
      expect(channel.statistics()).toEqual({ ...nothing, sent: 3, received: 2, buffered: 1, peak: 2 })
      yield* parked(...[4, 5, 6, 7].map((n) => channel.send(n)))
      expect(channel.statistics()).toEqual({ ...nothing, sent: 5, received: 2, buffered: 3, peak: 3, waitingSenders: 2 })
      drainNow(channel)
      yield* allParked()
      expect(channel.statistics()).toEqual({ ...nothing, sent: 7, received: 7, peak: 3 })
    })
  })

  it('is iterated by async functions, until it is closed and empty; leaving the loop leaves it open', async () => {
    await kernel.run(async () => {
      const channel = new Channel<string>(1)
      spawn(function* () {
        for (const item of 'abc') yield* channel.send(item)
        channel.close()
      })
      for await (const item of channel) {
        expect(item).toBe('a')
        break
      }
      expect(channel.closed).toBe(false)
      const rest: string[] = []
      for await (const item of channel) rest.push(item)
      expect(rest).toEqual(['b', 'c'])
    })
  })

  it('a loop over it ends with the error of close, and with the cancellation of its task', async () => {
    await kernel.run(async () => {
      const channel = new Channel<string>(1)
      const loop = async (): Promise<void> => {
        for await (const item of channel) expect(item).toBe('a')
      }
      await scope(async (tasks) => {
        tasks.spawn(loop)
        await allParked()
        expect(channel.statistics().waitingReceivers).toBe(1)
        tasks.cancel()
        expect(channel.statistics().waitingReceivers).toBe(0)
      })
      const failure = new Error('broken')
      channel.trySend('a')
      channel.close(failure)
      expect(await thrownBy(loop)).toBe(failure)
    })
  })

  it('is sent to from a callback, and closed from one', async () => {
    await kernel.run(function* () {
      const channel = new Channel<number>(Infinity)
      const emitter = new EventEmitter()
      emitter.on('data', (n: number) => channel.trySend(n)).once('end', () => channel.close())
      setImmediate(() => {
        for (const n of [1, 2, 3]) emitter.emit('data', n)
        emitter.emit('end')
      })
      expect(yield* drain(channel)).toEqual([1, 2, 3])
    })
  })
})

it('a channel joins code outside any task', async () => {
  const channel = new Channel<string>()
  const sending = channel.send('hello').then(() => channel.close())
  const got: string[] = []
  for await (const item of channel) got.push(item)
  await sending
  expect(got).toEqual(['hello'])
  expect(await thrownBy(() => channel.receive())).toMatchObject(CLOSED)
})

it.each([
  ['items', () => map(null as never, 1, async () => 1), 'ERR_INVALID_ARG_TYPE'],
  ['items', () => map(7 as never, 1, async () => 1), 'ERR_INVALID_ARG_TYPE'],
  ['limit', () => map([], '1' as never, async () => 1), 'ERR_INVALID_ARG_TYPE'],
  ['limit', () => map([], 0, async () => 1), 'ERR_OUT_OF_RANGE'],
  ['body', () => map([], 1, undefined as never), 'ERR_INVALID_ARG_TYPE']
] as const)('map refuses bad %s before any effect (%#)', (name, act, code) => {
  expect(act).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`"${name}"`) as string }))
})

onEveryKernel('map', (kernel) => {
  /** Notes how many bodies run at a time, and how each ends. */
  class Load {
    running = 0
    most = 0
    readonly log: string[]

    constructor() {
      this.log = []
    }

    *body(n: number): Coroutine<string> {
      this.most = Math.max(this.most, ++this.running)
      try {
        yield* sleep(n)
        this.log.push(`${n} done`)
        return `<${n}>`
      } catch (error) {
        this.log.push(`${n} ${(error as Error).name}`)
        throw error
      } finally {
        this.running--
      }
    }
  }

  it('gives all results in the order of the items, at most so many bodies at a time', async () => {
    const load = new Load()
    const results = await kernel.run(() => map([3, 1, 2, 1, 3], 2, (n) => load.body(n)))
    expect(results).toEqual(['<3>', '<1>', '<2>', '<1>', '<3>'])
    expect([load.most, load.log[0]]).toEqual([2, '1 done'])
  })

  it('bodies get the index, may be async, and Infinity is no limit', async () => {
    const all = await kernel.run(() => map(new Set(['a', 'b', 'c']), Infinity, async (item, index) => `${item}${index}`))
    expect(all).toEqual(['a0', 'b1', 'c2'])
    expect(await kernel.run(() => map([], 1, async () => 'not called'))).toEqual([])
  })

  it('the first body that fails cancels the others, and no more items are taken', async () => {
    const load = new Load()
    let taken = 0
    let closed = false
    const error = await kernel.run(() =>
      caught(() =>
        map(
          (function* () {
            try {
              for (;;) yield ++taken
            } finally {
              closed = true
            }
          })(),
          3,
          function* (n) {
            if (n === 2) throw new Error('two')
            return yield* load.body(1e6)
          }
        )
      )
    )
    expect(error).toBeInstanceOf(ScopeError)
    expect((error as ScopeError).errors.map(({ message }: Error) => message)).toEqual(['two'])
    expect([closed, load.log.every((line) => line.endsWith('Cancelled')), taken <= 4]).toEqual([true, true, true])
  })

  it('what the items throw is thrown when the bodies have ended, and a cancellation reaches them', async () => {
    const load = new Load()
    const items = function* (): Generator<number> {
      yield 1e6
      throw new Error('items')
    }
    await kernel.run(function* () {
      expect((yield* caught(() => map(items(), 2, (n) => load.body(n)))).message).toBe('items')
      const task = spawn(() => map([1e6, 1e6], 2, (n) => load.body(n)))
      yield* allParked()
      task.cancel()
      yield* allParked()
      expect([task.outcome, load.running]).toEqual(['cancelled', 0])
    })
    expect(load.log).toEqual(Array(3).fill('1000000 Cancelled'))
  })

  it('as a loop it gives each result as soon as it is there, and does not wait for the items after it', async () => {
    await kernel.run(async () => {
      const questions = new Channel<string>()
      const answers: string[] = []
      await Promise.all([
        questions.send('first'),
        (async () => {
          for await (const answer of map(questions, 3, async (question) => `${question}!`)) {
            answers.push(answer)
            if (answers.length === 3) questions.close()
            else await questions.send(`${answer}?`)
          }
        })()
      ])
      expect(answers).toEqual(['first!', 'first!?!', 'first!?!?!'])
    })
  })

  it('as a loop it keeps the order, and at most so many bodies run ahead', async () => {
    const load = new Load()
    let taken = 0
    await kernel.run(async () => {
      const items = function* (): Generator<number> {
        for (;;) yield ++taken % 3
      }
      const seen: string[] = []
      for await (const result of map(items(), 4, (n) => load.body(n))) {
        seen.push(result)
        await allParked()
        expect(taken).toBeLessThanOrEqual(seen.length + 4)
        if (seen.length === 9) break
      }
      expect(seen.join('')).toBe('<1><2><0>'.repeat(3))
    })
    expect([load.most <= 4, load.running]).toEqual([true, 0])
  })

  it('leaving the loop cancels the rest, waits for them and closes the items', async () => {
    const load = new Load()
    const log: string[] = []
    await kernel.run(async () => {
      const items = (async function* () {
        try {
          for (;;) yield 1
        } finally {
          log.push('items closed')
        }
      })()
      const bodies = map(items, 3, function* (_, index) {
        try {
          return yield* load.body(index === 0 ? 0 : 1e6)
        } finally {
          log.push(`body ${index}`)
        }
      })
      for await (const result of bodies) {
        expect([result, load.running]).toEqual(['<0>', 2])
        break
      }
      log.push('left')
    })
    expect(load.running).toBe(0)
    expect(log).toHaveLength(5)
    expect(log.indexOf('left')).toBeGreaterThan(Math.max(log.indexOf('body 1'), log.indexOf('body 2')))
  })

  it.each(['return', 'throw', 'cancel'])('a loop that is left by %s leaves nothing running', async (way) => {
    const load = new Load()
    let left: string | undefined
    await kernel.run(() =>
      scope(async (tasks) => {
        tasks.spawn(async () => {
          try {
            left = await loop()
          } catch (error) {
            left = `${(error as Error).name} with ${load.running} running`
          }
        })
        await allParked()
        if (way === 'cancel') tasks.cancel()
      })
    )
    async function loop(): Promise<string> {
      for await (const result of map([0, 1e6, 1e6], 3, (n) => load.body(n))) {
        if (way === 'return') return result
        if (way === 'throw') throw new Error('left')
        await sleep(1e6)
      }
      return 'not reached'
    }
    expect(left).toBe({ return: '<0>', throw: 'Error with 0 running', cancel: 'Cancelled with 0 running' }[way])
    expect(load.log).toEqual(['0 done', '1000000 Cancelled', '1000000 Cancelled'])
  })

  it('an error of a body is thrown into the loop at its turn, as it is, and fails nobody else', async () => {
    const load = new Load()
    const failure = new Error('second')
    await kernel.run(async () => {
      const seen: string[] = []
      const error = await thrownBy(async () => {
        const results = map([1, 0, 1e6], 3, function* (n) {
          if (n === 0) throw failure
          return yield* load.body(n)
        })
        for await (const result of results) seen.push(result)
      })
      expect(error).toBe(failure)
      expect([seen, load.running]).toEqual([['<1>'], 0])
      await sleep(1)
    })
    expect(load.log).toEqual(['1 done', '1000000 Cancelled'])
  })

  it('what the items throw comes after the results of those before', async () => {
    await kernel.run(async () => {
      const seen: number[] = []
      const error = await thrownBy(async () => {
        const items = function* (): Generator<number> {
          yield 1
          throw new Error('items')
        }
        for await (const result of map(items(), 2, function* (n) {
          yield* sleep(n)
          return n
        }))
          seen.push(result)
      })
      expect([error.message, seen]).toEqual(['items', [1]])
    })
  })

  it('the error of one that the loop does not get to is dropped with it; that of a clean-up is thrown', async () => {
    await kernel.run(async () => {
      for await (const result of map([1, 2], 2, async (n) => {
        if (n === 2) throw new Error('nobody looks')
        await sleep(1)
        return n
      })) {
        expect(result).toBe(1)
        break
      }
      const error = await thrownBy(async () => {
        for await (const result of map([1, 2], 2, function* (n) {
          try {
            yield* sleep(n === 1 ? 1 : 1e6)
          } finally {
            // eslint-disable-next-line no-unsafe-finally
            if (n === 2) throw new Error('clean-up')
          }
          return n
        })) {
          expect(result).toBe(1)
          break
        }
      })
      expect((error as ScopeError).errors.map(({ message }: Error) => message)).toEqual(['clean-up'])
      await sleep(1)
    })
  })

  it('the failure of what a body has spawned ends the loop', async () => {
    await kernel.run(async () => {
      const error = await thrownBy(async () => {
        for await (const _ of map([1], 1, function* () {
          spawn(function* () {
            throw new Error('grandchild')
          })
          yield* sleep(1e6)
        }));
      })
      expect((error as ScopeError).errors.map(({ message }: Error) => message)).toEqual(['grandchild'])
    })
  })

  it('a body that cancels itself ends the loop with TaskCancelledError', async () => {
    await kernel.run(async () => {
      const error = await thrownBy(async () => {
        for await (const _ of map([1], 1, function* () {
          currentTask()?.cancel()
          yield* checkpoint()
        }));
      })
      expect(error).toBeInstanceOf(TaskCancelledError)
    })
  })

  it('a value that a channel has handed to a map that is cancelled goes to its body', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(2)
      const begun: string[] = []
      const task = spawn(() =>
        map(channel, 2, function* (item) {
          begun.push(item)
          yield* sleep(1)
        })
      )
      yield* allParked()
      channel.trySend('a')
      channel.trySend('b')
      task.cancel()
      yield* allParked()
      expect([begun, drainNow(channel)]).toEqual([['a'], ['b']])
    })
  })
})

it('map works outside any task, both ways', async () => {
  expect(await map([1, 2, 3], 2, async (n) => n * 2)).toEqual([2, 4, 6])
  const seen: number[] = []
  let cleaned = 0
  for await (const n of map([1, 2, 3, 4], 3, async (n) => {
    try {
      await sleep(n < 3 ? 0.1 : 1e6)
      return n
    } finally {
      cleaned++
    }
  })) {
    seen.push(n)
    if (seen.length === 2) break
  }
  expect([seen, cleaned]).toEqual([[1, 2], 4])
  const error = await thrownBy(async () => {
    for await (const _ of map([1], 1, async () => Promise.reject(new Error('body'))));
  })
  expect(error.message).toBe('body')
})
