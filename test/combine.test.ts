/** Several operations at once: what their combination gives, and that nothing goes on, or is lost, when it has ended. */
import { expect, expectTypeOf, it } from 'vitest'
import {
  all,
  allSettled,
  any,
  Cancelled,
  Channel,
  checkpoint,
  connect,
  listen,
  map,
  Mutex,
  race,
  scope,
  ScopeError,
  shield,
  sleep,
  spawn,
  until,
  op,
  type Connection,
  type Coroutine,
  type Op
} from 'coreactor'
import { allParked, Sequencer } from 'coreactor/testing'
import { caught, deferred, onEveryKernel, pair } from './support.js'

/** An operation that takes `ms` and gives `value`. */
const after = <T>(ms: number, value: T): Op<T> =>
  op(function* () {
    yield* sleep(ms)
    return value
  })

const failing = (ms: number, message: string): Op<never> =>
  op(function* fails() {
    yield* sleep(ms)
    throw new Error(message)
  })

/** An operation that never completes, and says when it has been called off; its clean-up takes a while. */
const stubborn = (log: string[], name: string): Op<string> =>
  op(function* () {
    try {
      yield* sleep(Infinity)
      return name
    } finally {
      log.push(`${name} is called off`)
      yield* shield(() => sleep(2))
      log.push(`${name} has ended`)
    }
  })

const messages = (error: unknown): string[] => (error as ScopeError).errors.map((each: Error) => each.message)

onEveryKernel('all', (kernel) => {
  it('gives the results in the order of the operations, whatever the order in which they complete', async () => {
    const results = await kernel.run(() => all([after(3, 'a'), after(1, 'b'), after(2, 'c')]))
    expect(results).toEqual(['a', 'b', 'c'])
  })

  it('of nothing completes with nothing', async () => {
    expect(await kernel.run(() => all([]))).toEqual([])
  })

  it('takes tasks and operations side by side, and infers a tuple', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const task = spawn(function* () {
        return 7
      })
      yield* client.write('x')
      const results = yield* all([sleep(1), server.readSome(), task])
      expectTypeOf(results).toEqualTypeOf<[void, Buffer | null, number]>()
      expect([results[0], String(results[1]), results[2]]).toEqual([undefined, 'x', 7])
      const list: Op<number>[] = [after(1, 1)]
      expectTypeOf(yield* all(list)).toEqualTypeOf<number[]>()
      yield* client.close()
      yield* server.close()
    })
  })

  it('the first failure calls the others off, and is thrown when they have ended', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const error = yield* caught(() => all([stubborn(log, 'slow'), failing(1, 'boom'), after(1e6, 'never')]))
      log.push('thrown')
      expect(error).toBeInstanceOf(ScopeError)
      expect(messages(error)).toEqual(['boom'])
    })
    expect(log).toEqual(['slow is called off', 'slow has ended', 'thrown'])
  })

  it('failures are in the order in which they happened', async () => {
    const twice = op(function* () {
      try {
        yield* sleep(Infinity)
      } finally {
        // eslint-disable-next-line no-unsafe-finally
        throw new Error('second')
      }
    })
    await kernel.run(function* () {
      expect(messages(yield* caught(() => all([twice, failing(1, 'first')])))).toEqual(['first', 'second'])
    })
  })

  it('cancelling it calls all off and waits for them; a task that was only joined goes on', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const joined = spawn(() => after(5, 'unharmed'))
      const cut = yield* scope(function* (tasks) {
        spawn(function* () {
          yield* allParked()
          tasks.cancel('enough')
        })
        try {
          yield* all([stubborn(log, 'a'), joined])
        } catch (error) {
          log.push((error as Error).name)
          throw error
        }
        return 'not reached'
      })
      log.push(String(cut), yield* joined)
    })
    expect(log).toEqual(['a is called off', 'a has ended', 'Cancelled', 'undefined', 'unharmed'])
  })

  it('joining a task that was cancelled is a failure', async () => {
    await kernel.run(function* () {
      const task = spawn(() => sleep(Infinity))
      yield* checkpoint()
      task.cancel()
      const error = yield* caught(() => all([task, stubborn([], 'other')]))
      expect((error as ScopeError).errors.map((each: { code: string }) => each.code)).toEqual(['ERR_COREACTOR_TASK_CANCELLED'])
    })
  })

  it('does nothing until it is driven, and then each operation once', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const noting = op(function* () {
        log.push('driven')
      })
      const both = all([noting])
      yield* checkpoint()
      expect(log).toEqual([])
      yield* both
      expect(log).toEqual(['driven'])
      expect((yield* caught(() => all([noting]))).code).toBe('ERR_COREACTOR_OP_REUSED')
    })
  })

  it('what is no operation is refused before anything begins', async () => {
    await kernel.run(function* () {
      for (const make of [all, allSettled, race, any]) {
        expect(() => make(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
        expect(() => make([sleep(1), Promise.resolve()] as never)).toThrow(
          expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining('ops[1]') as string })
        )
      }
    })
  })
})

onEveryKernel('allSettled', (kernel) => {
  it('says in order what has become of each, and calls none off', async () => {
    const outcomes = await kernel.run(() => allSettled([after(2, 'late'), failing(1, 'boom'), after(1, 5)]))
    expectTypeOf(outcomes[0]).toEqualTypeOf<
      { readonly status: 'fulfilled'; readonly value: string } | { readonly status: 'rejected'; readonly reason: unknown }
    >()
    expect(outcomes).toEqual([
      { status: 'fulfilled', value: 'late' },
      { status: 'rejected', reason: expect.objectContaining({ message: 'boom' }) as unknown },
      { status: 'fulfilled', value: 5 }
    ])
    expect(await kernel.run(() => allSettled([]))).toEqual([])
  })

  it('cancelled from outside it is cancelled: no outcome hides that', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const task = spawn(() => allSettled([stubborn(log, 'a'), after(1, 1)]))
      yield* sleep(2)
      task.cancel('outside')
      const error = yield* caught(() => task)
      expect([error.code, (error.cause as Cancelled).reason, ...log]).toEqual([
        'ERR_COREACTOR_TASK_CANCELLED',
        'outside',
        'a is called off',
        'a has ended'
      ])
    })
  })
})

onEveryKernel('race', (kernel) => {
  it('gives the first result; the losers are called off and waited for', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const winner = yield* race([stubborn(log, 'a'), after(1, 5), stubborn(log, 'b')])
      expectTypeOf(winner).toEqualTypeOf<string | number>()
      log.push(String(winner))
    })
    expect(log.slice(0, 2).sort()).toEqual(['a is called off', 'b is called off'])
    expect(log.slice(2, 4).sort()).toEqual(['a has ended', 'b has ended'])
    expect(log[4]).toBe('5')
  })

  it('the first failure decides as a result does', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      expect(messages(yield* caught(() => race([failing(1, 'boom'), stubborn(log, 'a'), after(2, 'late')])))).toEqual(['boom'])
    })
    expect(log).toEqual(['a is called off', 'a has ended'])
  })

  it('of nothing waits until it is cancelled', async () => {
    await kernel.run(() =>
      scope(function* (tasks) {
        const task = tasks.spawn(() => race([]))
        yield* sleep(1)
        expect(task.state).toBe('parked')
        tasks.cancel()
      })
    )
  })

  it('a failure in the clean-up of a loser is not lost', async () => {
    const loser = op(function* () {
      try {
        yield* sleep(Infinity)
      } finally {
        // eslint-disable-next-line no-unsafe-finally
        throw new Error('clean-up')
      }
    })
    await kernel.run(function* () {
      expect(messages(yield* caught(() => race([after(1, 1), loser])))).toEqual(['clean-up'])
    })
  })

  it('a task that loses is not cancelled: only the wait for it is', async () => {
    await kernel.run(function* () {
      const slow = spawn(() => after(5, 'slow'))
      expect(yield* race([slow, after(1, 'fast')])).toBe('fast')
      expect(yield* slow).toBe('slow')
    })
  })

  it('several that could complete at once have one winner, and the items of the others stay where they were', async () => {
    await kernel.run(function* () {
      const channels = [new Channel<string>(1), new Channel<string>(1), new Channel<string>(1)]
      const racing = spawn(() => race(channels.map((channel) => channel.receive())))
      yield* allParked()
      channels.forEach((channel, i) => channel.trySend(`item ${i}`))
      const winner = yield* racing
      const left = channels.map((channel) => channel.tryReceive()).filter((item) => item !== undefined)
      expect([winner, ...left].sort()).toEqual(['item 0', 'item 1', 'item 2'])
    })
  })

  it('nor is an item lost when one fails in the turn in which another was handed it', async () => {
    await kernel.run(function* () {
      const channel = new Channel<string>(1)
      const failed = deferred<never>()
      const racing = spawn(function* () {
        return yield* caught(() => race([until(failed.promise), channel.receive()]))
      })
      yield* allParked()
      failed.reject(new Error('boom'))
      yield* until(failed.promise.catch(() => channel.trySend('kept')))
      expect(messages(yield* racing)).toEqual(['boom'])
      expect(channel.tryReceive()).toBe('kept')
    })
  })

  it('nor when it was cancelled from outside after two had been handed theirs', async () => {
    await kernel.run(function* () {
      const [one, two] = [new Channel<string>(1), new Channel<string>(1)]
      const seen: unknown[] = []
      const racing = spawn(function* () {
        seen.push(yield* race([one.receive(), two.receive()]))
        yield* sleep(1)
      })
      yield* allParked()
      one.trySend('first')
      two.trySend('second')
      racing.cancel()
      expect((yield* caught(() => racing)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
      expect([...seen, one.tryReceive() ?? two.tryReceive()].sort()).toEqual(['first', 'second'])
    })
  })

  it('a loser that was handed a lock gives it back', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      const ready = deferred<string>()
      const held = yield* mutex.lock()
      const racing = spawn(() => race([until(ready.promise), mutex.lock()]))
      yield* allParked()
      // Both are woken in the same turn, the promise first.
      ready.resolve('other')
      yield* until(ready.promise.then(() => held.release()))
      expect(yield* racing).toBe('other')
      expect(mutex.locked).toBe(false)
    })
  })

  it('a loser that was about to accept leaves the connection to the next accept, and the bytes of a read to the next read', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      let accepted = 0
      // Both become ready; one of them wins, and nothing of the other has happened.
      const racing = spawn(() => race([server.readSome(), listener.accept()]))
      yield* allParked()
      yield* client.write('bytes')
      const other = yield* connect({ port: listener.address.port })
      const winner = yield* racing
      const isBytes = Buffer.isBuffer(winner)
      if (isBytes) {
        expect(String(winner)).toBe('bytes')
        const connection = yield* listener.accept()
        accepted++
        yield* connection.close()
      } else {
        accepted++
        yield* (winner as Connection).close()
        expect(String(yield* server.readSome())).toBe('bytes')
      }
      expect(accepted).toBe(1)
      yield* other.close()
      yield* client.close()
      yield* server.close()
      yield* listener.close()
    })
  })
})

onEveryKernel('any', (kernel) => {
  it('gives the first success, whatever has failed before', async () => {
    const log: string[] = []
    const winner = await kernel.run(() => any([failing(1, 'boom'), after(2, 'good'), stubborn(log, 'slow')]))
    expect([winner, ...log]).toEqual(['good', 'slow is called off', 'slow has ended'])
  })

  it('throws all failures, in the order in which they happened, when there is no success', async () => {
    await kernel.run(function* () {
      const sequencer = new Sequencer()
      const failingAt = (position: number, message: string): Op<never> =>
        sequencer.at(position, function* () {
          throw new Error(message)
        })
      const error = (yield* caught(() => any([failingAt(2, 'c'), failingAt(0, 'a'), failingAt(1, 'b')]))) as ScopeError
      expect(error).toBeInstanceOf(ScopeError)
      expect(messages(error)).toEqual(['a', 'b', 'c'])
      expect(error.failures.map(({ error: each, task }) => [(each as Error).message, task.replace(/\d+/, 'N')])).toEqual([
        ['a', 'contender#N'],
        ['b', 'contender#N'],
        ['c', 'contender#N']
      ])
      expect((yield* caught(() => any([]))) as ScopeError).toMatchObject({ errors: [], code: 'ERR_COREACTOR_SCOPE' })
    })
  })

  it('cancelled from outside it is Cancelled, and not a failure of all', async () => {
    await kernel.run(function* () {
      const task = spawn(() => any([failing(1, 'boom'), stubborn([], 'slow')]))
      yield* sleep(2)
      task.cancel()
      expect((yield* caught(() => task)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    })
  })
})

onEveryKernel('map', (kernel) => {
  it('collects results in the order of the items, with so many bodies at a time', async () => {
    let running = 0
    let most = 0
    const results = await kernel.run(() =>
      map([5, 1, 4, 2, 3], 2, function* (item, index) {
        most = Math.max(most, ++running)
        yield* sleep(item)
        running--
        return `${index}:${item}`
      })
    )
    expect(results).toEqual(['0:5', '1:1', '2:4', '3:2', '4:3'])
    expect(most).toBe(2)
  })

  it('the first failure calls the others off, and takes no further items', async () => {
    const log: string[] = []
    let taken = 0
    const items = function* (): Generator<number> {
      for (;;) yield taken++
    }
    await kernel.run(function* () {
      const error = yield* caught(() =>
        map(items(), 3, function* (item) {
          if (item === 1) throw new Error('boom')
          yield* stubborn(log, `item ${item}`)
        })
      )
      expect(messages(error)).toEqual(['boom'])
    })
    expect(taken).toBeLessThanOrEqual(4)
    expect(log.filter((line) => line.endsWith('is called off')).length).toBe(log.length / 2)
  })

  it('as a loop it gives results one by one, and leaving the loop calls off and awaits what still runs', async () => {
    const log: string[] = []
    await kernel.run(async () => {
      for await (const item of map([1, 2, 3, 4], 2, function* (item): Coroutine<number | string> {
        return item < 3 ? item : yield* stubborn(log, `item ${item}`)
      })) {
        log.push(`got ${item}`)
        if (item === 2) break
      }
      log.push('after')
    })
    expect(log.slice(0, 2)).toEqual(['got 1', 'got 2'])
    expect(log.at(-1)).toBe('after')
    const off = log.filter((line) => line.endsWith('called off')).length
    expect(log.filter((line) => line.endsWith('has ended')).length).toBe(off)
  })

  it('of nothing completes with nothing, and cancelling it calls its bodies off', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      expect(yield* map([], 1, sleep)).toEqual([])
      const task = spawn(() => map(['a', 'b'], 3, (name) => stubborn(log, name)))
      yield* allParked()
      // All items have been taken: the body of its scope has returned.
      task.cancel()
      expect((yield* caught(() => task)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    })
    expect(log.length).toBe(4)
  })
})
