/** Tasks: how they start, step, join, fail and are told apart. */
import { expect, it } from 'vitest'
import { checkpoint, currentTask, run, sleep, spawn, until, type Coroutine, type Task } from 'coreactor'
import { deferred, onEveryKernel, thrownBy } from './support.js'

onEveryKernel('tasks', (kernel) => {
  it('a child first runs later in the turn, never inside spawn', async () => {
    const order: string[] = []
    await kernel.run(function* () {
      spawn(function* () {
        order.push('child')
      })
      order.push('parent')
      yield* checkpoint()
    })
    expect(order).toEqual(['parent', 'child'])
  })

  it('an async child does not begin inside spawn either', async () => {
    const order: string[] = []
    await kernel.run(async () => {
      spawn(async () => {
        order.push('child')
      })
      order.push('parent')
    })
    expect(order).toEqual(['parent', 'child'])
  })

  it('joining a task gives its result, before and after its end, as often as one likes', async () => {
    const results = await kernel.run(function* () {
      const task = spawn(function* (a: number, b: number) {
        yield* sleep(1)
        return a + b
      }, 2, 3)
      return [yield* task, yield* task, yield* until(Promise.resolve(task))]
    })
    expect(results).toEqual([5, 5, 5])
  })

  it('generator tasks and async tasks join each other', async () => {
    const result = await kernel.run(async () => {
      const generator: Task<string> = spawn(function* () {
        const inner = spawn(async () => {
          await sleep(1)
          return 'async'
        })
        return `generator(${yield* inner})`
      })
      return await generator
    })
    expect(result).toBe('generator(async)')
  })

  it('run resolves only when every task has ended', async () => {
    let ended = false
    await kernel.run(function* () {
      spawn(function* () {
        yield* sleep(5)
        ended = true
      })
    })
    expect(ended).toBe(true)
  })

  it('ready tasks run in the order in which they became ready, and those they wake run in the next turn', async () => {
    const order: string[] = []
    await kernel.run(function* () {
      const step = function* (name: string) {
        order.push(`${name}1`)
        yield* checkpoint()
        order.push(`${name}2`)
      }
      spawn(step, 'a')
      spawn(step, 'b')
      spawn(step, 'c')
    })
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  })

  it('an operation does nothing until it is driven, and is driven once', async () => {
    await kernel.run(function* () {
      const pause = sleep(1)
      yield* pause
      const error = yield* until(thrownBy(() => run(() => pause)))
      expect(error.code).toBe('ERR_COREACTOR_OP_REUSED')
    })
  })

  it('a bare yield throws a helpful error at once, where it was made', async () => {
    const error = await thrownBy(() =>
      // @ts-expect-error
      kernel.run(function* forgetful() {
        yield sleep(1)
      })
    )
    expect(error.code).toBe('ERR_COREACTOR_BARE_YIELD')
    expect(error.message).toMatch(/an operation with a bare "yield".*"yield\*"/)
  })

  it('a coroutine may catch the error of its bare yield and go on', async () => {
    // @ts-expect-error
    const result = await kernel.run(function* () {
      try {
        yield 42
      } catch (error) {
        yield* sleep(1)
        return (error as { code: string }).code
      }
      return 'nothing'
    })
    expect(result).toBe('ERR_COREACTOR_BARE_YIELD')
  })

  it('a task knows its name, its id and its state', async () => {
    await kernel.run(function* () {
      const task = spawn(function* worker() {
        expect(currentTask()?.name).toBe('worker')
        yield* sleep(1)
      })
      expect([task.name, task.state]).toEqual(['worker', 'ready'])
      yield* checkpoint()
      expect(task.state).toBe('parked')
      yield* task
      expect(task.state).toBe('ended')
      expect(task.id).toBeGreaterThan((currentTask() as Task).id)
    })
  })

  it('a parked task shows the stack it is parked at, and does not move', async () => {
    await kernel.run(function* () {
      function* innermost(): Coroutine<string> {
        yield* sleep(5)
        return 'whole'
      }
      const task = spawn(function* outermost() {
        return yield* innermost()
      })
      yield* checkpoint()
      expect(task.stack()).toMatch(/innermost[\s\S]*outermost/)
      expect(task.state).toBe('parked')
      expect(yield* task).toBe('whole')
      expect(task.stack()).toBeUndefined()
    })
  })

  it('waiting for oneself is an error and not a hang', async () => {
    const error = await thrownBy(() =>
      kernel.run(function* () {
        yield* currentTask() as Task
      })
    )
    expect(error.code).toBe('ERR_COREACTOR_SELF_JOIN')
  })

  it('a promise that rejects is thrown by until, with the very error', async () => {
    const failure = new Error('no')
    expect(await thrownBy(() => kernel.run(() => until(Promise.reject(failure))))).toBe(failure)
  })

  it('a cancelled wait for a promise ends, and the promise is let go', async () => {
    const { promise, resolve } = deferred<number>()
    await kernel.run(function* () {
      const waiter = spawn(function* () {
        yield* until(promise)
      })
      yield* checkpoint()
      waiter.cancel('enough')
      const error = yield* until(thrownBy(() => waiter))
      expect(error.code).toBe('ERR_COREACTOR_TASK_CANCELLED')
      resolve(1)
    })
  })

  it('hazard 11: a task that never has to wait lets the others run after 128 operations', async () => {
    let steps = 0
    let seen = -1
    await kernel.run(function* () {
      const ended = spawn(function* () {})
      yield* ended
      const busy = spawn(function* () {
        for (; seen < 0 && steps < 100_000; steps++) yield* ended
      })
      spawn(function* () {
        seen = steps
      })
      yield* busy
    })
    expect(seen).toBeGreaterThan(0)
    expect(seen).toBeLessThanOrEqual(128)
  })

  it('hazard 11: nor does an async task that awaits ready operations without end', async () => {
    let steps = 0
    let seen = -1
    await kernel.run(async () => {
      const ended = spawn(function* () {})
      await ended
      const busy = spawn(async () => {
        for (; seen < 0 && steps < 100_000; steps++) await ended
      })
      spawn(function* () {
        yield* sleep(0)
        seen = steps
      })
      await busy
    })
    expect(seen).toBeGreaterThan(0)
    expect(seen).toBeLessThan(1000)
  })

  it('hazard 60: an error in one task leaves the others of its batch running', async () => {
    const ran: number[] = []
    await kernel.run(async () => {
      const tasks = Array.from({ length: 5 }, (_, i) =>
        run(function* () {
          ran.push(i)
          if (i === 2) throw new Error('third')
          return i
        }).catch((error: Error) => error.message)
      )
      expect(await Promise.all(tasks)).toEqual([0, 1, 'third', 3, 4])
    })
    expect(ran).toEqual([0, 1, 2, 3, 4])
  })
})

it('spawn outside any task is refused', () => {
  expect(() => spawn(function* () {})).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_TASK' }))
})

it('a body that is no function, and one that returns nothing to wait for, are refused', async () => {
  expect(() => run(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect((await thrownBy(() => run((() => 5) as never))).code).toBe('ERR_COREACTOR_NOT_A_BODY')
})

it('operations can be awaited outside run', async () => {
  await sleep(1)
  expect(currentTask()).toBeNull()
})

it('a thousand generators waiting in one another give back the value through all of them', async () => {
  function* nested(depth: number): Coroutine<number> {
    if (depth === 0) {
      yield* sleep(0)
      return 0
    }
    return 1 + (yield* nested(depth - 1))
  }
  expect(await run(() => nested(1000))).toBe(1000)
})
