/** Node's AsyncLocalStorage in tasks, and how the tasks of async functions are found through it. */
import { execFile } from 'node:child_process'
import { AsyncLocalStorage } from 'node:async_hooks'
import { readFile } from 'node:fs/promises'
import { setImmediate as nextIteration, setTimeout as hostTimer } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { checkpoint, currentTask, scope, sleep, spawn, until, type Coroutine, type Task } from 'coreactor'
import { deferred, onEveryKernel } from './support.js'

const FIXTURE = fileURLToPath(new URL('fixtures/async-context.mjs', import.meta.url))

/** What is seen in a scene that is played in a process of its own. */
async function seenIn(scene: string, ...sight: string[]): Promise<unknown> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [FIXTURE, scene, ...sight])
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const nothing = [null, null, null]
const thrice = (value: string): string[] => [value, value, value]

describe.each([
  ['as Node keeps them', []],
  // What the library looks at is not public: without it, contexts are carried from the beginning.
  ['where nobody can see how Node keeps them', ['blind']]
])('stores, %s', (_, sight) => {
  it('a task begins with the store of whoever spawned it', async () => {
    expect(await seenIn('spawns in a context', ...sight)).toEqual([thrice('one'), thrice('two'), nothing, null])
  })

  it('main and what it spawns have the store in which run was called', async () => {
    expect(await seenIn('runs in a context', ...sight)).toEqual([thrice('request'), thrice('request'), thrice('other'), 'request'])
  })

  it('what a step enters is there in the next ones, and nowhere else: from the very first use', async () => {
    const seen = [[null, ...thrice('one')], [null, ...nothing], [null, ...thrice('two')], [null, ...nothing], null]
    expect(await seenIn('enters one in a step', ...sight)).toEqual(seen)
  })

  it('what a late step enters is there for it and its children, and not for those that were parked', async () => {
    const seen = await seenIn('enters one in a later step, when others are parked', ...sight)
    expect(seen).toEqual([thrice('late'), thrice('late'), 1])
  })

  it('what a task has entered is gone with it', async () => {
    expect(await seenIn('enters one and ends', ...sight)).toEqual([nothing, null])
  })

  it('a store can be replaced, and taken away', async () => {
    expect(await seenIn('enters another one later', ...sight)).toEqual(['one', 'two', null])
  })

  it('several storages do not disturb one another', async () => {
    const seen = [['first', 'second'], ['first', null], ['first', 'mine']]
    expect(await seenIn('has several storages', ...sight)).toEqual(seen)
  })

  it('timers and promises that a step has begun find the store that it had then', async () => {
    const seen = { timer: 'left', immediate: 'left', tick: 'left', promise: 'left' }
    expect(await seenIn('leaves callbacks behind', ...sight)).toEqual([seen, 'later'])
  })

  it('a foreign promise that was settled in another context leaves the own one alone', async () => {
    expect(await seenIn('waits for foreign promises', ...sight)).toEqual(['mine', 'mine'])
  })

  it('async bodies begin with the store of the spawner and keep what they enter', async () => {
    const seen = [
      [null, 'one', 'one', 'body'],
      [null, null, null, 'body'],
      ['two', 'two', 'two', 'body'],
      [null, 'three', 'three', 'body'],
      thrice('four'),
      null
    ]
    expect(await seenIn('has async bodies', ...sight)).toEqual(seen)
  })

  it('an operation that is awaited outside tasks runs in the context of the await', async () => {
    const seen = [['outer', 'outer', 'inner'], 'outer', thrice('at once'), null]
    expect(await seenIn('awaits outside tasks', ...sight)).toEqual(seen)
  })

  it('a scope is no context of its own: its body belongs to the task', async () => {
    expect(await seenIn('runs bodies in scopes', ...sight)).toEqual(['inside', 'inside'])
  })

  it('each handler of a server has its own', async () => {
    expect(await seenIn('serves', ...sight)).toEqual([null, null, 'connection a', 'connection b'])
  })

  it('the context in which the library was loaded is nobody’s', async () => {
    expect(await seenIn('is loaded in a context', ...sight)).toEqual([nothing, thrice('used'), nothing, null])
  })

  it('callbacks of a coroutine that an async task has spawned belong to no task, with a store and without', async () => {
    expect(await seenIn('asks for the task in a callback', ...sight)).toEqual([[null, null], [null, null]])
  })
})

onEveryKernel('async tasks', (kernel) => {
  /** A promise as other libraries make them. */
  const thenable = { then: (onFulfilled: (value: string) => unknown) => void setImmediate(onFulfilled, 'then') } as unknown as PromiseLike<string>

  it('find themselves and their scope after foreign awaits', async () => {
    await kernel.run(() =>
      scope(async (tasks) => {
        const finds = async (self: () => Task): Promise<void> => {
          for (const foreign of [
            () => nextIteration(),
            () => hostTimer(1),
            () => readFile(FIXTURE),
            () => thenable,
            () => null,
            () => Promise.all([nextIteration(), thenable])
          ]) {
            await foreign()
            expect(currentTask()).toBe(self())
            // In the scope of this very task: that is what its parent is.
            expect(spawn(function* () {}).parent).toBe(self().parent)
          }
        }
        const all = Array.from({ length: 3 }, (_, i): Task<void> => tasks.spawn(async () => finds(() => all[i] as Task)))
        for (const task of all) await task
      })
    )
  })

  it('are cancelled at the first operation after a foreign await', async () => {
    const seen: unknown[] = []
    await kernel.run(() =>
      scope(async (tasks) => {
        tasks.spawn(async () => {
          await nextIteration()
          seen.push('went on')
          await checkpoint().then(undefined, (error: Error) => seen.push(error.name))
        })
        await checkpoint()
        tasks.cancel()
      })
    )
    expect(seen).toEqual(['went on', 'Cancelled'])
  })

  it('spawn into the scope that is open in them, after a foreign await, too', async () => {
    const ended: string[] = []
    await kernel.run(async () => {
      await scope(async () => {
        await nextIteration()
        spawn(function* () {
          yield* sleep(1)
          ended.push('child')
        })
      })
      ended.push('scope')
    })
    expect(ended).toEqual(['child', 'scope'])
  })

  it('leave no task behind in what goes on after their end', async () => {
    const ended = deferred()
    let after: Promise<unknown> = Promise.resolve()
    await kernel.run(async () => {
      after = ended.promise.then(() => {
        expect(currentTask()).toBeNull()
        expect(() => spawn(function* () {})).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_TASK' }))
      })
    })
    ended.resolve()
    await after
  })

  it('and coroutines carry each other’s stores through joins in both directions', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen = await kernel.run(function* () {
      const inner = function* (): Coroutine<string[]> {
        yield* checkpoint()
        const asynchronous = storage.run('inner', () =>
          spawn(async () => {
            await nextIteration()
            await sleep(0.1)
            return String(storage.getStore())
          })
        )
        const theirs = yield* asynchronous
        return [theirs, String(storage.getStore())]
      }
      const outer = storage.run('outer', () => spawn(async () => [...(await spawn(inner)), String(storage.getStore())]))
      return [...(yield* outer), String(storage.getStore())]
    })
    expect(seen).toEqual(['inner', 'outer', 'outer', 'undefined'])
  })

  it('find their task through until() in a coroutine, which waits for what belongs to nobody', async () => {
    const found = await kernel.run(function* () {
      yield* checkpoint()
      return yield* until((async () => [currentTask()?.name, (await nextIteration(), currentTask())])())
    })
    expect(found[1]).toBeNull()
  })
})
