/** Scopes: who waits for whom, what an error does, and what cancellation reaches. */
import { expect, it } from 'vitest'
import {
  all,
  allSettled,
  any,
  Cancelled,
  checkpoint,
  moveOnAfter,
  now,
  race,
  run,
  scope,
  ScopeError,
  sleep,
  sleepUntil,
  spawn,
  timeout,
  TimeoutError,
  until,
  type Coroutine,
  type Op,
  type Scope,
  type Task
} from 'coreactor'
import { deferred, onEveryKernel, thrownBy } from './support.js'

onEveryKernel('scopes', (kernel) => {
  it('a scope waits for all of its children', async () => {
    const ended: string[] = []
    await kernel.run(function* () {
      const result = yield* scope(function* (tasks) {
        const begun = now()
        for (const ms of [3, 1, 2]) {
          tasks.spawn(function* () {
            yield* sleepUntil(begun + ms)
            ended.push(`child ${ms}`)
          })
        }
        return 'body'
      })
      ended.push(result)
    })
    expect(ended).toEqual(['child 1', 'child 2', 'child 3', 'body'])
  })

  it('the first child error cancels the siblings and the body, waits for all, then throws', async () => {
    const cleaned: string[] = []
    const failure = new Error('boom')
    const error = await thrownBy(() =>
      kernel.run(function* () {
        yield* scope(function* (tasks) {
          tasks.spawn(function* () {
            yield* sleep(1)
            throw failure
          })
          tasks.spawn(function* () {
            try {
              yield* sleep(1e6)
            } finally {
              cleaned.push('sibling')
            }
          })
          try {
            yield* sleep(1e6)
          } finally {
            cleaned.push('body')
          }
        })
      })
    )
    expect(error).toBeInstanceOf(ScopeError)
    expect((error as ScopeError).errors).toEqual([failure])
    expect(cleaned.sort()).toEqual(['body', 'sibling'])
  })

  it('all errors are kept, and a Cancelled is never among them', async () => {
    const error = await thrownBy(() =>
      kernel.run(() =>
        scope(function* (tasks) {
          tasks.spawn(function* () {
            yield* sleep(1)
            throw new Error('one')
          })
          tasks.spawn(function* () {
            try {
              yield* sleep(1e6)
            } finally {
              // eslint-disable-next-line no-unsafe-finally
              throw new Error('two')
            }
          })
          tasks.spawn(() => sleep(1e6))
          yield* sleep(1e6)
        })
      )
    )
    expect((error as ScopeError).errors.map((each: Error) => each.message)).toEqual(['one', 'two'])
  })

  it('an error of the body alone is thrown as it is, once the children have been cancelled and have ended', async () => {
    let childEnded = false
    const failure = new Error('body')
    const error = await thrownBy(() =>
      kernel.run(() =>
        scope(function* (tasks) {
          tasks.spawn(function* () {
            try {
              yield* sleep(1e6)
            } finally {
              childEnded = true
            }
          })
          yield* checkpoint()
          throw failure
        })
      )
    )
    expect(error).toBe(failure)
    expect(childEnded).toBe(true)
  })

  it('a cancelled scope absorbs its own cancellation, and what follows goes on', async () => {
    const result = await kernel.run(function* () {
      const cut = yield* scope(function* (tasks) {
        tasks.cancel('done')
        yield* sleep(1)
        return 'not reached'
      })
      yield* sleep(1)
      return [cut, 'after']
    })
    expect(result).toEqual([undefined, 'after'])
  })

  it('a body that completes although its scope was cancelled gives its value', async () => {
    const result = await kernel.run(() =>
      scope(function* (tasks) {
        tasks.cancel()
        return 'value'
      })
    )
    expect(result).toBe('value')
  })

  it('cancellation is level-triggered: every operation throws until the scope is left', async () => {
    const thrown: unknown[] = []
    await kernel.run(() =>
      scope(function* (tasks) {
        tasks.cancel('why')
        for (let i = 0; i < 3; i++) {
          try {
            yield* i === 1 ? checkpoint() : sleep(1)
          } catch (error) {
            thrown.push(error)
          }
        }
      })
    )
    expect(thrown).toHaveLength(3)
    expect(thrown.every((error) => error instanceof Cancelled && error.reason === 'why')).toBe(true)
  })

  it('a finally that waits gets Cancelled again, not a hang', async () => {
    let second: unknown
    await kernel.run(() =>
      scope(function* (tasks) {
        tasks.spawn(function* () {
          try {
            yield* sleep(1e6)
          } finally {
            try {
              yield* sleep(1e6)
            } catch (error) {
              second = error
            }
          }
        })
        yield* checkpoint()
        tasks.cancel()
      })
    )
    expect(second).toBeInstanceOf(Cancelled)
  })

  it("Cancelled has the coroutine's stack, from the operation up to the body", async () => {
    let stack = ''
    await kernel.run(() =>
      scope(function* (tasks) {
        function* deepInside(): Coroutine<void> {
          yield* sleep(1e6)
        }
        tasks.spawn(function* theBody() {
          try {
            yield* deepInside()
          } catch (error) {
            stack = (error as Error).stack ?? ''
            throw error
          }
        })
        yield* checkpoint()
        tasks.cancel()
      })
    )
    expect(stack).toMatch(/deepInside[\s\S]*theBody/)
  })

  it('cancelling a task ends it and what it started, and nothing else', async () => {
    const ended: string[] = []
    const noted = function* (name: string, ms: number): Coroutine<void> {
      try {
        yield* sleep(ms)
        ended.push(`${name} slept`)
      } catch (error) {
        ended.push(`${name} cancelled`)
        throw error
      }
    }
    await kernel.run(function* () {
      const victim = spawn(function* () {
        yield* scope(function* (tasks) {
          tasks.spawn(noted, 'grandchild', 1e6)
          yield* noted('victim', 1e6)
        })
      })
      spawn(noted, 'sibling', 2)
      yield* sleep(1)
      victim.cancel('why')
      victim.cancel('twice')
      const error = yield* until(thrownBy(() => victim))
      expect([error.code, (error.cause as Cancelled).reason]).toEqual(['ERR_COREACTOR_TASK_CANCELLED', 'why'])
    })
    expect(ended.sort()).toEqual(['grandchild cancelled', 'sibling slept', 'victim cancelled'])
  })

  it('a task that was cancelled before it began runs up to its first operation', async () => {
    const ran: string[] = []
    await kernel.run(function* () {
      const task = spawn(function* () {
        ran.push('begun')
        yield* checkpoint()
        ran.push('gone on')
      })
      task.cancel()
    })
    expect(ran).toEqual(['begun'])
  })

  it('an operation that completed before the cancellation keeps its value; the next one throws', async () => {
    const { promise, resolve } = deferred<string>()
    const seen: unknown[] = []
    const states: string[] = []
    await kernel.run(function* () {
      const task: Task<void> = spawn(function* () {
        seen.push(yield* until(promise))
        seen.push(yield* until(Promise.resolve('lost')))
      })
      yield* checkpoint()
      // Subscribed after the task: when this runs, the task has been woken and has not run.
      void promise.then(() => {
        states.push(task.state)
        task.cancel()
      })
      resolve('kept')
      seen.push((yield* until(thrownBy(() => task))).code)
    })
    expect(states).toEqual(['ready'])
    expect(seen).toEqual(['kept', 'ERR_COREACTOR_TASK_CANCELLED'])
  })

  it('only the scope that caused a cancellation absorbs it', async () => {
    const left: string[] = []
    await kernel.run(function* () {
      yield* scope(function* (outer) {
        try {
          yield* scope(function* () {
            outer.cancel('outer')
            yield* sleep(1)
          })
        } finally {
          left.push('inner')
        }
        left.push('not reached')
      })
      left.push('outer')
    })
    expect(left).toEqual(['inner', 'outer'])
  })

  it('a Cancelled that no scope has caused is not swallowed', async () => {
    const stray = new Cancelled('stray')
    const error = await thrownBy(() =>
      kernel.run(() =>
        scope(function* () {
          throw stray
        })
      )
    )
    expect(error).toBe(stray)
  })

  it('an async body is cancelled at its operations', async () => {
    const seen: string[] = []
    await kernel.run(async () => {
      await scope(async (tasks) => {
        tasks.spawn(async () => {
          try {
            await sleep(1e6)
          } catch (error) {
            seen.push((error as Error).name)
            throw error
          }
        })
        await checkpoint()
        tasks.cancel()
        try {
          await sleep(1e6)
        } catch (error) {
          seen.push((error as Error).name)
          throw error
        }
      })
      await sleep(1)
      seen.push('after')
    })
    expect(seen).toEqual(['Cancelled', 'Cancelled', 'after'])
  })

  it('a scope that has ended takes no more tasks', async () => {
    await kernel.run(function* () {
      let ended: Scope | undefined
      yield* scope(function* (tasks) {
        ended = tasks
      })
      expect(() => ended?.spawn(function* () {})).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_SCOPE_ENDED' }))
    })
  })

  it('an abort listener may cancel tasks of the very tree that is being cancelled', async () => {
    const ended: string[] = []
    await kernel.run(() =>
      scope(function* (tasks) {
        const sleeper = function* (name: string): Coroutine<void> {
          try {
            yield* scope(function* (inner) {
              inner.signal.addEventListener('abort', () => {
                for (const task of all) task.cancel('listener')
              })
              yield* sleep(1e6)
            })
          } finally {
            ended.push(name)
          }
        }
        const all = ['a', 'b', 'c'].map((name) => tasks.spawn(sleeper, name))
        yield* checkpoint()
        tasks.cancel('outside')
      })
    )
    expect(ended.sort()).toEqual(['a', 'b', 'c'])
  })

  it("a scope's signal is aborted with its reason", async () => {
    const reason = await kernel.run(() =>
      scope(function* (tasks) {
        const { signal } = tasks
        expect(signal.aborted).toBe(false)
        tasks.cancel('why')
        return signal.reason as unknown
      })
    )
    expect(reason).toBe('why')
  })
})

onEveryKernel('timeouts', (kernel) => {
  it('a timeout cuts its body off with TimeoutError, which has the stack of who set it', async () => {
    const error = await thrownBy(() =>
      kernel.run(function* whoSetIt() {
        yield* timeout(2, () => sleep(1e6))
      })
    )
    expect(error).toBeInstanceOf(TimeoutError)
    expect(error.code).toBe('ERR_COREACTOR_TIMEOUT')
    expect(error.stack).toContain('whoSetIt')
  })

  it('a body that ends in time gives its value and leaves no deadline', async () => {
    const value = await kernel.run(() =>
      timeout(1e9, function* () {
        yield* sleep(1)
        return 'in time'
      })
    )
    expect(value).toBe('in time')
  })

  it('nested timeouts each answer for themselves', async () => {
    const results = await kernel.run(function* () {
      const inner = yield* until(
        thrownBy(() => timeout(1e6, () => timeout(1, () => sleep(1e6))))
      )
      const outer = yield* until(thrownBy(() => timeout(1, () => timeout(1e6, () => sleep(1e6)))))
      return [inner.message, outer.message]
    })
    expect(results).toEqual(['timed out after 1 ms', 'timed out after 1 ms'])
  })

  it('a timeout inside a scope that is cancelled from outside is Cancelled, not TimeoutError', async () => {
    const error = await kernel.run(function* () {
      const task = spawn(() => timeout(1e6, () => sleep(1e6)))
      yield* sleep(1)
      task.cancel('outside')
      return yield* until(thrownBy(() => task))
    })
    expect((error.cause as Cancelled).reason).toBe('outside')
  })

  it('a timeout ends only when its tasks really have', async () => {
    const order: string[] = []
    const { promise, resolve } = deferred()
    await kernel.run(function* () {
      try {
        yield* timeout(1, async () => {
          try {
            await sleep(1e6)
          } finally {
            order.push('cancelled')
            setImmediate(() => {
              order.push('cleaned up')
              resolve()
            })
            await promise
          }
        })
      } catch {
        order.push('timed out')
      }
    })
    expect(order).toEqual(['cancelled', 'cleaned up', 'timed out'])
  })

  it('hazard 34: a completion and a deadline in one turn have exactly one outcome, the completion', async () => {
    const outcome = await kernel.run(function* () {
      const { promise, resolve } = deferred<string>()
      const waiting = spawn(() => timeout(0, () => until(promise)))
      // Two turns: the deadline has been set, has passed by the next turn, and the promise settles before that begins.
      yield* checkpoint()
      resolve('completed')
      return yield* until(thrownOr(waiting))
    })
    expect(outcome).toBe('completed')
  })
})

onEveryKernel('combinators', (kernel) => {
  const combinators = { all, allSettled, any, race } as Record<string, (ops: Op<void>[]) => Op<unknown>>

  it.each(Object.keys(combinators))('%s that is cancelled from outside throws Cancelled, and nothing else', async (name) => {
    const combine = combinators[name] as (ops: Op<void>[]) => Op<unknown>
    let thrown: unknown
    await kernel.run(() =>
      moveOnAfter(1, function* () {
        try {
          yield* combine([sleep(1e6), sleep(1e6)])
        } catch (error) {
          thrown = error
          throw error
        }
      })
    )
    expect(thrown).toBeInstanceOf(Cancelled)
  })
})

const thrownOr = async <T>(wanted: PromiseLike<T>): Promise<T | string> => {
  try {
    return await wanted
  } catch (error) {
    return (error as Error).name
  }
}

it("run's signal cancels everything, and run rejects with its reason", async () => {
  const abort = new AbortController()
  const reason = new Error('stop')
  let cleaned = false
  const running = run(
    function* () {
      spawn(function* () {
        try {
          yield* sleep(1e6)
        } finally {
          cleaned = true
        }
      })
      abort.abort(reason)
      yield* sleep(1e6)
    },
    { signal: abort.signal }
  )
  expect(await thrownBy(() => running)).toBe(reason)
  expect(cleaned).toBe(true)
})
