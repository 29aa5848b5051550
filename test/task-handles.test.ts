/** The handle of a task: what it tells, how one waits for its end, how it starts and how far it is cancelled. */
import { setImmediate as nextIteration } from 'node:timers/promises'
import { expect, expectTypeOf, it } from 'vitest'
import {
  allTasks,
  Cancelled,
  checkpoint,
  currentTask,
  Event,
  op,
  scope,
  ScopeError,
  shield,
  sleep,
  spawn,
  spawnBackground,
  start,
  TaskLocal,
  until,
  type Coroutine,
  type Task
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { caught, deferred, onEveryKernel, thrownBy } from './support.js'

/** A body that never ends by itself, and notes how it does. */
const noting = (log: string[], name: string) =>
  function* (): Coroutine<void> {
    try {
      yield* sleep(Infinity)
    } catch (error) {
      log.push(`${name}: ${(error as Cancelled).reason}`)
      throw error
    }
  }

onEveryKernel('a task', (kernel) => {
  it('tells its name, id and label; the name is that of its body, or what it is set to', async () => {
    await kernel.run(function* main() {
      const named = spawn(function* worker() {})
      const nameless = spawn(() => sleep(0))
      expect([named.name, named.label]).toEqual(['worker', `worker#${named.id}`])
      expect(nameless.name).toBe('task')
      expect(nameless.id).toBe(named.id + 1)
      named.name = 'renamed'
      expect(named.label).toBe(`renamed#${named.id}`)
      expect(currentTask()?.name).toBe('main')
    })
  })

  it('tells its state, its outcome and its parent', async () => {
    await kernel.run(function* main() {
      const me = currentTask() as Task
      const gate = new Event()
      const returned = spawn(function* () {
        yield* gate.wait()
        return spawn(function* () {})
      })
      expect([returned.state, returned.outcome]).toEqual(['ready', null])
      yield* checkpoint()
      expect([returned.state, returned.outcome]).toEqual(['parked', null])
      gate.set()
      // In the same scope: a sibling.
      expect((yield* returned).parent).toBe(me)
      expect([returned.state, returned.outcome]).toEqual(['ended', 'returned'])
      expect(returned.parent).toBe(me)
      const cancelled = spawn(noting([], 'a'))
      cancelled.cancel()
      yield* caught(() => cancelled)
      expect(cancelled.outcome).toBe('cancelled')
      let failed: Task | undefined
      yield* caught(() =>
        scope(function* (tasks) {
          failed = tasks.spawn(function* () {
            throw new Error('boom')
          })
        })
      )
      expect(failed?.outcome).toBe('failed')
    })
  })

  it('gives its result when it has ended, or the error with which it did', async () => {
    await kernel.run(function* () {
      const task = spawn(function* () {
        yield* checkpoint()
        return 5
      })
      expectTypeOf(task.result).returns.toEqualTypeOf<number>()
      expect(() => task.result()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_TASK_NOT_ENDED' }))
      yield* task
      expect(task.result()).toBe(5)
      const cancelled = spawn(noting([], 'a'))
      yield* checkpoint()
      cancelled.cancel('why')
      yield* caught(() => cancelled)
      const thrown = yield* caught(function* () {
        cancelled.result()
      })
      expect([thrown.name, (thrown.cause as Cancelled).reason]).toEqual(['TaskCancelledError', 'why'])
      expect(thrown.message).toContain(cancelled.label)
    })
  })

  it('is joined by yield* and by await, before and after its end, with its error each time', async () => {
    const failure = new Error('boom')
    await kernel.run(function* () {
      const error = yield* caught(() =>
        scope(function* (tasks) {
          const failing = tasks.spawn(function* () {
            throw failure
          })
          // Outside the scope, which the failure cancels.
          const joined = yield* shield(() => until(thrownBy(() => failing)))
          const again = yield* shield(() => caught(() => failing))
          expect([joined, again]).toEqual([failure, failure])
        })
      )
      expect(error).toBeInstanceOf(ScopeError)
    })
  })

  it('cancelling a join leaves the joined task alone', async () => {
    await kernel.run(function* () {
      const gate = new Event()
      const task = spawn(function* () {
        yield* gate.wait()
        return 'unharmed'
      })
      const joining = spawn(function* () {
        yield* task
      })
      yield* allParked()
      joining.cancel()
      yield* caught(() => joining)
      gate.set()
      expect(yield* task).toBe('unharmed')
    })
  })

  it('waiting for itself is an error, and joining another way round is not', async () => {
    await kernel.run(function* () {
      expect((yield* caught(() => currentTask() as Task)).code).toBe('ERR_COREACTOR_SELF_JOIN')
    })
  })

  it('many may wait for one end, and those that gave up are not told', async () => {
    await kernel.run(function* () {
      const gate = new Event()
      const task = spawn(() => gate.wait())
      const joining = Array.from({ length: 5 }, (_, i) =>
        spawn(function* () {
          yield* task
          return i
        })
      )
      yield* allParked()
      joining[1]?.cancel()
      joining[3]?.cancel()
      gate.set()
      yield* task
      yield* allParked()
      expect(joining.map(({ outcome }) => outcome)).toEqual(['returned', 'cancelled', 'returned', 'cancelled', 'returned'])
    })
  })
})

onEveryKernel('cancelling a task', (kernel) => {
  it('reaches what an async task awaits, however deep, and what it awaits at the same time', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const inner = async (): Promise<void> => {
        await nextIteration()
        await Promise.all([op(noting(log, 'one')), op(noting(log, 'two')), scope(async () => op(noting(log, 'in a scope')))])
      }
      const task = spawn(async () => inner())
      const sibling = spawn(async () => {
        await sleep(3)
        return 'unharmed'
      })
      yield* until(nextIteration())
      yield* until(nextIteration())
      yield* allParked()
      task.cancel('why')
      const error = yield* caught(() => task)
      expect((error.cause as Cancelled).reason).toBe('why')
      yield* allParked()
      expect(log.sort()).toEqual(['in a scope: why', 'one: why', 'two: why'])
      expect(yield* sibling).toBe('unharmed')
    })
  })

  it('makes every later operation of an async task throw, until it has ended', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const task = spawn(async () => {
        for (let i = 0; i < 3; i++) await sleep(1e6).then(undefined, (error: Error) => log.push(error.name))
        await shield(() => sleep(1))
        log.push('shielded')
      })
      yield* allParked()
      task.cancel()
      yield* task
      expect(log).toEqual(['Cancelled', 'Cancelled', 'Cancelled', 'shielded'])
    })
  })

  it('leaves nothing that it starts in its clean-up without a scope that waits for it', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      yield* scope(function* (tasks) {
        const task = tasks.spawn(function* () {
          try {
            yield* sleep(Infinity)
          } finally {
            spawn(function* () {
              yield* sleep(2)
              log.push('child')
            })
          }
        })
        yield* allParked()
        task.cancel()
      })
      log.push('scope')
    })
    expect(log).toEqual(['child', 'scope'])
  })

  it('nor loses the error of it', async () => {
    await kernel.run(function* () {
      const error = yield* caught(() =>
        scope(function* (tasks) {
          const task = tasks.spawn(function* () {
            try {
              yield* sleep(Infinity)
            } finally {
              spawn(function* () {
                throw new Error('child')
              })
            }
          })
          yield* allParked()
          task.cancel()
          yield* sleep(1e6)
        })
      )
      expect((error as ScopeError).errors.map((each: Error) => each.message)).toEqual(['child'])
    })
  })

  it('from inside ends it at its next operation', async () => {
    await kernel.run(function* () {
      for (const body of [
        function* (): Coroutine<void> {
          currentTask()?.cancel('myself')
          yield* sleep(1e6)
        },
        async () => {
          await checkpoint()
          currentTask()?.cancel('myself')
          await sleep(1e6)
        }
      ]) {
        const task = spawn(body)
        expect(((yield* caught(() => task)).cause as Cancelled).reason).toBe('myself')
      }
    })
  })

  it('that is about to complete lets it complete; one that has ended is past it', async () => {
    await kernel.run(function* () {
      const task = spawn(function* () {
        yield* checkpoint()
        return 'value'
      })
      expect(yield* task).toBe('value')
      task.cancel()
      expect([task.outcome, task.result()]).toEqual(['returned', 'value'])
    })
  })
})

onEveryKernel('start', (kernel) => {
  it('completes with what the task reports, which then goes on by itself', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const gate = new Event()
      const value = yield* start(function* server(started: (port: number) => void, name: string) {
        yield* sleep(1)
        started(7000)
        yield* gate.wait()
        log.push(`${name} has ended`)
      }, 'server')
      expectTypeOf(value).toEqualTypeOf<number>()
      expect([value, ...log]).toEqual([7000])
      gate.set()
      yield* allParked()
      expect(log).toEqual(['server has ended'])
    })
  })

  it('throws the error of a task that fails before its report, and its scope hears nothing of it', async () => {
    await kernel.run(function* () {
      const failure = new Error('port in use')
      const sibling = spawn(() => sleep(2))
      const error = yield* caught(() =>
        start(function* () {
          yield* checkpoint()
          throw failure
        })
      )
      expect(error).toBe(failure)
      yield* sibling
      expect(sibling.outcome).toBe('returned')
    })
  })

  it('throws if the task ends without a report, and if it was cancelled', async () => {
    await kernel.run(function* () {
      expect((yield* caught(() => start(function* () {}))).code).toBe('ERR_COREACTOR_NOT_STARTED')
      const error = yield* caught(() =>
        start(function* () {
          currentTask()?.cancel()
          yield* checkpoint()
        })
      )
      expect(error.code).toBe('ERR_COREACTOR_TASK_CANCELLED')
    })
  })

  it('a second report is an error in the task, which its scope hears of', async () => {
    const error = await thrownBy(() =>
      kernel.run(function* () {
        yield* start(function* (started: (value: number) => void) {
          started(1)
          started(2)
        })
      })
    )
    expect((error as ScopeError).errors[0]).toMatchObject({ code: 'ERR_COREACTOR_STARTED_TWICE' })
  })

  it('after its report the error of the task cancels the scope', async () => {
    await kernel.run(function* () {
      const error = yield* caught(() =>
        scope(function* (tasks) {
          yield* tasks.start(function* (started: (value: string) => void) {
            started('ready')
            yield* checkpoint()
            throw new Error('later')
          })
          yield* sleep(1e6)
        })
      )
      expect((error as ScopeError).errors.map((each: Error) => each.message)).toEqual(['later'])
    })
  })

  it('cancelled before the report it cancels the task, coroutine or async, and waits for its end', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      for (const body of [
        function* (): Coroutine<void> {
          try {
            yield* sleep(Infinity)
          } finally {
            yield* shield(() => sleep(1))
            log.push('coroutine has ended')
          }
        },
        async () => {
          try {
            await sleep(Infinity)
          } finally {
            await shield(() => sleep(1))
            log.push('async has ended')
          }
        }
      ]) {
        const starting = spawn(() => start(body))
        yield* allParked()
        starting.cancel('given up')
        expect(((yield* caught(() => starting)).cause as Cancelled).reason).toBe('given up')
        log.push('thrown')
      }
    })
    expect(log).toEqual(['coroutine has ended', 'thrown', 'async has ended', 'thrown'])
  })

  it('an error in the clean-up of a task whose start was cancelled is thrown there, once', async () => {
    await kernel.run(function* () {
      for (const reports of [false, true]) {
        const failing = function* (started: (value: number) => void): Coroutine<void> {
          try {
            yield* sleep(Infinity)
          } finally {
            if (reports) started(1)
            // eslint-disable-next-line no-unsafe-finally
            throw new Error('clean-up')
          }
        }
        const error = yield* caught(() =>
          scope(function* (tasks) {
            tasks.spawn(function* () {
              yield* allParked()
              tasks.cancel()
            })
            yield* tasks.start(failing)
          })
        )
        const errors = error instanceof ScopeError ? (error.errors as Error[]) : [error]
        expect(errors.map(({ message }) => message)).toEqual(['clean-up'])
      }
    })
  })
})

onEveryKernel('a background task', (kernel) => {
  it('outlives the scope in which it was spawned, and is cancelled when main and all others have ended', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      yield* scope(function* () {
        spawnBackground(noting(log, 'background'))
      })
      log.push('scope has ended')
      spawn(function* () {
        yield* sleep(2)
        log.push('child of main has ended')
      })
      log.push('main has ended')
    })
    expect(log).toEqual(['scope has ended', 'main has ended', 'child of main has ended', 'background: main has ended'])
  })

  it('is not cancelled with the task that spawned it, even if that was cancelled before', async () => {
    const log: string[] = []
    await kernel.run(function* () {
      const task = spawn(function* () {
        try {
          yield* sleep(Infinity)
        } finally {
          spawnBackground(noting(log, 'background'))
        }
      })
      yield* allParked()
      task.cancel('task')
      yield* caught(() => task)
      yield* allParked()
      log.push('still there')
    })
    expect(log).toEqual(['still there', 'background: main has ended'])
  })

  it('is waited for by run when its clean-up takes a while', async () => {
    let cleaned = false
    await kernel.run(function* () {
      spawnBackground(function* () {
        try {
          yield* sleep(Infinity)
        } finally {
          yield* shield(() => sleep(2))
          cleaned = true
        }
      })
      yield* allParked()
    })
    expect(cleaned).toBe(true)
  })

  it('that fails cancels the run, which rejects with its error', async () => {
    const log: string[] = []
    const error = await thrownBy(() =>
      kernel.run(function* () {
        spawnBackground(function* refresh() {
          yield* checkpoint()
          throw new Error('boom')
        })
        yield* noting(log, 'main')()
      })
    )
    expect((error as ScopeError).errors.map((each: Error) => each.message)).toEqual(['boom'])
    expect((error as ScopeError).failures[0]?.task).toMatch(/^refresh#\d+$/)
    expect(log).toEqual(['main: Error: boom'])
  })
})

onEveryKernel('the current task', (kernel) => {
  it('is known in a coroutine, in what it calls, and in an async body after awaits', async () => {
    await kernel.run(function* () {
      const own = function* (): Coroutine<boolean> {
        const me = currentTask()
        yield* checkpoint()
        yield* scope(function* () {
          yield* sleep(0.1)
          expect(currentTask()).toBe(me)
        })
        return currentTask() === me
      }
      const one: Task<boolean> = spawn(own)
      const two: Task<boolean> = spawn(async () => {
        const before = currentTask()
        await nextIteration()
        await checkpoint()
        return before === currentTask() && before === two
      })
      expect([yield* one, yield* two]).toEqual([true, true])
    })
    expect(currentTask()).toBeNull()
  })

  it('is nobody in a callback of the host', async () => {
    const { promise, resolve } = deferred<unknown>()
    await kernel.run(function* () {
      setImmediate(() => resolve(currentTask()))
      yield* until(promise)
    })
    expect(await promise).toBeNull()
  })
})

onEveryKernel('a task local', (kernel) => {
  const local = new TaskLocal('request', 'none')

  it('is what it was when the task was spawned, and what the task sets is seen by it and what it spawns later', async () => {
    await kernel.run(function* () {
      const seen: string[] = []
      const child = function* (name: string): Coroutine<void> {
        yield* checkpoint()
        seen.push(`${name}: ${local.get()}`)
      }
      const before = spawn(child, 'before')
      local.set('mine')
      const after = spawn(child, 'after')
      const setting = spawn(function* () {
        local.set('theirs')
        yield* spawn(child, 'grandchild')
      })
      yield* before
      yield* after
      yield* setting
      expect(seen.sort()).toEqual(['after: mine', 'before: none', 'grandchild: theirs'])
      expect(local.get()).toBe('mine')
    })
    expect(local.get()).toBe('none')
  })

  it('run restores it, however its body ends, and leaves the others alone', async () => {
    await kernel.run(function* () {
      const other = new TaskLocal('other', 0)
      expect(
        yield* local.run('inside', function* () {
          other.set(1)
          yield* checkpoint()
          return local.get()
        })
      ).toBe('inside')
      expect([local.get(), other.get()]).toEqual(['none', 1])
      yield* caught(() =>
        local.run('failing', function* () {
          yield* checkpoint()
          throw new Error('boom')
        })
      )
      expect(local.get()).toBe('none')
      local.set('set')
      yield* scope(function* (tasks) {
        yield* local.run('cancelled', function* () {
          tasks.cancel()
          yield* checkpoint()
        })
      })
      expect(local.get()).toBe('set')
    })
  })

  it('is carried through the awaits of an async task', async () => {
    await kernel.run(async () => {
      local.set('async')
      await nextIteration()
      expect(local.get()).toBe('async')
      expect(await local.run('inside', async () => (await checkpoint(), local.get()))).toBe('inside')
      expect(local.get()).toBe('async')
    })
  })

  it('cannot be set outside tasks', () => {
    expect(() => local.set('x')).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_TASK' }))
  })
})

onEveryKernel('allTasks', (kernel) => {
  it('gives every task that has not ended, in whatever scope, in the order in which they were spawned', async () => {
    await kernel.run(function* main(outer) {
      const first = spawn(function* first() {
        yield* scope(function* (inner) {
          inner.spawn(function* nested() {
            yield* sleep(Infinity)
          })
        })
      })
      spawn(function* quick() {})
      spawn(function* last() {
        yield* sleep(Infinity)
      })
      const names = (): string[] => allTasks().map(({ name }) => name)
      expect(names()).toEqual(['main', 'first', 'quick', 'last'])
      yield* allParked()
      expect(names()).toEqual(['main', 'first', 'last', 'nested'])
      expect(allTasks()[3]?.parent).toBe(first)
      outer.cancel()
    })
    expect(allTasks()).toEqual([])
  })
})

it('neither of spawn, start and spawnBackground works outside tasks', () => {
  for (const begin of [spawn, start, spawnBackground] as ((body: () => Coroutine<void>) => unknown)[]) {
    expect(() => begin(function* () {})).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_TASK' }))
  }
})
