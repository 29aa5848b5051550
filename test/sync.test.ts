/** Event, mutex, semaphore, limiter, condition, barrier, deferred: who goes on, in which order, and what a cancelled wait leaves. */
import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import {
  all,
  allSettled,
  any,
  Barrier,
  Cancelled,
  checkpoint,
  Condition,
  currentTask,
  deferred,
  Event,
  Limiter,
  Mutex,
  race,
  run,
  scope,
  Semaphore,
  sleep,
  spawn,
  timeout,
  type Body,
  type Coroutine,
  type Op,
  type Permit,
  type Task
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { Line, type Standing } from '../lib/sync/line.js'
import { caught, onEveryKernel, thrownBy } from './support.js'

/** A task of each name waits, one after another; `got` says who has gone on. */
function* queueUp<T>(names: string, wait: () => Op<T>, got: string[]): Coroutine<Record<string, Task<T>>> {
  const tasks: Record<string, Task<T>> = {}
  for (const name of names) {
    tasks[name] = spawn(function* () {
      const value = yield* wait()
      got.push(name)
      return value
    })
    yield* allParked()
  }
  return tasks
}

/** What tells tasks apart in a comparison, which would take the tasks themselves for iterables. */
function ids(...tasks: (Task | null | undefined)[]): (number | null | undefined)[] {
  return tasks.map((task) => task && task.id)
}

type Named = Standing & { name: string }

/** Cancels a task in the very step after `act` has handed it what it waits for. */
function* cancelledLate(wait: () => Op<unknown>, act: () => void): Coroutine<{ completed: boolean; goesOn: boolean; value: unknown }> {
  const seen = { completed: false, goesOn: false, value: undefined as unknown }
  const task = spawn(function* () {
    seen.value = yield* wait()
    seen.completed = true
    yield* checkpoint()
    seen.goesOn = true
  })
  yield* allParked()
  act()
  task.cancel()
  yield* allParked()
  return seen
}

/** Loses a race in the very turn in which `act` hands it what it waits for; `meanwhile` comes into line behind it. */
function* lostLate(wait: () => Op<unknown>, act: () => void, meanwhile?: Coroutine<unknown>): Coroutine<unknown> {
  const other = deferred<string>()
  const racing = spawn(() => race([other, wait()]))
  yield* allParked()
  if (meanwhile !== undefined) yield* meanwhile
  other.resolve('other')
  act()
  return yield* racing
}

const wrongTypes: [string, () => unknown][] = [
  ['Semaphore', () => new Semaphore('1' as never)],
  ['Semaphore.acquire', () => new Semaphore(1).acquire('1' as never)],
  ['Semaphore.tryAcquire', () => new Semaphore(1).tryAcquire(null as never)],
  ['Semaphore.use', () => new Semaphore(1).use(1 as never)],
  ['Mutex.use', () => new Mutex().use(undefined as never)],
  ['Limiter', () => new Limiter(undefined as never)],
  ['Limiter.use', () => new Limiter(1).use({} as never)],
  ['Limiter.total', () => (new Limiter(1).total = '2' as never)],
  ['Barrier', () => new Barrier('2' as never)],
  ['Condition.waitFor', () => new Condition().waitFor(true as never)],
  ['Condition.use', () => new Condition().use(null as never)],
  ['Condition.notify', () => new Condition().notify('all' as never)]
]

const outOfRange: [string, () => unknown][] = [
  ['Semaphore(0)', () => new Semaphore(0)],
  ['Semaphore(1.5)', () => new Semaphore(1.5)],
  ['more permits than there are', () => new Semaphore(2).acquire(3)],
  ['no permits', () => new Semaphore(2).tryAcquire(0)],
  ['Limiter(0)', () => new Limiter(0)],
  ['Limiter(NaN)', () => new Limiter(NaN)],
  ['Limiter.total = -1', () => (new Limiter(1).total = -1)],
  ['Barrier(0)', () => new Barrier(0)],
  ['Condition.notify(0)', () => new Condition().notify(0)]
]

it.each(wrongTypes)('a wrong type is refused before any effect: %s', (_, act) => {
  expect(act).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }))
})

it.each(outOfRange)('a number out of range is refused before any effect: %s', (_, act) => {
  expect(act).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }))
})

it('a line is served in order, whoever leaves it from its head, its middle or its end', () => {
  const line = new Line<Standing & { name: string }>()
  const waiters = [...'abcde'].map((name) => ({ name, ahead: null, behind: null, standing: false }))
  const [a, b, c, d, e] = waiters as [Named, Named, Named, Named, Named]
  for (const each of waiters) line.add(each)
  line.add(c)
  for (const each of [a, c, c, e]) line.delete(each)
  expect([line.size, line.first]).toEqual([2, b])
  line.add(a)
  expect([line.shift(), line.shift(), line.shift(), line.shift()]).toEqual([b, d, a, undefined])
  expect([line.size, line.first]).toEqual([0, null])
})

onEveryKernel('Event', (kernel) => {
  it('lets everybody go on who waits, in the order in which they came, and later ones at once', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const event = new Event()
      yield* queueUp('abc', () => event.wait(), got)
      expect([event.isSet, event.waiting, got]).toEqual([false, 3, []])
      event.set()
      expect([event.isSet, event.waiting]).toEqual([true, 0])
      yield* allParked()
      expect(got).toEqual(['a', 'b', 'c'])
      yield* event.wait()
      event.set()
      event.clear()
      expect(event.isSet).toBe(false)
      const { d } = yield* queueUp('d', () => event.wait(), got)
      expect(d?.state).toBe('parked')
      d?.cancel()
    })
  })

  it('those who waited when it was set go on even if it is cleared before they run', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const event = new Event()
      yield* queueUp('ab', () => event.wait(), got)
      event.set()
      event.clear()
      yield* allParked()
    })
    expect(got).toEqual(['a', 'b'])
  })

  it('a cancelled wait has left the line and changed nothing', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const event = new Event()
      const { b } = yield* queueUp('abc', () => event.wait(), got)
      b?.cancel()
      yield* allParked()
      expect([event.waiting, event.isSet]).toEqual([2, false])
      event.set()
    })
    expect(got).toEqual(['a', 'c'])
  })

  it('a wait that completed before its cancellation has completed', async () => {
    await kernel.run(function* () {
      const event = new Event()
      expect(yield* cancelledLate(() => event.wait(), () => event.set())).toMatchObject({ completed: true, goesOn: false })
    })
  })

  it('is set from a callback, and awaited by async functions', async () => {
    await kernel.run(async () => {
      const event = new Event()
      const emitter = new EventEmitter().once('stop', () => event.set())
      setImmediate(() => emitter.emit('stop'))
      await event.wait()
      expect(event.isSet).toBe(true)
    })
  })
})

onEveryKernel('Semaphore', (kernel) => {
  it('hands out permits in the order in which they were asked for', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const semaphore = new Semaphore(2)
      const held = [yield* semaphore.acquire(), yield* semaphore.acquire()]
      expect([semaphore.permits, semaphore.available, semaphore.waiting]).toEqual([2, 0, 0])
      const { a, b, c } = yield* queueUp('abc', () => semaphore.acquire(), got)
      expect([semaphore.waiting, semaphore.tryAcquire()]).toEqual([3, null])
      for (const permit of held) permit.release()
      yield* allParked()
      expect([got, semaphore.waiting, semaphore.available]).toEqual([['a', 'b'], 1, 0])
      for (const task of [a, b, c]) (yield* task as Task<Permit>).release()
      expect(semaphore.available).toBe(2)
    })
    expect(got).toEqual(['a', 'b', 'c'])
  })

  it('one who asks for many is not starved by those who ask for few and come later', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const semaphore = new Semaphore(3)
      const held = [semaphore.tryAcquire(), semaphore.tryAcquire()]
      const { m } = yield* queueUp('m', () => semaphore.acquire(3), got)
      const { f } = yield* queueUp('f', () => semaphore.acquire(), got)
      expect([semaphore.available, semaphore.tryAcquire()]).toEqual([1, null])
      for (const permit of held) {
        expect(got).toEqual([])
        permit?.release()
        yield* allParked()
      }
      expect(got).toEqual(['m'])
      for (const task of [m, f]) (yield* task as Task<Permit>).release()
      expect(semaphore.available).toBe(3)
    })
    expect(got).toEqual(['m', 'f'])
  })

  it('when one who asks for many is cancelled, those behind who waited for nothing but it go on', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const semaphore = new Semaphore(3)
      const held = semaphore.tryAcquire(2)
      const { m } = yield* queueUp('m', () => semaphore.acquire(3), got)
      const { a, b } = yield* queueUp('ab', () => semaphore.acquire(), got)
      m?.cancel()
      yield* allParked()
      expect([got, semaphore.waiting, semaphore.available]).toEqual([['a'], 1, 0])
      held?.release()
      for (const task of [a, b]) (yield* task as Task<Permit>).release()
      expect(semaphore.available).toBe(3)
    })
    expect(got).toEqual(['a', 'b'])
  })

  it('a permit that was handed over before the cancellation is held', async () => {
    await kernel.run(function* () {
      const semaphore = new Semaphore(1)
      const held = yield* semaphore.acquire()
      const seen = yield* cancelledLate(() => semaphore.acquire(), () => held.release())
      expect(seen).toMatchObject({ completed: true, goesOn: false })
      expect(semaphore.available).toBe(0)
      ;(seen.value as Permit).release()
      expect(semaphore.available).toBe(1)
    })
  })

  it('a permit that is handed to the loser of a race goes to the next in line, or back', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const semaphore = new Semaphore(1)
      let held = yield* semaphore.acquire()
      expect(yield* lostLate(() => semaphore.acquire(), () => held.release())).toBe('other')
      expect(semaphore.available).toBe(1)

      held = yield* semaphore.acquire()
      const next: Coroutine<Record<string, Task<Permit>>> = queueUp('n', () => semaphore.acquire(), got)
      expect(yield* lostLate(() => semaphore.acquire(), () => held.release(), next)).toBe('other')
      yield* allParked()
      expect([got, semaphore.available, semaphore.waiting]).toEqual([['n'], 0, 0])
    })
  })

  it('releasing twice throws, disposing twice does not, and neither makes a permit more', async () => {
    await kernel.run(function* () {
      const semaphore = new Semaphore(2)
      const permit = yield* semaphore.acquire(2)
      permit.release()
      expect(() => permit.release()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_RELEASED' }))
      permit[Symbol.dispose]()
      expect(semaphore.available).toBe(2)
    })
  })

  it('use runs its body with a permit, and gives it back on return, on error and on cancel', async () => {
    await kernel.run(function* () {
      const semaphore = new Semaphore(1)
      const seen: number[] = []
      const value = yield* semaphore.use(function* () {
        seen.push(semaphore.available)
        yield* sleep(1)
        return 'value'
      })
      const error = yield* caught(() =>
        semaphore.use(async () => {
          seen.push(semaphore.available)
          throw new Error('body')
        })
      )
      const task = spawn(() => semaphore.use(() => sleep(1e6)))
      yield* allParked()
      seen.push(semaphore.available)
      task.cancel()
      yield* allParked()
      expect([value, error.message, seen, semaphore.available]).toEqual(['value', 'body', [0, 0, 0], 1])
    })
  })

  it('a permit that is declared with using is given back at the end of the block', async () => {
    await kernel.run(function* () {
      const semaphore = new Semaphore(1)
      {
        using permit = yield* semaphore.acquire()
        expect([typeof permit.release, semaphore.available]).toEqual(['function', 0])
      }
      expect(semaphore.available).toBe(1)
    })
  })

  it('is awaited by async functions, and released from a callback', async () => {
    await kernel.run(async () => {
      const semaphore = new Semaphore(1)
      const permit = await semaphore.acquire()
      setImmediate(() => permit.release())
      const second = await semaphore.acquire()
      expect(semaphore.available).toBe(0)
      second.release()
    })
  })
})

onEveryKernel('Mutex', (kernel) => {
  it('is held by one task at a time, in the order in which they asked', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const mutex = new Mutex()
      expect([mutex.locked, mutex.owner, mutex.waiting]).toEqual([false, null, 0])
      const lock = yield* mutex.lock()
      const { a, b } = yield* queueUp('ab', () => mutex.lock(), got)
      expect(mutex.owner).toBe(currentTask())
      expect([mutex.locked, mutex.waiting, got]).toEqual([true, 2, []])
      lock.release()
      // The next in line has it at once: nobody comes in between.
      expect([mutex.owner?.id, mutex.tryLock()]).toEqual([a?.id, null])
      ;(yield* a as Task<Permit>).release()
      expect([mutex.owner?.id, mutex.waiting]).toEqual([b?.id, 0])
      ;(yield* b as Task<Permit>).release()
      expect([mutex.locked, mutex.owner]).toEqual([false, null])
    })
    expect(got).toEqual(['a', 'b'])
  })

  it('nothing runs between lock and release but what waits for something else', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const mutex = new Mutex()
      const part = function* (name: string): Coroutine<void> {
        yield* mutex.use(function* () {
          log.push(`${name} begins`)
          yield* sleep(1)
          log.push(`${name} ends`)
        })
      }
      for (const name of ['a', 'b', 'c']) spawn(part, name)
    })
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  it('a cancelled wait has left the line, and the lock goes to those who are still in it', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const mutex = new Mutex()
      const lock = yield* mutex.lock()
      const { a, b } = yield* queueUp('ab', () => mutex.lock(), got)
      a?.cancel()
      expect(mutex.waiting).toBe(1)
      lock.release()
      yield* b as Task<Permit>
      expect([got, mutex.owner?.id]).toEqual([['b'], b?.id])
    })
  })

  it('a lock that was handed over before the cancellation is held; the loser of a race gives it back', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      let lock = yield* mutex.lock()
      const seen = yield* cancelledLate(() => mutex.lock(), () => lock.release())
      expect(seen).toMatchObject({ completed: true, goesOn: false })
      expect(mutex.locked).toBe(true)
      ;(seen.value as Permit).release()

      lock = yield* mutex.lock()
      expect(yield* lostLate(() => mutex.lock(), () => lock.release())).toBe('other')
      expect([mutex.locked, mutex.owner]).toEqual([false, null])
    })
  })

  it('locking again in the coroutine that holds it throws, and the lock is as it was', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      const nested = mutex.use(() => mutex.use(() => sleep(1)))
      expect((yield* caught(() => nested)).code).toBe('ERR_COREACTOR_DEADLOCK')
      expect(mutex.locked).toBe(false)
      const lock = mutex.tryLock()
      expect((yield* caught(() => mutex.lock())).message).toContain((currentTask() as Task).label)
      expect([mutex.waiting, mutex.tryLock()]).toEqual([0, null])
      lock?.release()
      expect(mutex.locked).toBe(false)
    })
  })

  it('two operations of one async function are not a deadlock: the second waits', async () => {
    const log: string[] = []
    await kernel.run(async () => {
      const mutex = new Mutex()
      const part = (name: string): PromiseLike<void> =>
        mutex.use(async () => {
          log.push(`${name} begins`)
          await sleep(1)
          log.push(`${name} ends`)
        })
      await Promise.all([part('a'), part('b')])
    })
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
  })

  it('its owner is the task, also if an await or a race took it; outside any task there is none', async () => {
    const mutex = new Mutex()
    await kernel.run(async () => {
      const lock = await mutex.lock()
      expect(mutex.owner).toBe(currentTask())
      lock.release()
      await mutex.use(async () => {
        expect(mutex.owner?.name).toBe('main')
        await sleep(1)
      })
    })
    await kernel.run(function* () {
      const lock = yield* race([mutex.lock()])
      expect(mutex.owner).toBe(currentTask())
      const next = spawn(async () => {
        const mine = await mutex.lock()
        expect(mutex.owner).toBe(currentTask())
        mine.release()
      })
      yield* allParked()
      lock.release()
      expect(mutex.owner).toBe(next)
    })
    const lock = await mutex.lock()
    expect([mutex.locked, mutex.owner]).toEqual([true, null])
    lock.release()
    const tried = mutex.tryLock()
    expect([mutex.locked, mutex.owner]).toEqual([true, null])
    tried?.release()
  })

  it('releasing twice throws and disposing twice does not, whoever has the lock by then', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      const first = yield* mutex.lock()
      first.release()
      const second = yield* mutex.lock()
      expect(() => first.release()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_RELEASED' }))
      first[Symbol.dispose]()
      expect(mutex.locked).toBe(true)
      second[Symbol.dispose]()
      expect(mutex.locked).toBe(false)
    })
  })

  it('use releases on return, on error and on cancel, and a lock declared with using at the end of its block', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      expect(yield* mutex.use(async () => mutex.locked)).toBe(true)
      const failing = mutex.use(function* () {
        throw new Error('body')
      })
      expect((yield* caught(() => failing)).message).toBe('body')
      yield* scope(function* (tasks) {
        tasks.spawn(() => mutex.use(() => sleep(1e6)))
        yield* allParked()
        expect(mutex.locked).toBe(true)
        tasks.cancel()
      })
      expect(mutex.locked).toBe(false)
      {
        using lock = yield* mutex.lock()
        expect([typeof lock, mutex.locked]).toEqual(['object', true])
      }
      expect(mutex.locked).toBe(false)
    })
  })

  it('is released from a callback', async () => {
    await kernel.run(function* () {
      const mutex = new Mutex()
      const lock = yield* mutex.lock()
      const emitter = new EventEmitter().once('done', () => lock.release())
      setImmediate(() => emitter.emit('done'))
      const waiting = spawn(() => mutex.lock())
      yield* waiting
      expect(mutex.owner).toBe(waiting)
    })
  })
})

onEveryKernel('Limiter', (kernel) => {
  it('lends in the order in which it was asked, and knows who has what', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const limiter = new Limiter(2)
      const { a, b, c } = yield* queueUp('abc', () => limiter.acquire(), got)
      expect([got, limiter.borrowed, limiter.available, limiter.waiting]).toEqual([['a', 'b'], 2, 0, 1])
      expect(ids(...limiter.borrowers)).toEqual(ids(a, b))
      expect(limiter.tryAcquire()).toBeNull()
      ;(yield* a as Task<Permit>).release()
      expect(ids(...limiter.borrowers)).toEqual(ids(b, c))
      for (const task of [b, c]) (yield* task as Task<Permit>).release()
      expect([got, limiter.borrowers, limiter.available]).toEqual([['a', 'b', 'c'], [], 2])
    })
  })

  it('borrowers are tasks, also those that await; null outside any', async () => {
    const limiter = new Limiter(9)
    await kernel.run(async () => {
      const main = currentTask()
      const own = [await limiter.acquire(), limiter.tryAcquire(), await race([limiter.acquire()])]
      expect(ids(...limiter.borrowers)).toEqual(ids(main, main, main))
      for (const each of own) each?.release()
    })
    const outside = [await limiter.acquire(), limiter.tryAcquire()]
    expect(limiter.borrowers).toEqual([null, null])
    for (const each of outside) each?.release()
  })

  it('made larger it lends at once, made smaller it lets those who have a permit finish', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const limiter = new Limiter(1)
      const first = yield* limiter.acquire()
      const { a, b, c } = yield* queueUp('abc', () => limiter.acquire(), got)
      limiter.total = 3
      yield* allParked()
      expect([got, limiter.total, limiter.waiting]).toEqual([['a', 'b'], 3, 1])
      limiter.total = 1
      first.release()
      ;(yield* a as Task<Permit>).release()
      yield* allParked()
      expect([got, limiter.borrowed, limiter.available]).toEqual([['a', 'b'], 1, 0])
      ;(yield* b as Task<Permit>).release()
      ;(yield* c as Task<Permit>).release()
      expect(got).toEqual(['a', 'b', 'c'])
      limiter.total = Infinity
      expect([limiter.available, limiter.tryAcquire() === null]).toEqual([Infinity, false])
    })
  })

  it('a refused total leaves it as it was', async () => {
    const limiter = new Limiter(2)
    expect(() => (limiter.total = 0)).toThrow(RangeError)
    expect(limiter.total).toBe(2)
  })

  it('nothing is lost to a cancelled wait, whether it was handed its permit or not', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const limiter = new Limiter(1)
      let held = yield* limiter.acquire()
      const { a, b } = yield* queueUp('ab', () => limiter.acquire(), got)
      a?.cancel()
      held.release()
      held = yield* b as Task<Permit>
      expect(got).toEqual(['b'])

      const seen = yield* cancelledLate(() => limiter.acquire(), () => held.release())
      expect([seen.completed, limiter.borrowed]).toEqual([true, 1])
      held = seen.value as Permit
      expect(yield* lostLate(() => limiter.acquire(), () => held.release())).toBe('other')
      expect(limiter.available).toBe(1)
    })
  })

  it('use gives back, releasing twice throws, and using declares', async () => {
    await kernel.run(async () => {
      const limiter = new Limiter(1)
      expect(await limiter.use(async () => limiter.borrowed)).toBe(1)
      const permit = await limiter.acquire()
      permit.release()
      expect(() => permit.release()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_RELEASED' }))
      permit[Symbol.dispose]()
      {
        using again = await limiter.acquire()
        expect([typeof again, limiter.borrowed]).toEqual(['object', 1])
      }
      expect(limiter.borrowed).toBe(0)
    })
  })
})

onEveryKernel('Condition', (kernel) => {
  /** A task of each name waits for one notification, with the lock, and holds it again when it goes on. */
  function* waiters(names: string, condition: Condition, got: string[]): Coroutine<Record<string, Task<void>>> {
    return yield* queueUp(
      names,
      () =>
        condition.use(function* () {
          yield* condition.wait()
          expect(condition.mutex.owner).toBe(currentTask())
        }),
      got
    )
  }

  it('wakes as many as it is told, those first who have waited longest, and everybody', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      yield* waiters('abcde', condition, got)
      expect([condition.waiting, condition.mutex.locked]).toEqual([5, false])
      const seen: string[][] = []
      for (const wake of [() => condition.notify(), () => condition.notify(2), () => condition.notifyAll(), () => condition.notify(7)]) {
        yield* condition.use(async () => wake())
        yield* allParked()
        seen.push([...got])
      }
      expect(seen.map((each) => each.join(''))).toEqual(['a', 'abc', 'abcde', 'abcde'])
      expect(condition.waiting).toBe(0)
    })
  })

  it('who is notified goes on only when the one who notifies has released the lock', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      yield* waiters('a', condition, got)
      const lock = yield* condition.lock()
      condition.notify()
      yield* allParked()
      expect([got, condition.waiting, condition.mutex.waiting]).toEqual([[], 0, 1])
      lock.release()
    })
    expect(got).toEqual(['a'])
  })

  it('a notification between the release of the lock and the wait is not lost', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      const locked = yield* condition.lock()
      const notifying = spawn(() => condition.use(async () => condition.notify()))
      yield* allParked()
      yield* condition.wait()
      expect(notifying.state).toBe('ended')
      locked.release()
    })
  })

  it('waitFor looks at once and after each notification, with the lock held', async () => {
    const looks: boolean[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      let ready = false
      const waiting = spawn(() =>
        condition.use(() =>
          condition.waitFor(() => {
            looks.push(condition.mutex.owner === waiting)
            return ready
          })
        )
      )
      yield* allParked()
      yield* condition.use(async () => condition.notify())
      yield* allParked()
      expect([looks, waiting.state]).toEqual([[true, true], 'parked'])
      ready = true
      yield* condition.use(async () => condition.notify())
      yield* waiting
      yield* condition.use(() => condition.waitFor(() => true))
    })
    expect(looks).toEqual([true, true, true])
  })

  it('what the predicate throws ends waitFor, with the lock held', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      using lock = yield* condition.lock()
      const failing = condition.waitFor(() => {
        throw new Error('predicate')
      })
      expect((yield* caught(() => failing)).message).toBe('predicate')
      expect([condition.mutex.owner?.id, typeof lock]).toEqual([currentTask()?.id, 'object'])
    })
  })

  it('without the lock nothing can be done with it', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      const refused = { code: 'ERR_COREACTOR_NOT_LOCKED' }
      expect(yield* caught(() => condition.wait())).toMatchObject(refused)
      expect(yield* caught(() => condition.waitFor(() => true))).toMatchObject(refused)
      expect(() => condition.notify()).toThrow(expect.objectContaining(refused))
      expect(() => condition.notifyAll()).toThrow(expect.objectContaining(refused))
      // Another task has it.
      const lock = yield* condition.lock()
      for (const wait of [() => condition.wait(), () => condition.waitFor(() => true)]) {
        const other = spawn(() => caught(wait))
        expect(yield* other).toMatchObject(refused)
        const awaiting = spawn(async () => thrownBy(wait))
        expect(yield* awaiting).toMatchObject(refused)
      }
      expect(condition.mutex.owner).toBe(currentTask())
      lock.release()
    })
  })

  it('a cancelled wait has the lock again, and leaves no place in the line', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      const task = spawn(() =>
        condition.use(function* () {
          try {
            yield* condition.wait()
          } catch (error) {
            log.push((error as Error).name, condition.mutex.owner === currentTask() ? 'locked' : 'not locked')
            throw error
          }
        })
      )
      yield* allParked()
      const lock = yield* condition.lock()
      task.cancel()
      yield* allParked()
      // It waits for the lock although it is cancelled.
      expect([task.state, condition.waiting, log]).toEqual(['parked', 0, []])
      lock.release()
      yield* allParked()
      expect([task.state, condition.mutex.locked]).toEqual(['ended', false])
    })
    expect(log).toEqual(['Cancelled', 'locked'])
  })

  it('in a cancelled scope it does not let go of the lock', async () => {
    const log: unknown[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      const task = spawn(() =>
        condition.use(function* () {
          currentTask()?.cancel()
          const other = condition.mutex.waiting
          try {
            yield* condition.wait()
          } finally {
            log.push(other, condition.mutex.waiting, condition.mutex.owner === task)
          }
        })
      )
      const waiting = spawn(() => condition.lock())
      ;(yield* waiting).release()
    })
    expect(log).toEqual([0, 0, true])
  })

  it.each(['at once', 'on its way back to the lock'])('a notification of one who is cancelled %s goes to the next', async (when) => {
    const got: string[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      const { a } = yield* waiters('ab', condition, got)
      const lock = yield* condition.lock()
      condition.notify()
      if (when !== 'at once') yield* allParked()
      a?.cancel()
      lock.release()
      yield* allParked()
      expect([got, a?.outcome, condition.mutex.locked]).toEqual([['b'], 'cancelled', false])
    })
  })

  it.each(['at once', 'on its way back to the lock'])('a notification of one who loses a race %s goes to the next', async (when) => {
    const got: string[] = []
    await kernel.run(function* () {
      const condition = new Condition()
      const other = new Event()
      const racing = spawn(() =>
        condition.use(function* () {
          yield* race([other.wait(), condition.wait()])
          expect(condition.mutex.owner).toBe(racing)
        })
      )
      yield* allParked()
      yield* waiters('b', condition, got)
      const lock = yield* condition.lock()
      if (when === 'at once') other.set()
      condition.notify()
      if (when !== 'at once') yield* allParked()
      other.set()
      lock.release()
      yield* allParked()
      expect([got, racing.state, condition.mutex.locked]).toEqual([['b'], 'ended', false])
    })
  })

  it('wait in a race or a timeout is of the task that holds the lock, which holds it afterwards', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      using lock = yield* condition.lock()
      yield* race([condition.wait(), sleep(1)])
      expect(condition.mutex.owner).toBe(currentTask())
      expect((yield* caught(() => timeout(1, () => condition.wait()))).code).toBe('ERR_COREACTOR_TIMEOUT')
      expect(condition.mutex.owner).toBe(currentTask())
      expect((yield* caught(() => condition.lock())).code).toBe('ERR_COREACTOR_DEADLOCK')
      expect(typeof lock).toBe('object')
    })
  })

  it('async functions wait with a lock they have awaited, and so does code outside any task', async () => {
    const consume = async (condition: Condition, pending: string[]): Promise<string | undefined> => {
      const first = await condition.use(async () => {
        await condition.waitFor(() => pending.length > 0)
        return pending.shift()
      })
      const lock = await condition.lock()
      while (pending.length === 0) await condition.wait()
      const second = pending.shift()
      lock.release()
      return `${first}${second}`
    }
    const produce = async (condition: Condition, pending: string[]): Promise<void> => {
      for (const item of 'xy') {
        await sleep(1)
        await condition.use(async () => {
          pending.push(item)
          condition.notify()
        })
      }
    }
    await kernel.run(async () => {
      const condition = new Condition()
      const pending: string[] = []
      spawn(() => produce(condition, pending))
      expect(await consume(condition, pending)).toBe('xy')
    })
    const condition = new Condition()
    const pending: string[] = []
    const producing = produce(condition, pending)
    expect(await consume(condition, pending)).toBe('xy')
    await producing
  })

  it('a lock that was left by a task that has ended may be waited with; that of one that lives may not', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      const lock = yield* spawn(() => condition.lock())
      const waiting = spawn(() => condition.wait())
      yield* allParked()
      expect(condition.waiting).toBe(1)
      yield* condition.use(async () => condition.notify())
      yield* waiting
      expect(condition.mutex.locked).toBe(true)
      lock.release()
    })
  })

  it('two conditions share a mutex: each has its own waiters, and one holds the lock at a time', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const mutex = new Mutex()
      const [notEmpty, notFull] = [new Condition(mutex), new Condition(mutex)]
      expect([notEmpty.mutex, notFull.mutex]).toEqual([mutex, mutex])
      yield* waiters('e', notEmpty, got)
      yield* waiters('f', notFull, got)
      yield* mutex.use(async () => notFull.notifyAll())
      yield* allParked()
      expect([got, notEmpty.waiting, notFull.waiting, mutex.locked]).toEqual([['f'], 1, 0, false])
      yield* mutex.use(async () => notEmpty.notifyAll())
    })
    expect(got).toEqual(['f', 'e'])
  })

  it('while it waits the lock cannot be released by the one who waits', async () => {
    await kernel.run(function* () {
      const condition = new Condition()
      const lock = yield* condition.lock()
      const intruder = spawn(function* () {
        expect(() => lock.release()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_RELEASED' }))
        yield* condition.use(async () => condition.notify())
      })
      yield* condition.wait()
      yield* intruder
      lock.release()
      expect(condition.mutex.locked).toBe(false)
    })
  })
})

onEveryKernel('Barrier', (kernel) => {
  it('lets everybody go on when the last has come, and tells each its place; then it begins anew', async () => {
    await kernel.run(function* () {
      const barrier = new Barrier(3)
      for (let round = 0; round < 2; round++) {
        const got: string[] = []
        const { a, b } = yield* queueUp('ab', () => barrier.wait(), got)
        expect([got, barrier.waiting, barrier.parties]).toEqual([[], 2, 3])
        expect(yield* barrier.wait()).toBe(2)
        expect(barrier.waiting).toBe(0)
        expect([yield* a as Task<number>, yield* b as Task<number>]).toEqual([0, 1])
      }
    })
  })

  it('of one party nobody waits', async () => {
    await kernel.run(function* () {
      const barrier = new Barrier(1)
      expect([yield* barrier.wait(), yield* barrier.wait()]).toEqual([0, 0])
    })
  })

  it('one who is cancelled has not come, and those behind move up', async () => {
    const got: string[] = []
    await kernel.run(function* () {
      const barrier = new Barrier(3)
      const { a, b } = yield* queueUp('ab', () => barrier.wait(), got)
      a?.cancel()
      expect(barrier.waiting).toBe(1)
      const { c } = yield* queueUp('c', () => barrier.wait(), got)
      expect(got).toEqual([])
      expect(yield* barrier.wait()).toBe(2)
      expect([yield* b as Task<number>, yield* c as Task<number>]).toEqual([0, 1])
    })
  })

  it('one who is cancelled when the last has come has come', async () => {
    await kernel.run(function* () {
      const barrier = new Barrier(2)
      let first: { completed: boolean; value: unknown } | undefined
      const task = spawn(function* () {
        first = { completed: false, value: yield* barrier.wait() }
        first.completed = true
        yield* checkpoint()
      })
      yield* allParked()
      expect(yield* barrier.wait()).toBe(1)
      task.cancel()
      yield* allParked()
      expect([first, task.outcome, barrier.waiting]).toEqual([{ completed: true, value: 0 }, 'cancelled', 0])
    })
  })

  it('is awaited by async functions', async () => {
    await kernel.run(async () => {
      const barrier = new Barrier(2)
      expect(await Promise.all([barrier.wait(), barrier.wait()])).toEqual([0, 1])
    })
  })
})

onEveryKernel('deferred', (kernel) => {
  it('gives everybody the same result, before and after it is there, as often as they like', async () => {
    await kernel.run(function* () {
      const answer = deferred<number>()
      const got: string[] = []
      const { a, b } = yield* queueUp('ab', () => answer, got)
      expect([answer.settled, got]).toEqual([false, []])
      expect(answer.resolve(42)).toBe(true)
      expect([yield* a as Task<number>, yield* b as Task<number>, yield* answer, yield* answer]).toEqual([42, 42, 42, 42])
      expect([got, answer.settled, answer.result()]).toEqual([['a', 'b'], true, 42])
    })
  })

  it('only the first result counts, be it a value or an error', async () => {
    await kernel.run(function* () {
      const answer = deferred<string>()
      const failure = new Error('first')
      expect([answer.reject(failure), answer.resolve('second'), answer.reject(new Error('third'))]).toEqual([true, false, false])
      expect(yield* caught(() => answer)).toBe(failure)
      expect(() => answer.result()).toThrow(failure)
    })
  })

  it('has no result before it is settled', () => {
    expect(() => deferred().result()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NOT_SETTLED' }))
  })

  it('undefined is a result, and also an error', async () => {
    const [value, error] = [deferred(), deferred()]
    value.resolve()
    error.reject(undefined)
    expect([value.settled, await value]).toEqual([true, undefined])
    await expect(error).rejects.toBeUndefined()
  })

  it('a Cancelled cannot be passed on: it belongs to a scope', () => {
    const answer = deferred()
    expect(() => answer.reject(new Cancelled('mine'))).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_REJECT_CANCELLED' }))
    expect(answer.settled).toBe(false)
  })

  it('a cancelled wait leaves it as it is', async () => {
    await kernel.run(function* () {
      const answer = deferred<string>()
      const waiting = spawn(() => answer)
      yield* allParked()
      waiting.cancel()
      yield* allParked()
      expect([waiting.outcome, answer.settled]).toEqual(['cancelled', false])
      expect(yield* cancelledLate(() => answer, () => answer.resolve('kept'))).toMatchObject({ completed: true, value: 'kept' })
    })
  })

  it('is settled from a callback, and awaited by async functions', async () => {
    const answer = deferred<string>()
    const emitter = new EventEmitter().once('answer', (value: string) => answer.resolve(value))
    setImmediate(() => emitter.emit('answer', 'from outside'))
    expect(await kernel.run(async () => answer)).toBe('from outside')
  })

  it('an error that nobody waits for is nobody else\'s affair', async () => {
    deferred().reject(new Error('not looked at'))
    await kernel.run(() => sleep(1))
  })
})

it('bodies of use run in the task that called it', async () => {
  const bodies: Body<[], string | undefined>[] = [
    async () => currentTask()?.label,
    function* () {
      return currentTask()?.label
    }
  ]
  await run(function* () {
    for (const guard of [new Semaphore(1), new Mutex(), new Limiter(1), new Condition()]) {
      for (const body of bodies) expect(yield* guard.use(body)).toBe(currentTask()?.label)
    }
  })
})

it.each([
  ['race', () => race([sleep(1e6), new Event().wait()])],
  ['any', () => any([sleep(1e6), new Event().wait()])],
  ['all', () => all([sleep(1e6), new Event().wait()])],
  ['allSettled', () => allSettled([sleep(1e6), new Event().wait()])]
])('%s that is cancelled from outside ends with Cancelled, and not with an error of its own', async (_, make) => {
  await run(function* () {
    const task = spawn(make as () => Op<unknown>)
    yield* allParked()
    task.cancel('why')
    yield* allParked()
    expect(task.outcome).toBe('cancelled')
    expect((yield* caught(() => timeout(1, make as () => Op<unknown>))).code).toBe('ERR_COREACTOR_TIMEOUT')
  })
})
