/** Deadlines, shields and ticks: what time cuts off, what it must not, and whose answer counts. */
import { expect, it } from 'vitest'
import {
  Cancelled,
  checkpoint,
  Event,
  interval,
  moveOnAfter,
  now,
  run,
  scope,
  shield,
  sleep,
  sleepUntil,
  spawn,
  timeout,
  until,
  type Coroutine,
  type DeadlineScope,
  type Task
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { requireTask } from '../lib/task/ambient.js'
import { timersOf } from '../lib/time/timers.js'
import { caught, deferred, onEveryKernel } from './support.js'

/** When the earliest deadline of this runtime falls due; Infinity when there is none. */
const earliest = (): number => timersOf(requireTask('earliest').scheduler).next

/** Runs on a virtual clock, which `advance` moves. */
const virtually = async <T>(body: (kernel: MemoryKernel) => Coroutine<T>): Promise<T> => {
  const kernel = new MemoryKernel()
  return run(() => body(kernel), { kernel })
}

onEveryKernel('timeout', (kernel) => {
  it('is a TimeoutError only if this very deadline fired: an inner cancellation, or an outer one, is itself', async () => {
    await kernel.run(function* () {
      expect(
        yield* timeout(1e6, function* (tasks) {
          tasks.cancel('own')
          yield* sleep(1e6)
        })
      ).toBeUndefined()
      const seen: string[] = []
      yield* scope(function* (outer) {
        try {
          yield* timeout(1e6, function* () {
            outer.cancel('outside')
            yield* sleep(1e6)
          })
        } catch (error) {
          seen.push((error as Error).name)
          throw error
        }
      })
      expect(seen).toEqual(['Cancelled'])
    })
  })

  it('of an inner deadline, the outer one is not the cause, and the other way round', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      yield* timeout(1e6, function* (outer) {
        const error = yield* caught(() => timeout(1, () => sleep(1e6)))
        log.push(error.message, `outer expired: ${outer.expired}`)
        // Nothing of the inner one is left: what follows goes on.
        yield* sleep(0.1)
      })
      let inner: DeadlineScope | undefined
      const error = yield* caught(() =>
        timeout(1, () =>
          timeout(1e6, function* (tasks) {
            inner = tasks
            yield* sleep(1e7)
          })
        )
      )
      log.push(error.message, `inner expired: ${inner?.expired}, cancelled: ${inner?.cancelled}`)
      expect(log).toEqual(['timed out after 1 ms', 'outer expired: false', 'timed out after 1 ms', 'inner expired: false, cancelled: true'])
    })
  })

  it('a body that completes all the same gives its value, and one that fails its error', async () => {
    await kernel.run(function* () {
      const stubbornly = function* (): Coroutine<string> {
        try {
          yield* sleep(1e6)
        } catch {
          // Goes on for a while.
        }
        return 'value'
      }
      expect(yield* timeout(1, stubbornly)).toBe('value')
      const failure = new Error('in the clean-up')
      const error = yield* caught(() =>
        timeout(1, function* () {
          try {
            yield* sleep(1e6)
          } finally {
            // eslint-disable-next-line no-unsafe-finally
            throw failure
          }
        })
      )
      expect(error).toBe(failure)
    })
  })

  it('of no time, or less, lets the body run until it has to wait', async () => {
    await kernel.run(function* () {
      for (const ms of [0, -1, -Infinity]) {
        const log: string[] = []
        const error = yield* caught(() =>
          timeout(ms, function* () {
            log.push('begun')
            yield* sleep(1e6)
          })
        )
        expect([error.name, ...log]).toEqual(['TimeoutError', 'begun'])
        expect(yield* timeout(ms, function* () {
          return 'at once'
        })).toBe('at once')
      }
    })
  })

  it('without end, or nearly, holds nothing up', async () => {
    await kernel.run(function* () {
      for (const ms of [Infinity, 2 ** 31, 2 ** 32 + 1, 2 ** 53, 1e15, Number.MAX_VALUE]) {
        expect(yield* timeout(ms, () => sleep(0.1))).toBeUndefined()
      }
      expect(earliest()).toBe(Infinity)
    })
  })

  it('leaves no deadline behind, however it ends', async () => {
    await kernel.run(function* () {
      yield* timeout(1e6, () => sleep(0.1))
      yield* caught(() =>
        timeout(1e6, function* () {
          throw new Error('body')
        })
      )
      yield* scope(function* (tasks) {
        tasks.cancel()
        yield* caught(() => timeout(1e6, () => sleep(1)))
        yield* shield(() => sleep(0.1), { timeout: 1e6 })
      })
      const task = spawn(() => timeout(1e6, () => shield(() => moveOnAfter(1e6, () => sleep(1)), { timeout: 1e6 })))
      yield* allParked()
      task.cancel()
      yield* task
      expect(earliest()).toBe(Infinity)
    })
  })

  it('moveOnAfter goes on with undefined, and only then', async () => {
    await kernel.run(function* () {
      expect(yield* moveOnAfter(1, () => sleep(1e6))).toBeUndefined()
      expect(yield* moveOnAfter(1e6, function* () {
        return 'in time'
      })).toBe('in time')
      const failed = yield* caught(() =>
        moveOnAfter(1, function* (tasks) {
          tasks.spawn(function* () {
            throw new Error('child')
          })
          yield* sleep(1e6)
        })
      )
      expect(failed.message).toContain('child')
    })
  })

  it('cuts off what an async body awaits', async () => {
    await kernel.run(async () => {
      const log: string[] = []
      const error = await timeout(1, async () => {
        try {
          await sleep(1e6)
        } finally {
          log.push('cut off')
        }
      }).then(undefined, (reason: Error) => reason)
      expect([(error as Error).name, ...log]).toEqual(['TimeoutError', 'cut off'])
    })
  })

  it('what is no time, or no body, is refused with its code', async () => {
    await kernel.run(function* () {
      const body = (): ReturnType<typeof sleep> => sleep(0)
      for (const make of [
        (ms: never) => timeout(ms, body),
        (ms: never) => moveOnAfter(ms, body),
        (ms: never) => shield(body, { timeout: ms }),
        (ms: never) => sleep(ms),
        (ms: never) => sleepUntil(ms),
        (ms: never) => interval(ms)
      ]) {
        expect(() => make(NaN as never)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
        for (const wrong of ['1', null, undefined, 1n, {}]) {
          if (wrong === undefined && make.toString().includes('shield')) continue
          expect(() => make(wrong as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
        }
      }
      for (const ms of [0, -1, -Infinity]) {
        expect(() => interval(ms)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      }
      expect(() => interval(1, { missed: 'never' as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
      expect(() => timeout(1, 5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => shield(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    })
  })
})

it('a deadline can be moved, in both directions, until it has passed', async () => {
  await virtually(function* () {
    const error = yield* caught(() =>
      timeout(10, function* (tasks) {
        expect([tasks.deadline, tasks.expired]).toEqual([10, false])
        yield* sleep(8)
        expect(tasks.reschedule(10)).toBe(true)
        expect(tasks.deadline).toBe(18)
        yield* sleep(8)
        expect(tasks.reschedule(Infinity)).toBe(true)
        yield* sleep(1000)
        expect(tasks.reschedule(5)).toBe(true)
        try {
          yield* sleep(1e6)
        } finally {
          expect([now(), tasks.expired, tasks.reschedule(1e6), tasks.deadline]).toEqual([1021, true, false, 1021])
          expect(() => tasks.reschedule(NaN)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
        }
      })
    )
    expect(error.message).toBe('timed out after 5 ms')
    let left: DeadlineScope | undefined
    yield* timeout(5, function* (tasks) {
      left = tasks
    })
    expect(left?.reschedule(5)).toBe(false)
    expect(earliest()).toBe(Infinity)
  })
})

it('an operation that has completed when its deadline passes gives its value; the next one is cut off', async () => {
  await virtually(function* (kernel) {
    const completing = function* (tasks: DeadlineScope): Coroutine<unknown[]> {
      const { promise, resolve } = deferred<string>()
      tasks.spawn(function* () {
        resolve('value')
        kernel.advance(10)
      })
      return [yield* until(promise), tasks.expired]
    }
    expect(yield* timeout(5, completing)).toEqual(['value', true])
    const log: unknown[] = []
    const error = yield* caught(() =>
      timeout(5, function* (tasks) {
        log.push(...(yield* completing(tasks)))
        yield* checkpoint()
        log.push('not reached')
      })
    )
    expect([...log, error.name]).toEqual(['value', true, 'TimeoutError'])
  })
})

onEveryKernel('shield', (kernel) => {
  it('lets its body complete; the cancellation is raised by the next operation', async () => {
    const log: string[] = []
    await kernel.run(() =>
      scope(function* (tasks) {
        tasks.cancel('why')
        log.push(yield* shield(function* () {
          yield* sleep(1)
          yield* checkpoint()
          return 'whole'
        }))
        try {
          yield* checkpoint()
        } catch (error) {
          log.push(`${(error as Cancelled).reason}`)
          throw error
        }
      })
    )
    expect(log).toEqual(['whole', 'why'])
  })

  it('holds back a cancellation that comes while it runs, from its tasks, too', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const gate = new Event()
      const task = spawn(function* () {
        yield* shield(function* (tasks) {
          tasks.spawn(function* () {
            yield* gate.wait()
            log.push('child')
          })
          yield* gate.wait()
          log.push(`body, cancelled: ${tasks.cancelled}`)
        })
        yield* checkpoint()
        log.push('not reached')
      })
      yield* allParked()
      task.cancel()
      gate.set()
      yield* caught(() => task)
    })
    expect(log.sort()).toEqual(['body, cancelled: false', 'child'])
  })

  it('in a finally does what must be done, and a clean-up in several steps goes through', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const task = spawn(function* () {
        try {
          yield* sleep(1e6)
        } finally {
          for (const step of [1, 2, 3]) {
            yield* shield(() => sleep(0.1))
            log.push(`step ${step}`)
          }
        }
      })
      yield* allParked()
      task.cancel()
      expect((yield* caught(() => task)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    })
    expect(log).toEqual(['step 1', 'step 2', 'step 3'])
  })

  it('a cancellation of its own ends with it, in a cancelled scope, too: what follows it is done', async () => {
    const log: string[] = []
    await kernel.run(() =>
      scope(function* (outer) {
        outer.cancel('outside')
        try {
          yield* sleep(1)
        } finally {
          const result = yield* shield(function* (tasks) {
            tasks.cancel('own')
            yield* sleep(1)
            return 'not reached'
          })
          log.push(`cut off: ${result}`)
        }
      })
    )
    expect(log).toEqual(['cut off: undefined'])
  })

  it('a deadline inside works in a cancelled scope', async () => {
    await kernel.run(() =>
      scope(function* (outer) {
        outer.cancel()
        yield* shield(function* () {
          expect((yield* caught(() => timeout(1, () => sleep(1e6)))).name).toBe('TimeoutError')
          expect(yield* moveOnAfter(1, () => sleep(1e6))).toBeUndefined()
        })
      })
    )
  })

  it('lets the cancellation in when its patience ends', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const task = spawn(function* () {
        yield* shield(
          function* () {
            try {
              yield* sleep(1e6)
            } catch (error) {
              log.push(`inside: ${(error as Cancelled).reason}`)
              throw error
            }
          },
          { timeout: 1 }
        )
      })
      yield* allParked()
      task.cancel('outside')
      const error = yield* caught(() => task)
      log.push(`task: ${((error.cause as Cancelled).reason as string)}`)
    })
    expect(log).toEqual(['inside: outside', 'task: outside'])
  })

  it('an error inside is thrown, in a cancelled scope, too', async () => {
    const failure = new Error('flush failed')
    await kernel.run(function* () {
      const error = yield* caught(() =>
        scope(function* (outer) {
          outer.cancel()
          yield* shield(function* () {
            yield* sleep(0.1)
            throw failure
          })
        })
      )
      expect(error).toBe(failure)
    })
  })

  it('cancelling a task twice, the second time inside its shield and its timeout, changes nothing', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const gate = new Event()
      const task: Task<void> = spawn(function* () {
        yield* timeout(1e6, () =>
          shield(function* () {
            yield* gate.wait()
            task.cancel('from inside')
            yield* sleep(1)
            log.push('shielded')
          })
        )
        log.push('left the shield')
        yield* checkpoint()
        log.push('not reached')
      })
      yield* allParked()
      task.cancel('first')
      gate.set()
      const error = yield* caught(() => task)
      expect([...log, (error.cause as Cancelled).reason]).toEqual(['shielded', 'left the shield', 'first'])
      expect(earliest()).toBe(Infinity)
    })
  })
})

it('patience is counted from the cancellation, not from the beginning, and ends with the shield', async () => {
  await virtually(function* () {
    const at: number[] = []
    const task = spawn(function* () {
      try {
        yield* shield(() => sleep(1e6), { timeout: 10 })
      } finally {
        at.push(now())
      }
    })
    yield* sleep(100)
    task.cancel()
    yield* caught(() => task)
    expect(at).toEqual([110])
    const quick = spawn(() => shield(() => sleep(20), { timeout: 50 }))
    yield* sleep(10)
    quick.cancel()
    yield* quick
    expect([now(), earliest()]).toEqual([130, Infinity])
  })
})

it('a shield whose patience ends at the moment at which its body completes: the one that was first counts', async () => {
  await virtually(function* () {
    const log: string[] = []
    const shielded = function* (patience: number, until: number): Coroutine<void> {
      const body = function* (): Coroutine<string> {
        yield* sleepUntil(until)
        return 'whole'
      }
      log.push(yield* shield(body, { timeout: patience }))
      yield* checkpoint()
      log.push('not reached')
    }
    const whole = spawn(shielded, 7, 10)
    yield* sleepUntil(3)
    whole.cancel()
    expect((yield* caught(() => whole)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    expect([...log, now(), earliest()]).toEqual(['whole', 10, Infinity])

    const cutOff = spawn(shielded, 10, 20)
    cutOff.cancel()
    expect((yield* caught(() => cutOff)).code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    expect([...log, now(), earliest()]).toEqual(['whole', 20, Infinity])
  })
})

it('ticks are on their grid however long the work in between takes', async () => {
  await virtually(function* (kernel) {
    const at: number[] = []
    const ticks = interval(10)
    for (let i = 0; i < 5; i++) {
      expect(yield* ticks.tick()).toBe(1)
      at.push(now())
      kernel.advance(7)
    }
    expect(at).toEqual([10, 20, 30, 40, 50])
  })
})

it('ticks that were missed are skipped and counted, made up for, or move the grid', async () => {
  await virtually(function* (kernel) {
    const seen: Record<string, [number, number][]> = {}
    for (const missed of ['skip', 'burst', 'delay'] as const) {
      const begun = now()
      const ticks = interval(10, { missed })
      const list: [number, number][] = (seen[missed] = [])
      for (let i = 0; i < 4; i++) {
        const passed = yield* ticks.tick()
        list.push([now() - begun, passed])
        if (i === 0) kernel.advance(25)
      }
    }
    expect(seen).toEqual({
      skip: [[10, 1], [35, 2], [40, 1], [50, 1]],
      burst: [[10, 1], [35, 1], [35, 1], [40, 1]],
      delay: [[10, 1], [35, 1], [45, 1], [55, 1]]
    })
  })
})

it('a wait for a tick that is cancelled takes none, and of several who wait each has one of its own', async () => {
  await virtually(function* () {
    const ticks = interval(10)
    expect(yield* moveOnAfter(5, () => ticks.tick())).toBeUndefined()
    expect([yield* ticks.tick(), now()]).toEqual([1, 10])
    const two = [0, 1].map(() =>
      spawn(function* () {
        return [yield* ticks.tick(), now()]
      })
    )
    expect([yield* two[0] as Task<number[]>, yield* two[1] as Task<number[]>]).toEqual([[1, 20], [1, 30]])
  })
})

it('reset begins again, for those who wait already, too', async () => {
  await virtually(function* () {
    const ticks = interval(10)
    const waiting = spawn(function* () {
      return [yield* ticks.tick(), now()]
    })
    yield* sleep(6)
    ticks.reset()
    expect(yield* waiting).toEqual([1, 16])
  })
})

onEveryKernel('times', (kernel) => {
  it('that have passed let the others run once, and none is early', async () => {
    await kernel.run(function* () {
      for (const when of [now() - 1000, 0, -1, -1e15, -Number.MAX_VALUE, -Infinity]) {
        const log: string[] = []
        spawn(function* () {
          log.push('other')
        })
        yield* sleepUntil(when)
        expect(log).toEqual(['other'])
      }
      for (let i = 1; i <= 20; i++) {
        const when = now() + i / 10
        yield* sleepUntil(when)
        expect(now()).toBeGreaterThanOrEqual(when)
      }
    })
  })

  it('that are far away are waited for, and the wait can be cancelled', async () => {
    await kernel.run(() =>
      scope(function* (tasks) {
        const far = [2 ** 31 - 1, 2 ** 31, 2 ** 32, 1e15, Number.MAX_VALUE, Infinity]
        const sleepers = far.flatMap((ms) => [tasks.spawn(() => sleep(ms)), tasks.spawn(() => sleepUntil(ms))])
        yield* sleep(kernel.name === 'native' ? 3 : 0)
        yield* checkpoint()
        expect(sleepers.every(({ state }) => state === 'parked')).toBe(true)
        tasks.cancel()
      })
    )
  })
})
