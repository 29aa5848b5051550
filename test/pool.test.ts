/** The pool as a whole: its limits, what waits for what, what is still running, and processes that are waited for. */
import { execFileSync, spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { all, blocking, checkpoint, now, run, spawn, timeout, TimeoutError, type Coroutine } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { ENDS_MS } from './patience.js'
import { caught } from './support.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Processes take long to start where others use the machine. */

let directory: string
const at = (name: string): string => join(directory, name)

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'coreactor-pool-'))
})

afterEach(() => {
  blocking.configure({ files: 8, lookups: 4, waits: 128, idle: 10_000, queue: 4096 })
  rmSync(directory, { recursive: true })
})

function fifos(count: number): string[] {
  const paths = Array.from({ length: count }, (_, i) => at(`fifo${i}`))
  execFileSync('mkfifo', paths)
  return paths
}

async function script(code: string, env = {}): Promise<{ status: number | null; signal: string | null; output: string }> {
  const child = spawnProcess(process.execPath, ['--input-type=module', '-e', code], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: ENDS_MS,
    killSignal: 'SIGKILL'
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { status, signal, output }
}

describe('limits', () => {
  it('hazard 63: a call that waits for another one finds a thread for it, however many wait', async () => {
    const paths = fifos(40)
    await run(function* () {
      blocking.configure({ files: 2 })
      // Forty that wait, each for one that comes after all of them; and files meanwhile.
      const readers = paths.map((path) => spawn(() => blocking.readFile(path, 'utf8')))
      while (blocking.statistics().waits.running < 40) yield* checkpoint()
      writeFileSync(at('file'), 'not delayed')
      expect(yield* blocking.readFile(at('file'), 'utf8')).toBe('not delayed')
      yield* all(paths.map((path) => blocking.writeFile(path, path)))
      expect(yield* all(readers)).toEqual(paths)
    })
  })

  it('of each kind hold by themselves, and are read and set while calls are made', async () => {
    const paths = fifos(3)
    await run(function* () {
      blocking.configure({ waits: 1 })
      const readers = paths.map((path) => spawn(() => blocking.readFile(path, 'utf8')))
      const counts = (): [number, number] => [blocking.statistics().waits.running, blocking.statistics().waits.queued]
      while (counts()[0] < 1 || counts()[1] < 2) yield* checkpoint()
      expect(counts()).toEqual([1, 2])
      blocking.configure({ waits: 2 })
      while (counts()[0] < 2) yield* checkpoint()
      expect(blocking.statistics().waits).toEqual({ queued: 1, running: 2, limit: 2 })
      blocking.configure({ waits: 128 })
      while (counts()[0] < 3) yield* checkpoint()
      yield* all(paths.map((path) => blocking.writeFile(path, 'x')))
      expect(yield* all(readers)).toEqual(['x', 'x', 'x'])
    })
  })

  it('hazard 63: calls beyond the bound of the queue wait in line, and all are made', async () => {
    await run(function* () {
      blocking.configure({ queue: 5 })
      let most = 0
      const calls = Array.from({ length: 200 }, () =>
        spawn(function* () {
          yield* blocking.stat(directory)
          most = Math.max(most, blocking.statistics().waiting)
        })
      )
      yield* all(calls)
      expect(most).toBeGreaterThan(100)
      expect(blocking.statistics().waiting).toBe(0)
    })
  })

  it('threads that have nothing to do end', async () => {
    await run(function* () {
      blocking.configure({ idle: 20 })
      yield* all(Array.from({ length: 50 }, () => blocking.stat(directory)))
      while (blocking.statistics().threads > 0) yield* checkpoint()
    })
    expect(threadNames().filter((name) => name.startsWith('coreactor-'))).toEqual([])
  })

  it('hazard 45: on a kernel in memory, too', async () => {
    const kernel = new MemoryKernel({ threads: 2, names: { 'stuck.test': { delay: Infinity } } })
    await run(
      function* () {
        const stuck = Array.from({ length: 8 }, () => spawn(() => blocking.lookup('stuck.test')))
        yield* checkpoint()
        yield* checkpoint()
        expect(blocking.statistics()).toMatchObject({ lookups: { queued: 7, running: 1, limit: 1 }, files: { limit: 2 } })
        expect(blocking.running().map(({ ms }) => ms)).toEqual([0, ...new Array<null>(7).fill(null)])
        expect(yield* caught(() => blocking.stat('/none'))).toMatchObject({ code: 'ENOENT', syscall: 'stat', path: '/none' })
        expect(now()).toBe(0)
        for (const each of stuck) each.cancel()
      },
      { kernel }
    )
    expect(kernel.openJobs).toBe(0)
  })
})

function threadNames(): string[] {
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      return [readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim()]
    } catch {
      return [] // It has ended.
    }
  })
}

describe('what is still running', () => {
  it('is listed, with what it is made on, for how long, and whether anybody waits', async () => {
    const [path] = fifos(1)
    await run(function* () {
      const reading = spawn(() => blocking.readFile(path as string, { abandon: true }))
      while (blocking.statistics().waits.running === 0) yield* checkpoint()
      expect(blocking.running()).toEqual([{ what: `read ${path}`, ms: expect.any(Number), abandoned: false }])
      reading.cancel()
      yield* caught(() => reading)
      expect(blocking.running()).toEqual([{ what: `read ${path}`, ms: expect.any(Number), abandoned: true }])
      yield* blocking.writeFile(path as string, '')
      while (blocking.running().length > 0) yield* checkpoint()
    })
  })

  it('hazard 63: a process ends in spite of it, and says so with COREACTOR_DEBUG=1', async () => {
    const [path] = fifos(1)
    const code = `
      import { blocking, checkpoint, run, spawn } from './dist/index.js'
      await run(function* () {
        const opening = spawn(() => blocking.open(${JSON.stringify(path)}, 'r', { abandon: true }))
        while (blocking.statistics().waits.running === 0) yield* checkpoint()
        opening.cancel()
      })
      console.log('main has ended')
    `
    expect(await script(code)).toEqual({ status: 0, signal: null, output: 'main has ended\n' })
    const { status, output } = await script(code, { COREACTOR_DEBUG: '1' })
    expect(status).toBe(0)
    expect(output).toContain('main has ended')
    expect(output).toMatch(/coreactor: 1 blocking call is still running at exit:\n {2}open .*fifo0, for \d+ ms, abandoned\n/)
  })

  it('hazard 63: process.exit with calls that hang neither hangs nor crashes', async () => {
    const paths = fifos(4)
    const code = `
      import { blocking, run, spawn } from './dist/index.js'
      void run(function* () {
        for (const path of ${JSON.stringify(paths)}) spawn(() => blocking.open(path))
      })
      setTimeout(() => process.exit(7), 100)
    `
    expect(await script(code)).toEqual({ status: 7, signal: null, output: '' })
  })
})

describe('a process', () => {
  /** Of a shell that goes on when its own parent has ended: its end is nobody's business in this process. */
  function orphan(command: string): number {
    return Number(execFileSync('sh', ['-c', `(${command}) >/dev/null 2>&1 & echo $!`], { encoding: 'utf8' }))
  }

  it('that is no child is waited for: its end is known, and not how', async () => {
    const pid = orphan(`cat ${fifos(1)[0]}`)
    await run(function* () {
      const ended = spawn(() => blocking.waitpid(pid))
      yield* checkpoint()
      yield* checkpoint()
      expect(ended.state).toBe('parked')
      // No thread waits for it.
      expect(blocking.running()).toEqual([])
      yield* blocking.writeFile(at('fifo0'), '')
      expect(yield* ended).toEqual({ pid, code: null, signal: null })
      expect(yield* caught(() => blocking.waitpid(0x7fff_fffe))).toMatchObject({ code: 'ESRCH', syscall: 'pidfd_open' })
    })
  })

  it('that is a child of Node is looked at without being taken from Node', async () => {
    const child = spawnProcess('sh', ['-c', 'read line; exit 3'], { stdio: ['pipe', 'ignore', 'ignore'] })
    const exit = once(child, 'exit')
    const ended = await run(function* () {
      const waiting = spawn(() => blocking.waitpid(child.pid as number, { reap: false }))
      yield* checkpoint()
      child.stdin.end('\n')
      return yield* waiting
    })
    // Node may have been quicker: then it is no child any more.
    expect([3, null]).toContain(ended.code)
    expect(await exit).toEqual([3, null])
  })

  it('is waited for as a child, by its number and as any, and how it has ended is told', async () => {
    const { status, output } = await script(`
      import { blocking, run, spawn, timeout } from './dist/index.js'
      import { system } from './test/fixtures/descriptor/system-calls.mjs'
      const { fork } = system
      await run(function* () {
        const pid = fork(5, 0)
        console.log(JSON.stringify({ ...(yield* blocking.waitpid(pid)), pid: 0 }))
        const [first, second] = [fork(0, 9), fork(6, 0)]
        const both = [yield* blocking.waitAny(), yield* blocking.waitAny()]
        const ended = [first, second].map((pid) => both.find((each) => each.pid === pid))
        console.log(JSON.stringify(ended.map(({ code, signal }) => [code, signal])))
        try { yield* blocking.waitAny() } catch (error) { console.log(error.code, error.syscall) }
        const slow = fork(-1, 0)
        const waiting = spawn(() => blocking.waitAny())
        while (blocking.statistics().waits.running === 0) yield* blocking.stat('.')
        waiting.cancel()
        process.kill(slow, 'SIGTERM')
        const { signal } = yield* blocking.waitpid(slow)
        console.log(signal)
      })
    `)
    expect(output.split('\n')).toEqual([
      JSON.stringify({ pid: 0, code: 5, signal: null }),
      JSON.stringify([[null, 'SIGKILL'], [6, null]]),
      'ECHILD waitid',
      'SIGTERM',
      ''
    ])
    expect(status).toBe(0)
  })

  it('that does not end is waited for until it is called off, and can be waited for again', async () => {
    const pid = orphan(`cat ${fifos(1)[0]}`)
    await run(function* () {
      expect(yield* caught(() => timeout(20, () => blocking.waitpid(pid) as unknown as Coroutine<unknown>))).toBeInstanceOf(TimeoutError)
      process.kill(pid, 'SIGKILL')
      expect((yield* blocking.waitpid(pid)).pid).toBe(pid)
    })
  })
})
