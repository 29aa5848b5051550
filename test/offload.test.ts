/** Jobs on real threads and processes. What must end a process is in a process of its own: test/offload-exit.test.ts. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  all,
  blocking,
  Cancelled,
  checkpoint,
  connect,
  deferred,
  Event,
  race,
  run,
  scope,
  serve,
  sleep,
  spawn,
  TaskLocal,
  timeout,
  TimeoutError,
  type Coroutine,
  type Op
} from 'coreactor'
import { offload, OffloadError, WorkerPool, type WorkerKind, type WorkerPoolOptions } from 'coreactor/offload'
import { BUILD_MS } from './child-service.js'
import { root } from './documents.js'
import { caught, thrownBy } from './support.js'

const fixture = (name: string): URL => new URL(`fixtures/offload/${name}`, import.meta.url)
const work = fixture('work.mjs')
/** How long a job has to end that is known to end: more than any machine needs. */
const LONG = 60_000

// The workers run what is in dist/.
beforeAll(async () => {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/setup.mjs')])
}, BUILD_MS)

/** Runs `body` with a pool, and sees to it that nothing of that is left. */
async function withPool<T>(options: WorkerPoolOptions, body: (pool: WorkerPool) => Coroutine<T>): Promise<T> {
  const pool = new WorkerPool({ size: 1, ...options })
  const result = await run(function* () {
    try {
      return yield* body(pool)
    } finally {
      yield* pool.close()
    }
  })
  expect(pool.statistics()).toMatchObject({ workers: 0, busy: 0, queued: 0 })
  return result
}

/** Starts a job that calls its first argument when it has begun, and waits for that. */
function* begin(pool: WorkerPool, name: string, options: { grace?: number; then?: (value: never) => unknown } = {}) {
  const begun = new Event()
  const { grace = LONG, then } = options
  const task = spawn(() => offload(work, name, [() => begun.set(), ...(then === undefined ? [] : [then])], { pool, grace }))
  yield* begun.wait()
  return task
}

describe.each<WorkerKind>(['threads', 'processes'])('offload to %s', (kind) => {
  const on = <T>(body: (pool: WorkerPool) => Coroutine<T>, options: WorkerPoolOptions = {}): Promise<T> =>
    withPool({ kind, ...options }, body)

  it('gives what the function of a module returns, in another thread or process', () =>
    on(function* (pool) {
      expect(yield* offload<number>(work, 'add', [1, 2], { pool })).toBe(3)
      const there = yield* offload<{ pid: number; threadId: number }>(work, 'whoAmI', [], { pool })
      expect(there.pid === process.pid).toBe(kind === 'threads')
      expect(there.threadId > 0).toBe(kind === 'threads')
    }))

  it('takes modules by URL, by path, by a path from a file, and by name', () =>
    on(function* (pool) {
      expect(yield* offload(work.href, 'default', [], { pool })).toBe('default')
      expect(yield* offload(join(root, 'test/fixtures/offload/work.mjs'), 'add', ['a', 'b'], { pool })).toBe('ab')
      expect(yield* offload('./fixtures/offload/work.mjs', 'add', [2, 3], { pool, from: import.meta.url })).toBe(5)
      expect(yield* offload('node:path', 'basename', ['/a/b'], { pool })).toBe('b')
      expect(yield* offload('data:text/javascript,export const one = () => 1', 'one', [], { pool })).toBe(1)
      const loopback = { family: 'IPv6', address: '::1', port: 80 }
      expect(yield* offload('coreactor', 'formatAddress', [loopback], { pool, from: import.meta.url })).toBe('[::1]:80')
    }))

  it('finds the exports of a CommonJS module, whether or not Node can name them', () =>
    on(function* (pool) {
      expect(yield* offload(fixture('common.cjs'), 'second', [], { pool })).toBe('second')
    }))

  it('runs TypeScript where Node does, and says what to do where it does not', () =>
    on(function* (pool) {
      const attempt = offload(fixture('typed.ts'), 'typed', [21], { pool })
      if ((process.features as { typescript?: unknown }).typescript) {
        expect(yield* attempt).toBe(42)
      } else {
        const error = yield* caught(() => attempt)
        expect(error).toMatchObject({ code: 'ERR_COREACTOR_MODULE_FAILED' })
        expect(error.message).toMatch(/does not run TypeScript/)
      }
    }))

  it('hands over Buffers as Buffers, typed arrays as what they are, also those in plain objects', () =>
    on(function* (pool) {
      const [buffer, floats, part, options] = yield* offload<[Buffer, Float64Array, Uint16Array, { key: Buffer }]>(
        work,
        'echo',
        [Buffer.from('abc'), new Float64Array([0.5]), new Uint16Array([1, 2, 3]).subarray(1), { key: Buffer.from('k') }],
        { pool }
      )
      // In a list that is returned only the list is looked at.
      expect([...buffer]).toEqual([97, 98, 99])
      expect(floats).toEqual(new Float64Array([0.5]))
      expect(part).toEqual(new Uint16Array([2, 3]))
      expect(Buffer.from(options.key)).toEqual(Buffer.from('k'))
      const kinds = yield* offload(work, 'kinds', [Buffer.from('abc'), new Uint16Array(2), new Map()], { pool })
      expect(kinds).toEqual(['Buffer', 'Uint16Array', 'Map'])
      expect(yield* offload(work, 'reversed', [Buffer.from('abc')], { pool })).toEqual(Buffer.from('cba'))
    }))

  it('throws what the job throws: class, name, code, properties, cause, and the stacks of both sides', () =>
    on(function* (pool) {
      const error = yield* caught(function* whoAsked() {
        return yield* offload(work, 'fails', ['circle'], { pool })
      })
      expect(error).toBeInstanceOf(RangeError)
      expect(error).toMatchObject({ name: 'ShapeError', message: 'no circle', code: 'ERR_SHAPE', sides: [3, 4] })
      expect(error.cause).toBeInstanceOf(TypeError)
      expect((error.cause as Error).message).toBe('not square')
      expect(error.stack).toMatch(/^ShapeError: no circle\n +at fails \(.*work\.mjs[^]*\n +at offload \(fails of .*\)\n[^]*at whoAsked /)
      const both = (yield* caught(() => offload(work, 'fails', ['aggregate'], { pool }))) as AggregateError
      expect(both).toBeInstanceOf(AggregateError)
      expect(both.errors.map(String)).toEqual(['TypeError: a', 'Error: b'])
      expect(yield* caught(() => offload(work, 'fails', ['value'], { pool }))).toEqual({ not: 'an error' })
    }))

  it('says what is wrong with a module, a function, an argument or a result', () =>
    on(function* (pool) {
      const problem = function* (attempt: Op<unknown>): Coroutine<string> {
        const error = yield* caught(() => attempt)
        expect(error).toBeInstanceOf(OffloadError)
        // Who asked is in the stack.
        expect(error.stack).toMatch(/problem/)
        return `${error.code} ${error.message}`
      }
      const missing = new URL('not-there.mjs', work)
      expect(yield* problem(offload(missing, 'add', [], { pool }))).toMatch(/^ERR_COREACTOR_MODULE_NOT_FOUND the module file:.*not-there\.mjs cannot be found$/)
      expect(yield* problem(offload('no-such-package', 'add', [], { pool }))).toMatch(/^ERR_COREACTOR_MODULE_NOT_FOUND .*, looked for from file:/)
      expect(yield* problem(offload('node:no-such-module', 'add', [], { pool }))).toMatch(/^ERR_COREACTOR_MODULE_NOT_FOUND /)
      expect(yield* problem(offload(fixture('broken.mjs'), 'add', [], { pool }))).toMatch(/^ERR_COREACTOR_MODULE_FAILED .*broken to begin with/)
      expect(yield* problem(offload(fixture('imports-missing.mjs'), 'add', [], { pool }))).toMatch(/^ERR_COREACTOR_MODULE_FAILED .*not-there/)
      expect(yield* problem(offload(work, 'missing', [], { pool }))).toMatch(/^ERR_COREACTOR_NOT_EXPORTED .* no export "missing"; it exports .*\badd\b/)
      expect(yield* problem(offload(work, 'notAFunction', [], { pool }))).toMatch(/^ERR_COREACTOR_NOT_EXPORTED .*something other than a function/)
      expect(yield* problem(offload(work, 'echo', [new WeakMap()], { pool }))).toMatch(/^ERR_COREACTOR_NOT_CLONEABLE an argument of echo .*WeakMap/)
      expect(yield* problem(offload(work, 'returnsFunction', [], { pool }))).toMatch(/^ERR_COREACTOR_NOT_CLONEABLE the result /)
      // None of these has cost the worker.
      expect(pool.statistics()).toMatchObject({ started: 1, terminated: 0 })
    }))

  it('refuses a detached buffer, and leaves the rest of the arguments alone (hazard 57)', () =>
    on(function* (pool) {
      const gone = new Uint8Array(8)
      structuredClone(gone, { transfer: [gone.buffer] })
      const other = new Uint8Array(8)
      const error = yield* caught(() => offload(work, 'echo', [other, gone], { pool, transfer: [other.buffer] }))
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_DETACHED' })
      expect(error.message).toMatch(/^argument 1 of echo /)
      expect(other.byteLength).toBe(8)
      expect(yield* caught(() => offload(work, 'echo', [{ options: gone.buffer }], { pool }))).toMatchObject({ code: 'ERR_COREACTOR_DETACHED' })
    }))

  it('does nothing until it is driven, and nothing in a cancelled scope', () =>
    on(function* (pool) {
      const op = offload(work, 'add', [1, 2], { pool })
      yield* sleep(0)
      expect(pool.statistics().started).toBe(0)
      yield* scope(function* (inner) {
        inner.cancel()
        yield* op
      })
      expect(pool.statistics().started).toBe(0)
    }))

  it('tells a cancelled job by its signal, with the reason, and ends when the job has', () =>
    on(function* (pool) {
      const heard = deferred<string>()
      const task = yield* begin(pool, 'waitsForSignal', { then: (reason: string) => heard.resolve(reason) })
      task.cancel(new TypeError('no longer needed'))
      expect(yield* caught(() => task)).toMatchObject({ code: 'ERR_COREACTOR_TASK_CANCELLED' })
      expect(task.outcome).toBe('cancelled')
      expect(yield* heard).toBe('TypeError: no longer needed')
      expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0, workers: 1, busy: 0 })
    }))

  it('does not call a function whose module was still being loaded when the job was cancelled', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coreactor-offload-'))
    const fifo = join(folder, 'fifo')
    execFileSync('mkfifo', [fifo])
    const module = fixture('loads-until.mjs')
    module.searchParams.set('until', fifo)
    try {
      await on(function* (pool) {
        let called = false
        const task = spawn(() => offload(module, 'asks', [() => (called = true)], { pool, grace: LONG }))
        // Opened when the module, at the other end, has done so: it is being loaded until this is closed.
        const gate = yield* blocking.open(fifo, 'w')
        task.cancel()
        yield* checkpoint()
        yield* gate.close()
        yield* caught(() => task)
        expect(called).toBe(false)
        expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0 })
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('has a job that waits for checkpoints end at the next one', () =>
    on(function* (pool) {
      const task = yield* begin(pool, 'checks')
      task.cancel()
      yield* caught(() => task)
      expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0 })
    }))

  it('terminates a job that does not end in its grace, and no other (piscina#934)', () =>
    on(function* (pool) {
      const gate = deferred<string>()
      const other = spawn(() => offload(work, 'waits', [() => gate], { pool }))
      const task = yield* begin(pool, 'spins', { grace: 1 })
      expect(pool.statistics()).toMatchObject({ workers: 2, busy: 2 })
      task.cancel()
      yield* caught(() => task)
      // Its thread or process has gone with it.
      expect(pool.statistics()).toMatchObject({ workers: 1, busy: 1, terminated: 1 })
      gate.resolve('unharmed')
      expect(yield* other).toBe('unharmed')
      expect(yield* offload(work, 'add', [1, 2], { pool })).toBe(3)
    }, { size: 2 }))

  it('throws TimeoutError when its time is over, whatever the job does', () =>
    on(function* (pool) {
      const error = yield* caught(() => offload(work, 'spins', [() => {}], { pool, timeout: 10, grace: 0 }))
      expect(error).toBeInstanceOf(TimeoutError)
      expect(pool.statistics()).toMatchObject({ workers: 0, cancelled: 1, terminated: 1 })
    }))

  it('cancels the losers of a race and waits for them', () =>
    on(function* (pool) {
      expect(yield* race([offload(work, 'add', [1, 2], { pool }), offload(work, 'waitsForSignal', [() => {}], { pool })])).toBe(3)
      expect(pool.statistics()).toMatchObject({ busy: 0, queued: 0, returned: 1, cancelled: 1 })
    }, { size: 2, grace: LONG }))

  it('never begins a job that was cancelled while it waited, and begins those behind it (piscina#805)', () =>
    on(function* (pool) {
      const first = yield* begin(pool, 'checks')
      const ran: string[] = []
      const [second, third] = ['second', 'third'].map((name) =>
        spawn(() => offload(work, 'asks', [() => ran.push(name)], { pool }))
      ) as [typeof first, typeof first]
      while (pool.statistics().queued < 2) yield* sleep(0)
      second.cancel()
      yield* caught(() => second)
      expect(pool.statistics()).toMatchObject({ queued: 1, peakQueued: 2 })
      first.cancel()
      yield* third
      expect(ran).toEqual(['third'])
      yield* caught(() => first)
    }))

  it('takes the arguments of a job that waits as they were when it was asked for', () =>
    on(function* (pool) {
      const gate = deferred()
      const first = spawn(() => offload(work, 'waits', [() => gate], { pool }))
      const state = { count: 1, bytes: Buffer.from([1]) }
      const moved = new Uint8Array([5])
      const second = spawn(() => offload<unknown[]>(work, 'echo', [state, moved], { pool, transfer: [moved.buffer] }))
      const third = spawn(() => caught(() => offload(work, 'echo', [new WeakMap()], { pool })))
      expect(yield* third).toMatchObject({ code: 'ERR_COREACTOR_NOT_CLONEABLE' })
      state.count = 2
      state.bytes[0] = 2
      expect(moved.byteLength).toBe(0)
      gate.resolve()
      yield* first
      const [was, came] = (yield* second) as [typeof state, Uint8Array]
      expect([was.count, was.bytes[0], came[0]]).toEqual([1, 1, 5])
    }))

  it('runs functions among the arguments here, in the order in which they are called', () =>
    on(function* (pool) {
      const seen: number[] = []
      expect(yield* offload(work, 'reports', [4, { onProgress: (part: number) => seen.push(part) }], { pool })).toBe(4)
      expect(seen).toEqual([0.25, 0.5, 0.75, 1])
    }))

  it('gives the job what they return, be they plain, async or coroutines', () =>
    on(function* (pool) {
      const functions = [
        (what: string, bytes: Buffer) => `${what} ${bytes.toString()}`,
        async (what: string) => what,
        function* (what: string) {
          yield* sleep(0)
          return [what]
        },
        () => undefined
      ]
      const answers: unknown[] = []
      for (const each of functions) answers.push((yield* offload<{ answer: unknown }>(work, 'asks', [each], { pool })).answer)
      expect(answers).toEqual(['what? abc', 'what?', ['what?'], undefined])
    }))

  it('throws the very error that such a function has thrown, if the job does', () =>
    on(function* (pool) {
      const mine = new Error('mine')
      const throwing = (): never => {
        throw mine
      }
      expect(yield* caught(() => offload(work, 'asks', [throwing], { pool }))).toBe(mine)
      const unsendable = yield* caught(() => offload(work, 'asks', [() => () => {}], { pool }))
      expect(unsendable).toMatchObject({ code: 'ERR_COREACTOR_NOT_CLONEABLE' })
    }))

  it('runs them in the async context and with the task locals of who asked', () =>
    on(function* (pool) {
      const storage = new AsyncLocalStorage<string>()
      const local = new TaskLocal('local', 'none')
      local.set('mine')
      const asking = storage.run('inside', () =>
        spawn(() => offload<{ answer: string }>(work, 'asks', [() => `${storage.getStore()} ${local.get()}`], { pool }))
      )
      expect((yield* asking).answer).toBe('inside mine')
    }))

  it('cancels them with the operation, and the job hears of it', () =>
    on(function* (pool) {
      const called = new Event()
      let cleanedUp = false
      const asking = spawn(() =>
        offload(work, 'asks', [
          function* () {
            called.set()
            try {
              yield* sleep(Infinity)
            } finally {
              cleanedUp = true
            }
          }
        ], { pool, grace: LONG })
      )
      yield* called.wait()
      asking.cancel()
      yield* caught(() => asking)
      expect(cleanedUp).toBe(true)
      expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0 })
    }))

  it('hands each value of an async generator over, and waits until it was taken', () =>
    on(function* (pool) {
      const log: string[] = []
      const each = function* (value: number): Coroutine<void> {
        log.push(`take ${value}`)
        yield* sleep(0)
        log.push(`took ${value}`)
      }
      expect(yield* offload(work, 'counts', [3], { pool, each })).toBe('counted')
      expect(log).toEqual(['take 1', 'took 1', 'take 2', 'took 2', 'take 3', 'took 3'])
      expect(yield* offload(work, 'emits', ['x'], { pool, each: (value: string) => log.push(value) })).toBe(undefined)
      expect(log.at(-1)).toBe('x')
    }))

  it('closes the generator when a value is not wanted, and says so when nobody takes them', () =>
    on(function* (pool) {
      const enough = new Error('enough')
      const each = (value: number): void => {
        if (value === 2) throw enough
      }
      expect(yield* caught(() => offload(work, 'counts', [9], { pool, each }))).toBe(enough)
      expect(yield* offload(work, 'finishedCounts', [], { pool })).toBe(1)
      expect(yield* caught(() => offload(work, 'counts', [9], { pool }))).toMatchObject({ code: 'ERR_COREACTOR_NO_EACH' })
      expect(yield* caught(() => offload(work, 'emits', [1], { pool }))).toMatchObject({ code: 'ERR_COREACTOR_NO_EACH' })
    }))

  it('runs a coroutine in a runtime of its own there, and cancels it like one', () =>
    on(function* (pool) {
      expect(yield* offload(work, 'coroutine', [1, 'me'], { pool })).toBe('slept as me')
      const task = yield* begin(pool, 'sleepsForEver', { then: () => {} })
      task.cancel()
      yield* caught(() => task)
      expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0, started: 1 })
    }))

  it('runs a function without a module, if it is said to be self-contained', () =>
    on(function* (pool) {
      const product: number = yield* offload((a: number, b: number) => a * b, [6, 7], { inline: true, pool })
      expect(product).toBe(42)
      // Not as one would write it: the test runner compiles `import()` to something of its own.
      const inline = new Function('path', "return import('node:path').then(({ basename }) => basename(path))") as (path: string) => unknown
      expect(yield* offload(inline, ['/a/b'], { inline: true, pool })).toBe('b')
      const outside = 1
      const error = yield* caught(() => offload(() => outside, [], { inline: true, pool }))
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_NOT_SELF_CONTAINED' })
      expect(error.message).toMatch(/outside is not defined/)
    }))

  it('tells of a worker that ended under its job, and starts another', () =>
    on(function* (pool) {
      const error = yield* caught(() => offload(work, 'exits', [3], { pool }))
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_WORKER_ENDED' })
      expect(error.message).toMatch(/^(thread|process) \d+ has ended with code 3 while it ran exits of /)
      expect(yield* offload(work, 'add', [1, 2], { pool })).toBe(3)
      expect(pool.statistics()).toMatchObject({ started: 2, terminated: 0, failed: 1, returned: 1 })
    }))

  it('refuses a job that finds the queue full, before it has taken its arguments', () =>
    on(function* (pool) {
      const first = yield* begin(pool, 'checks')
      const second = spawn(() => offload(work, 'add', [1, 2], { pool }))
      while (pool.statistics().queued < 1) yield* sleep(0)
      const bytes = new Uint8Array(4)
      const error = yield* caught(() => offload(work, 'echo', [bytes], { pool, transfer: [bytes.buffer] }))
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_QUEUE_FULL' })
      expect(bytes.byteLength).toBe(4)
      first.cancel()
      expect(yield* second).toBe(3)
      yield* caught(() => first)
    }, { queue: 1 }))

  it('close lets running jobs end in its grace, and refuses those that wait and those that come', () =>
    on(function* (pool) {
      const gate = deferred<string>()
      const called = new Event()
      const running = spawn(() => offload(work, 'waits', [() => (called.set(), gate)], { pool }))
      yield* called.wait()
      const waiting = spawn(() => caught(() => offload(work, 'add', [1, 2], { pool })))
      while (pool.statistics().queued < 1) yield* sleep(0)
      const closing = spawn(() => pool.close({ grace: LONG }))
      expect(yield* waiting).toMatchObject({ code: 'ERR_COREACTOR_POOL_CLOSED' })
      expect(yield* caught(() => offload(work, 'add', [1, 2], { pool }))).toMatchObject({ code: 'ERR_COREACTOR_POOL_CLOSED' })
      gate.resolve('done')
      expect(yield* running).toBe('done')
      yield* closing
      expect(pool.statistics().workers).toBe(0)
    }))

  it('close cancels and terminates what does not end, also in a cancelled scope', () =>
    on(function* (pool) {
      const begun = [new Event(), new Event()] as const
      const attempts = ['checks', 'spins'].map((name, i) =>
        spawn(() => caught(() => offload(work, name, [() => begun[i]?.set()], { pool })))
      )
      yield* all(begun.map((each) => each.wait()))
      expect(pool.jobs()).toMatchObject([{ cancelled: false, worker: expect.stringMatching(/^(thread|process) \d+$/) }, {}])
      expect(pool.jobs().map(({ label }) => label.split(' ')[0])).toEqual(['checks', 'spins'])
      yield* scope(function* (inner) {
        inner.cancel()
        yield* pool.close()
      })
      for (const each of attempts) expect(yield* each).toMatchObject({ code: 'ERR_COREACTOR_POOL_CLOSED' })
      expect(pool.statistics()).toMatchObject({ workers: 0, cancelled: 2 })
    }, { size: 2, grace: 50 }))

  it('ends a worker that has had nothing to do for long enough, and one that has done enough', async () => {
    await on(function* (pool) {
      yield* offload(work, 'add', [1, 2], { pool })
      while (pool.statistics().workers > 0) yield* sleep(1)
    }, { idle: 1 })
    await on(function* (pool) {
      const pids = new Set<string>()
      for (let i = 0; i < 4; i++) pids.add(JSON.stringify(yield* offload(work, 'whoAmI', [], { pool })))
      expect(pids.size).toBe(2)
    }, { jobsPerWorker: 2 })
  })

  it('runs as many jobs at a time as it has workers', () =>
    on(function* (pool) {
      const tasks = Array.from({ length: 20 }, (_, i) => offload<number>(work, 'add', [i, i], { pool }))
      expect(yield* all(tasks)).toEqual(Array.from({ length: 20 }, (_, i) => i + i))
      expect(pool.statistics()).toMatchObject({ workers: 2, started: 2, returned: 20, peakQueued: 18 })
    }, { size: 2 }))

  it('is awaited in async functions, and takes an AbortSignal', async () => {
    const pool = new WorkerPool({ kind, size: 1, grace: 0 })
    expect(await offload(work, 'add', [1, 2], { pool })).toBe(3)
    const controller = new AbortController()
    const reason = new Error('gone')
    const spinning = offload(work, 'spins', [() => controller.abort(reason)], { pool, signal: controller.signal })
    expect(await thrownBy(() => spinning)).toBe(reason)
    await pool[Symbol.asyncDispose]()
    expect(pool.statistics()).toMatchObject({ workers: 0, terminated: 1 })
  })

  it('answers a client from a handler: what is written when a job has ended goes out at once', () =>
    on(function* (pool) {
      const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
        const line = yield* connection.readLine()
        yield* connection.write(`${yield* offload<string>(work, 'add', [line, '!'], { pool })}\n`)
        yield* connection.readSome()
      })
      const client = yield* connect({ port: server.address.port })
      yield* client.write('hello\n')
      expect(yield* client.readLine()).toBe('hello!')
      yield* client.close()
      yield* server.close()
    }))

  it('can be used in a job: each thread or process has a pool of its own, so none waits for itself (hazard 63)', () =>
    on(function* (pool) {
      const threads = yield* offload<number[]>(work, 'nested', [2], { pool })
      expect(new Set(threads).size).toBe(3)
    }))

  it('has flags of Node and an environment of its own', () =>
    on(function* (pool) {
      expect(yield* offload(work, 'environment', ['OFFLOAD_TEST'], { pool })).toBe('yes')
      expect(yield* offload(work, 'nodeFlags', [], { pool })).toContain('--no-deprecation')
    }, { env: { ...process.env, OFFLOAD_TEST: 'yes' }, execArgv: ['--no-deprecation'] }))
})

it('asks whether it was cancelled without ever letting a message in, in a thread', () =>
  withPool({}, function* (pool) {
    const task = yield* begin(pool, 'spinsAndAsks')
    task.cancel()
    yield* caught(() => task)
    expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0 })
  }))

it('moves what is transferred, in both directions, between threads', () =>
  withPool({}, function* (pool) {
    const bytes = new Uint8Array([1, 2, 3])
    const reversed = yield* offload<Uint8Array>(work, 'reversed', [bytes], { pool, transfer: [bytes.buffer] })
    expect([...reversed]).toEqual([3, 2, 1])
    expect(bytes.byteLength).toBe(0)
    const moved = yield* offload<Uint8Array>(work, 'moved', [16], { pool })
    expect([moved.length, moved[0]]).toEqual([16, 7])
  }))

it('sends no more of a buffer than it was given', () =>
  withPool({}, function* (pool) {
    const part = Buffer.from('secret, and the rest').subarray(8, 11)
    expect(yield* offload(work, 'bytesBehind', [part], { pool })).toBe(3)
  }))

it('shares memory that is shared', () =>
  withPool({}, function* (pool) {
    const shared = new Int32Array(new SharedArrayBuffer(8), 4)
    yield* offload((values: Int32Array) => void values.fill(9), [shared], { inline: true, pool })
    expect(shared[0]).toBe(9)
  }))

it('copies what is transferred to a process, and refuses what only threads can have', () =>
  withPool({ kind: 'processes' }, function* (pool) {
    const bytes = new Uint8Array([1, 2, 3])
    expect(yield* offload(work, 'reversed', [bytes], { pool, transfer: [bytes.buffer] })).toEqual(new Uint8Array([3, 2, 1]))
    const shared = new SharedArrayBuffer(8)
    const error = yield* caught(() => offload(work, 'echo', [shared], { pool }))
    expect(error).toMatchObject({ code: 'ERR_COREACTOR_NOT_CLONEABLE' })
  }))

it('has a pool of each kind without asking, and one that was closed is replaced', () =>
  run(function* () {
    expect(yield* offload(work, 'add', [1, 2])).toBe(3)
    expect(yield* offload(work, 'add', [1, 2], { pool: 'threads' })).toBe(3)
  }))

it('refuses a function in place of a module, and says what to do instead', () => {
  const compute = (): number => 1
  const refused = (attempt: () => unknown): { code?: string; message: string } => {
    try {
      attempt()
    } catch (error) {
      return error as Error
    }
    throw new Error('it was accepted')
  }
  const error = refused(() => offload(compute as never, [] as never))
  expect(error).toMatchObject({ code: 'ERR_COREACTOR_INLINE_FUNCTION' })
  expect(error.message).toMatch(/^the function compute cannot .*import\.meta\.url.*\{ inline: true \}/)
  const inline = { inline: true } as const
  expect(refused(() => offload(compute.bind(null), [], inline))).toMatchObject({ code: 'ERR_COREACTOR_INLINE_FUNCTION' })
  expect(refused(() => offload(Math.max, [], inline))).toMatchObject({ code: 'ERR_COREACTOR_INLINE_FUNCTION' })
  expect(refused(() => offload({ method() {} }.method, [], inline))).toMatchObject({ code: 'ERR_COREACTOR_INLINE_FUNCTION' })
  expect(refused(() => offload(class {} as never, [], inline))).toMatchObject({ code: 'ERR_COREACTOR_INLINE_FUNCTION' })
})

it.each([
  [() => offload(1 as never, 'a'), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 2 as never), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 'a', 'abc' as never), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 'a', [], null as never), 'ERR_INVALID_ARG_TYPE'],
  [() => offload('./work.mjs', 'a'), 'ERR_INVALID_ARG_VALUE'],
  [() => offload('', 'a'), 'ERR_INVALID_ARG_VALUE'],
  [() => offload('https://example.org/work.mjs', 'a'), 'ERR_INVALID_ARG_VALUE'],
  [() => offload('x', 'a', [], { from: 'relative' }), 'ERR_INVALID_ARG_VALUE'],
  [() => offload(work, 'a', [], { pool: 'fibers' as never }), 'ERR_INVALID_ARG_VALUE'],
  [() => offload(work, 'a', [], { timeout: NaN }), 'ERR_OUT_OF_RANGE'],
  [() => offload(work, 'a', [], { grace: '1' as never }), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 'a', [], { transfer: {} as never }), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 'a', [], { each: 1 as never }), 'ERR_INVALID_ARG_TYPE'],
  [() => offload(work, 'a', [], { signal: {} as never }), 'ERR_INVALID_ARG_TYPE'],
  [() => new WorkerPool({ kind: 'x' as never }), 'ERR_INVALID_ARG_VALUE'],
  [() => new WorkerPool({ size: 0 }), 'ERR_OUT_OF_RANGE'],
  [() => new WorkerPool({ queue: -1 }), 'ERR_OUT_OF_RANGE'],
  [() => new WorkerPool({ memory: 1.5 }), 'ERR_OUT_OF_RANGE'],
  [() => new WorkerPool({ jobsPerWorker: 0 }), 'ERR_OUT_OF_RANGE'],
  [() => new WorkerPool({ execArgv: '--x' as never }), 'ERR_INVALID_ARG_TYPE'],
  [() => new WorkerPool().close({ grace: NaN }), 'ERR_OUT_OF_RANGE']
])('throws at once for bad arguments: %s', (attempt, code) => {
  expect(attempt).toThrow(expect.objectContaining({ code }))
})

it('lets go of a job whose coroutine is closed, and has it end', () =>
  withPool({ grace: LONG }, function* (pool) {
    const begun = new Event()
    const op = offload(work, 'checks', [() => begun.set()], { pool })
    function* steps(): Coroutine<void> {
      yield* op
    }
    const task = spawn(function* () {
      const inner = steps()
      // What `for (const … of)` does that is left by `break`.
      inner.next()
      yield* begun.wait()
      inner.return()
    })
    yield* task
    while (pool.statistics().busy > 0) yield* sleep(1)
    expect(pool.statistics()).toMatchObject({ cancelled: 1, terminated: 0 })
  }))

it('does not let a job be asked for outside one', async () => {
  const { job } = await import('coreactor/offload')
  expect(job.active).toBe(false)
  expect(() => job.signal).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_JOB' }))
  await withPool({}, function* (pool) {
    expect(yield* offload(work, 'jobHere', [], { pool })).toBe(true)
  })
})

it('is cut off by a deadline around it, and lets no Cancelled out', () =>
  withPool({ grace: 0 }, function* (pool) {
    const error = yield* caught(() => timeout(5, () => offload(work, 'spins', [() => {}], { pool })))
    expect(error).toBeInstanceOf(TimeoutError)
    expect(error).not.toBeInstanceOf(Cancelled)
  }))
