/** AbortSignal at the edges: signals that cancel scopes, and scopes that abort signals. */
import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import {
  Cancelled,
  checkpoint,
  connect,
  run,
  scope,
  ScopeError,
  serve,
  shield,
  sleep,
  spawn,
  type Coroutine
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { caught, onEveryKernel, thrownBy } from './support.js'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

/** Warnings of the process while a test runs. */
function warnings(): string[] {
  const names: string[] = []
  const note = (warning: Error): void => void names.push(warning.name)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  return names
}

onEveryKernel('a scope with a signal', (kernel) => {
  it('is cancelled when it is aborted, and throws the very reason', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    await kernel.run(function* () {
      const log: string[] = []
      spawn(function* () {
        yield* allParked()
        controller.abort(reason)
      })
      const error = yield* caught(() =>
        scope(
          function* (tasks) {
            tasks.spawn(function* () {
              try {
                yield* sleep(Infinity)
              } catch (cancelled) {
                log.push(`child: ${((cancelled as Cancelled).reason as Error).message}, by ${(cancelled as Cancelled).origin}`)
                throw cancelled
              }
            })
            yield* sleep(Infinity)
          },
          { signal: controller.signal }
        )
      )
      expect(error).toBe(reason)
      expect(log).toEqual(['child: enough, by null'])
      // What follows is not cancelled.
      yield* sleep(0.1)
    })
    expect(listeners(controller.signal)).toBe(0)
  })

  it('that is aborted already runs its body up to the first operation', async () => {
    await kernel.run(function* () {
      const log: string[] = []
      const error = yield* caught(() =>
        scope(
          function* (tasks) {
            log.push(`begun, cancelled: ${tasks.cancelled}`)
            yield* sleep(1)
            log.push('not reached')
          },
          { signal: AbortSignal.abort('before') }
        )
      )
      expect([error, ...log]).toEqual(['before', 'begun, cancelled: true'])
    })
  })

  it('gives the value of a body that completes all the same', async () => {
    const controller = new AbortController()
    const value = await kernel.run(() =>
      scope(
        function* () {
          controller.abort()
          return 'value'
        },
        { signal: controller.signal }
      )
    )
    expect(value).toBe('value')
  })

  it('tells an abort from a cancellation of its own, and from one from outside', async () => {
    await kernel.run(function* () {
      const { signal } = new AbortController()
      expect(
        yield* scope(
          function* (tasks) {
            tasks.cancel('own')
            yield* sleep(1)
          },
          { signal }
        )
      ).toBeUndefined()
      const task = spawn(() => scope(() => sleep(Infinity), { signal }))
      yield* allParked()
      task.cancel('outside')
      expect(((yield* caught(() => task)).cause as Cancelled).reason).toBe('outside')
      expect(listeners(signal)).toBe(0)
    })
  })

  it('loses no error of a task that fails while it is cancelled', async () => {
    const controller = new AbortController()
    await kernel.run(function* () {
      const error = yield* caught(() =>
        scope(
          function* (tasks) {
            for (const name of ['one', 'two']) {
              tasks.spawn(function* () {
                try {
                  yield* sleep(Infinity)
                } finally {
                  yield* shield(() => sleep(name === 'one' ? 2 : 1))
                  // eslint-disable-next-line no-unsafe-finally
                  throw new Error(name)
                }
              })
            }
            yield* allParked()
            controller.abort()
            yield* sleep(1)
          },
          { signal: controller.signal }
        )
      )
      expect((error as ScopeError).errors.map(({ message }: Error) => message)).toEqual(['two', 'one'])
    })
  })

  it('may be aborted from an abort listener of another one, and the other way round', async () => {
    const [first, second] = [new AbortController(), new AbortController()]
    first.signal.addEventListener('abort', () => second.abort('second'))
    second.signal.addEventListener('abort', () => first.abort('again'))
    const log: unknown[] = []
    await kernel.run(() =>
      scope(function* (tasks) {
        for (const { signal } of [first, second, first, second]) {
          tasks.spawn(function* () {
            log.push(
              yield* caught(() =>
                scope(
                  function* (inner) {
                    // Every scope that is cancelled tries to cancel all the others.
                    inner.signal.addEventListener('abort', () => {
                      first.abort('listener')
                      second.abort('listener')
                    })
                    yield* sleep(Infinity)
                  },
                  { signal }
                )
              )
            )
          })
        }
        yield* allParked()
        first.abort('first')
      })
    )
    expect(log).toHaveLength(4)
    expect([listeners(first.signal), listeners(second.signal)]).toEqual([1, 1])
  })

  it('that an abort listener opens on the very signal is cancelled, too', async () => {
    const controller = new AbortController()
    const { signal } = controller
    await kernel.run(function* () {
      const waiting = function* (): Coroutine<unknown> {
        return yield* caught(() => scope(() => sleep(Infinity), { signal }))
      }
      const tasks = [spawn(waiting)]
      yield* allParked()
      signal.addEventListener('abort', () => tasks.push(spawn(waiting)))
      controller.abort('why')
      yield* allParked()
      expect(tasks.map((task) => task.result())).toEqual(['why', 'why'])
    })
  })

  it('thousands of scopes on one signal have one listener among them, and leave none', async () => {
    const seen = warnings()
    const controller = new AbortController()
    const { signal } = controller
    let aborted = 0
    await kernel.run(() =>
      scope(function* (tasks) {
        for (let i = 0; i < 5000; i++) {
          tasks.spawn(function* () {
            try {
              yield* scope(() => sleep(i % 2 === 0 ? 0 : Infinity), { signal })
            } catch (reason) {
              if (reason === 'all') aborted++
            }
          })
        }
        yield* allParked()
        expect(listeners(signal)).toBe(1)
        controller.abort('all')
      })
    )
    await new Promise((resolve) => setImmediate(resolve))
    expect([aborted, listeners(signal), seen]).toEqual([2500, 0, []])
  })
})

it('scopes that come and go leave no listener on their signal', async () => {
  const { signal } = new AbortController()
  await run(function* () {
    for (let i = 0; i < 100; i++) {
      yield* scope(
        function* () {
          yield* checkpoint()
          expect(listeners(signal)).toBe(1)
        },
        { signal }
      )
      expect(listeners(signal)).toBe(0)
    }
  })
})

it('run rejects with the reason of its signal, and does not begin if that is aborted already', async () => {
  for (const kernel of [undefined, new MemoryKernel()]) {
    const controller = new AbortController()
    const reason = new Error('stop')
    const cleaned: string[] = []
    const ended = run(
      function* () {
        try {
          yield* sleep(Infinity)
        } finally {
          yield* shield(() => sleep(1))
          cleaned.push('main')
        }
      },
      { signal: controller.signal, kernel }
    )
    setImmediate(() => setImmediate(() => controller.abort(reason)))
    expect(await thrownBy(() => ended)).toBe(reason)
    expect(cleaned).toEqual(['main'])
    expect(listeners(controller.signal)).toBe(0)
  }
  let begun = false
  const main = function* (): Coroutine<void> {
    begun = true
  }
  expect(await thrownBy(() => run(main, { signal: AbortSignal.abort('before') }))).toBe('before')
  expect(begun).toBe(false)
  expect(() => run(main, { signal: {} as AbortSignal })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect(() => scope(main, { signal: 5 as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
})

onEveryKernel('a server with a signal', (kernel) => {
  it('is closed when it is aborted: handlers are cancelled, and what follows goes on', async () => {
    const controller = new AbortController()
    const log: string[] = []
    await kernel.run(function* () {
      yield* scope(function* () {
        const options = { port: 0, host: '127.0.0.1', signal: controller.signal }
        const server = yield* serve(options, function* (connection) {
          try {
            yield* connection.readSome()
          } catch (error) {
            log.push(`handler: ${(error as Cancelled).reason}`)
            throw error
          }
        })
        const client = yield* connect({ port: server.address.port })
        while (server.connections === 0) yield* checkpoint()
        yield* allParked()
        controller.abort('closing')
        yield* client.close()
      })
      log.push('scope has ended')
    })
    expect(log).toEqual(['handler: closing', 'scope has ended'])
    expect(listeners(controller.signal)).toBe(0)
  })

  it('that is aborted already accepts nobody', async () => {
    await kernel.run(function* () {
      const server = yield* serve({ port: 0, host: '127.0.0.1', signal: AbortSignal.abort() }, function* () {})
      yield* allParked()
      expect((yield* caught(() => connect({ port: server.address.port }))).code).toBe('ECONNREFUSED')
    })
  })
})

it('a failure names its task; with COREACTOR_DEBUG=1 it says where that was spawned', async () => {
  const fixture = fileURLToPath(new URL('fixtures/spawn-sites.mjs', import.meta.url))
  for (const debug of ['', '1']) {
    const env = { ...process.env, COREACTOR_DEBUG: debug }
    const { stdout } = await promisify(execFile)(process.execPath, [fixture], { env })
    const [task, ...site] = stdout.trimEnd().split('\n')
    expect(task).toMatch(/^worker#\d+$/)
    if (debug === '') expect(site).toEqual(['unknown'])
    else expect(site[0]).toMatch(/spawnedHere .*spawn-sites\.mjs:\d+/)
  }
})
