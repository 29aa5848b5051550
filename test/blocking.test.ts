/** Blocking calls: what a task that waits for one sees, and who else waits. */
import { spawn as spawnProcess } from 'node:child_process'
import { ADDRCONFIG } from 'node:dns'
import { once } from 'node:events'
import { lookup as nodeLookup } from 'node:dns/promises'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  all,
  blocking,
  Cancelled,
  checkpoint,
  listen,
  LookupError,
  moveOnAfter,
  now,
  race,
  run,
  scope,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  type Body,
  type Coroutine,
  type LookupAddress,
  type Scope
} from 'coreactor'
import { MemoryKernel, type MemoryKernelOptions } from 'coreactor/testing'
import { EAGAIN } from '../lib/kernel/errno.js'
import { nativeKernel } from '../lib/kernel/native.js'
import { linux } from './here.js'
import { ENDS_MS } from './patience.js'
import { caught } from './support.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Names that answer in virtual time; in the end no socket and no job is left. */
async function inMemory<T>(options: MemoryKernelOptions, main: Body<[Scope], T>): Promise<T> {
  const kernel = new MemoryKernel(options)
  const result = await run(main, { kernel })
  expect([kernel.openSockets, kernel.openJobs]).toEqual([0, 0])
  return result
}

/** The names of this process's threads. */
function threads(): string[] {
  if (!linux) return []
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      return [readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim()]
    } catch {
      return [] // It has ended.
    }
  })
}

/** Runs a fixture, or code, as a process of its own, on the library as users have it. */
async function script(what: string): Promise<{ status: number | null; signal: string | null; output: string }> {
  const args = what.endsWith('.mjs') ? [`test/fixtures/${what}`] : ['--input-type=module', '-e', what]
  const child = spawnProcess(process.execPath, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ENDS_MS,
    killSignal: 'SIGKILL'
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { status, signal, output }
}

describe('lookup, by the system', () => {
  it('gives what Node gives', async () => {
    const { first, every } = await run(function* () {
      return {
        first: yield* blocking.lookup('localhost'),
        every: yield* blocking.lookup('localhost', { all: true, hints: ADDRCONFIG })
      }
    })
    const options = { hints: ADDRCONFIG, verbatim: true }
    expect(first).toEqual(await nodeLookup('localhost', options))
    expect(every).toEqual(await nodeLookup('localhost', { ...options, all: true }))
  })

  it('fails as Node does', async () => {
    const error = await run(() => caughtIn(function* () {
      // Longer than a name can be: no resolver is asked for it.
      yield* blocking.lookup(`${'x'.repeat(300)}.test`)
    }))
    expect(error).toBeInstanceOf(LookupError)
    expect(error).toMatchObject({ code: 'ENOTFOUND', errno: -3008, syscall: 'getaddrinfo', hostname: `${'x'.repeat(300)}.test` })
    expect(error.message).toBe(`getaddrinfo ENOTFOUND ${'x'.repeat(300)}.test`)
    // A family that an address is not of, which the resolver itself says.
    const flagged = await run(() => caughtIn(function* () {
      yield* blocking.lookup('no.number', { hints: 4 /* AI_NUMERICHOST */ })
    }))
    expect(flagged).toMatchObject({ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'no.number' })
  })

  it('the name of an address, and of a port that has none', async () => {
    const named = await run(function* () {
      return yield* blocking.lookupService('127.0.0.1', 65_000)
    })
    expect(named.service).toBe('65000')
    expect(named.hostname).not.toBe('')
  })

  it('works in async functions and outside any task', async () => {
    expect((await blocking.lookup('localhost', { family: 4 })).address).toBe('127.0.0.1')
    expect(await run(async () => (await blocking.lookup('localhost', { family: 4 })).family)).toBe(4)
  })
})

describe('fstat', () => {
  it('tells what Node tells', async () => {
    const fd = openSync(fileURLToPath(import.meta.url), 'r')
    const status = await run(function* () {
      return yield* blocking.fstat(fd)
    })
    const { dev, mode, nlink, uid, gid, rdev, blksize, ino, size, blocks, atimeMs, mtimeMs, ctimeMs } = fstatSync(fd)
    closeSync(fd)
    expect({ ...status }).toEqual({ dev, mode, nlink, uid, gid, rdev, blksize, ino, size, blocks, atimeMs, mtimeMs, ctimeMs })
    expect([status.isFile(), status.isDirectory(), status.isSocket()]).toEqual([true, false, false])
  })

  it('of many fds at a time, each gets its own', async () => {
    const sizes = await run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const each = yield* all(Array.from({ length: 500 }, (_, i) => blocking.fstat(i % 2 === 0 ? listener.fd : 0)))
      yield* listener.close()
      return each.map((status) => status.isSocket())
    })
    const ofStdin = fstatSync(0).isSocket()
    expect(sizes).toEqual(Array.from({ length: 500 }, (_, i) => i % 2 === 0 || ofStdin))
  })

  it('of an fd that is closed it is EBADF', async () => {
    const error = await run(() => caughtIn(() => blocking.fstat(0x7fff_fffe)))
    expect(error).toMatchObject({ code: 'EBADF', syscall: 'fstat' })
  })

  it('threads are the library\'s own, and bear its name', async () => {
    await run(function* () {
      yield* blocking.fstat(0)
    })
    if (linux) expect(threads().filter((name) => name.startsWith('coreactor-')).length).toBeGreaterThan(0)
  })

  it('hazard 63: more calls than the kernel takes wait in line, and all are made in order', async () => {
    const kernel = nativeKernel()
    let room = 10
    let refused = 0
    const order: number[] = []
    const narrow = Object.defineProperties(Object.create(kernel) as typeof kernel, {
      submit: {
        value: (...args: Parameters<typeof kernel.submit>) => {
          if (room === 0) {
            refused++
            return EAGAIN
          }
          room--
          return kernel.submit(...args)
        }
      },
      takeResult: {
        value: (...args: Parameters<typeof kernel.takeResult>) => {
          room++
          return kernel.takeResult(...args)
        }
      }
    })
    await run(
      function* () {
        for (let i = 0; i < 100; i++) {
          const task = spawn(function* () {
            yield* blocking.fstat(0)
            order.push(i)
          })
          // Those that give up in the line leave their turn to the next.
          if (i % 7 === 3) spawn(() => checkpointThen(() => task.cancel()))
        }
      },
      { kernel: narrow }
    )
    expect(refused).toBeGreaterThan(0)
    // The first ones were begun before they could be called off.
    expect(order.length).toBeGreaterThanOrEqual(100 - 15)
    expect(room).toBeGreaterThanOrEqual(0)
  })
})

function* checkpointThen(act: () => void): Coroutine<void> {
  yield* checkpoint()
  act()
}

function* caughtIn(body: Parameters<typeof caught>[0]): ReturnType<typeof caught> {
  return yield* caught(body)
}

describe('cancelling', () => {
  const NAMES = { 'slow.test': { addresses: ['10.0.0.1'], delay: 1000 }, 'stuck.test': { delay: Infinity } }

  it('a lookup is let go of at once', async () => {
    await inMemory({ names: NAMES }, function* () {
      const error = yield* caught(() => timeout(50, () => blocking.lookup('slow.test')))
      expect(error).toBeInstanceOf(TimeoutError)
      expect(now()).toBe(50)
      // Until it has ended, its thread is taken; nobody is told.
      yield* sleep(2000)
    })
  })

  it('a call that has been begun is waited for, gives its value, and the next operation sees the cancellation', async () => {
    await inMemory({ names: NAMES }, function* () {
      const seen: unknown[] = []
      yield* moveOnAfter(50, function* () {
        const { address } = yield* blocking.lookup('slow.test', { abandon: false })
        seen.push(address, now())
        seen.push(yield* caught(() => checkpoint()))
        yield* checkpoint()
      })
      expect(seen).toEqual(['10.0.0.1', 1000, expect.any(Cancelled)])
    })
  })

  it('a queued call is cancelled outright, abandoned or not', async () => {
    await inMemory({ names: NAMES, threads: 1 }, function* () {
      const first = spawn(() => blocking.lookup('slow.test'))
      yield* checkpoint()
      for (const abandon of [false, true]) {
        const error = yield* caught(() => timeout(50, () => blocking.lookup('slow.test', { abandon })))
        expect(error).toBeInstanceOf(TimeoutError)
      }
      expect(now()).toBe(100)
      expect((yield* first).address).toBe('10.0.0.1')
      // Neither has taken the thread in between.
      expect((yield* blocking.lookup('slow.test')).address).toBe('10.0.0.1')
      expect(now()).toBe(2000)
    })
  })

  it('an abandoned call keeps its thread until it has ended', async () => {
    await inMemory({ names: { ...NAMES, 'fast.test': ['10.0.0.2'] }, threads: 1 }, function* () {
      yield* moveOnAfter(50, () => blocking.lookup('slow.test'))
      yield* blocking.lookup('fast.test')
      expect(now()).toBe(1000)
    })
  })

  it('a call that loses a race at the very moment of its end leaves nothing behind', async () => {
    await inMemory({ names: { 'a.test': ['10.0.0.1'], 'b.test': ['10.0.0.2'] } }, function* () {
      for (let i = 0; i < 3; i++) {
        const { address } = yield* race([blocking.lookup('a.test'), blocking.lookup('b.test')])
        expect(address).toBe('10.0.0.1')
      }
    })
  })

  it('in a cancelled scope no call is made', async () => {
    await inMemory({ names: NAMES }, function* () {
      yield* scope(function* (inside) {
        inside.cancel()
        expect(yield* caught(() => blocking.lookup('slow.test'))).toBeInstanceOf(Cancelled)
      })
      expect(now()).toBe(0)
    })
  })

  it('hazard 45: eight lookups that hang do not delay another call', async () => {
    const kernel = new MemoryKernel({ names: NAMES, threads: 8 })
    await run(
      function* () {
        const stuck = Array.from({ length: 8 }, () => spawn(() => blocking.lookup('stuck.test')))
        yield* checkpoint()
        expect((yield* blocking.stat('/')).isDirectory()).toBe(true)
        expect(now()).toBe(0)
        for (const each of stuck) each.cancel()
      },
      { kernel }
    )
    expect(kernel.openJobs).toBe(0)
  })

  it('one that never ends does not keep the run from ending', async () => {
    const kernel = new MemoryKernel({ names: NAMES })
    await run(
      function* () {
        yield* moveOnAfter(50, () => blocking.lookup('stuck.test'))
      },
      { kernel }
    )
    expect(kernel.openJobs).toBe(0)
  })
})

describe('lookup, from a table', () => {
  const NAMES = { 'both.test': ['10.0.0.1', '2001:db8::1', '10.0.0.2'], 'six.test': ['2001:db8::2'], 'busy.test': { error: 'EAI_AGAIN' as const } }

  it('takes the families and the order that are asked for', async () => {
    const found = await inMemory({ names: NAMES }, function* () {
      const found: Record<string, LookupAddress[]> = {}
      for (const [title, options] of Object.entries({
        any: {},
        four: { family: 4 },
        six: { family: 'IPv6' },
        sixFirst: { order: 'ipv6first' },
        fourFirst: { order: 'ipv4first' }
      } as const)) {
        found[title] = yield* blocking.lookup('both.test', { ...options, all: true })
      }
      return found
    })
    const addresses = Object.fromEntries(Object.entries(found).map(([title, list]) => [title, list.map(({ address }) => address)]))
    expect(addresses).toEqual({
      any: ['10.0.0.1', '2001:db8::1', '10.0.0.2'],
      four: ['10.0.0.1', '10.0.0.2'],
      six: ['2001:db8::1'],
      sixFirst: ['2001:db8::1', '10.0.0.1', '10.0.0.2'],
      fourFirst: ['10.0.0.1', '10.0.0.2', '2001:db8::1']
    })
    expect(found['six']).toEqual([{ address: '2001:db8::1', family: 6 }])
  })

  it('hazard 45: a name without addresses of that family is ENOTFOUND, a resolver that is busy EAI_AGAIN', async () => {
    await inMemory({ names: NAMES }, function* () {
      expect(yield* caught(() => blocking.lookup('six.test', { family: 4 }))).toMatchObject({ code: 'ENOTFOUND', hostname: 'six.test' })
      expect(yield* caught(() => blocking.lookup('none.test'))).toMatchObject({ code: 'ENOTFOUND', errno: -3008 })
      expect(yield* caught(() => blocking.lookup('busy.test'))).toMatchObject({ code: 'EAI_AGAIN', errno: -3001 })
    })
  })

  it('an address is its own answer, and no resolver is asked', async () => {
    await inMemory({}, function* () {
      expect(yield* blocking.lookup('10.1.2.3')).toEqual({ address: '10.1.2.3', family: 4 })
      expect(yield* blocking.lookup('fe80::1%lo', { all: true })).toEqual([{ address: 'fe80::1%lo', family: 6 }])
    })
  })

  it('a name in another alphabet is asked for in its ASCII form', async () => {
    await inMemory({ names: { 'xn--bcher-kva.test': ['10.0.0.9'] } }, function* () {
      expect((yield* blocking.lookup('bücher.test')).address).toBe('10.0.0.9')
    })
  })
})

describe('bad arguments are refused at once, before any effect', () => {
  it.each([
    ['a host that is no text', () => blocking.lookup(5 as never), 'ERR_INVALID_ARG_TYPE'],
    ['a family that is none', () => blocking.lookup('x', { family: 5 as never }), 'ERR_INVALID_ARG_VALUE'],
    ['hints that are text', () => blocking.lookup('x', { hints: 'x' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['an order that is none', () => blocking.lookup('x', { order: 'random' as never }), 'ERR_INVALID_ARG_VALUE'],
    ['an abandon that is text', () => blocking.lookup('x', { abandon: 'yes' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a name to find the name of', () => blocking.lookupService('localhost', 1), 'ERR_INVALID_ARG_VALUE'],
    ['a port out of range', () => blocking.lookupService('127.0.0.1', 65536), 'ERR_OUT_OF_RANGE'],
    ['an fd that is negative', () => blocking.fstat(-1), 'ERR_OUT_OF_RANGE']
  ])('%s', (_, use, code) => {
    expect(use).toThrow(expect.objectContaining({ code }))
  })
})

describe('the process', () => {
  it('stays alive while a call is awaited, and ends when it has ended', async () => {
    const { status, output } = await script(`
      import { blocking } from './dist/index.js'
      const { address } = await blocking.lookup('localhost', { family: 4 })
      console.log(address)
    `)
    expect([status, output.trim()]).toEqual([0, '127.0.0.1'])
  })

  it('hazard 63: process.exit with calls under way neither hangs nor crashes', async () => {
    for (let round = 0; round < 5; round++) {
      const { status, signal, output } = await script(`
        import './test/fixtures/blocking-busy.mjs'
        setTimeout(() => process.exit(7), ${round * 10})
      `)
      expect([status, signal, output]).toEqual([7, null, ''])
    }
  })

  it('hazard 55, 56: workers terminated at any moment, with calls under way, harm neither the process nor each other', async () => {
    const { status, signal, output } = await script('blocking-storm.mjs')
    expect([status, signal, output.trim()]).toEqual([0, null, 'survived'])
  })
})
