/** Blocking calls and descriptors of other addons: the header, what becomes of a job, and the example. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setImmediate as iteration } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  all,
  blocking,
  checkpoint,
  nativeApi,
  pipe,
  run,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  type NativeJob,
  type Pipe,
  type Coroutine
} from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { countTicks, fingerprint, loadAddon, type NativeAddon } from '../examples/native-job.js'
import { EOPNOTSUPP } from '../lib/kernel/errno.js'
import { ENDS_MS } from './patience.js'
import { caught, thrownBy } from './support.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const INCLUDE = join(ROOT, 'native/include')
const load = createRequire(import.meta.url)

/** `test/fixtures/native-probe.c`. */
interface Probe {
  start(api: object): void
  job(returns: number, gate?: number, log?: number, wrong?: string): NativeJob<string>
  live(): number
  forged(version: number, size: number): object
}

let probe: Probe
let probePath: string
let example: NativeAddon

/** Of Node's own headers, or those that stand in for them. */
function nodeHeaders(): string {
  const beside = join(dirname(dirname(realpathSync(process.execPath))), 'include/node')
  return existsSync(beside) ? beside : (load('node-api-headers') as { include_dir: string }).include_dir
}

function compile(...args: string[]): { status: number | null; stderr: string } {
  const compiler = process.env['CC'] ?? 'cc'
  return spawnSync(compiler, ['-I', INCLUDE, '-isystem', nodeHeaders(), '-DNAPI_VERSION=8', ...args], { encoding: 'utf8' })
}

beforeAll(async () => {
  const { build } = (await import(join(ROOT, 'examples/native-job/build.mjs'))) as { build(): string }
  example = loadAddon(build())

  mkdirSync(join(ROOT, 'out/native-job'), { recursive: true })
  probePath = join(ROOT, 'out/native-job/probe.node')
  const link = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-fPIC']
  const source = join(ROOT, 'test/fixtures/native-probe.c')
  expect(compile('-std=gnu11', '-O1', ...link, source, '-o', probePath)).toMatchObject({ status: 0, stderr: '' })
  probe = load(probePath) as Probe
  probe.start(nativeApi())
})

describe('the header', () => {
  it.each([
    ['C99', ['-std=c99', '-x', 'c']],
    ['C11', ['-std=c11', '-x', 'c']],
    ['C++17', ['-std=c++17', '-x', 'c++']]
  ])('is plain %s', (_, language) => {
    const flags = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']
    expect(compile(...flags, ...language, join(INCLUDE, 'coreactor.h'))).toMatchObject({ status: 0, stderr: '' })
  })

  it.each<[what: string, given: () => unknown, message: RegExp]>([
    ['nothing', () => undefined, /not what nativeApi\(\) of coreactor gives/],
    ['an object', () => ({}), /not what nativeApi\(\) of coreactor gives/],
    ['a table of another version', () => probe.forged(2, 4096), /built for another version of coreactor's native interface/],
    ['a table that is too short', () => probe.forged(1, 16), /needs a newer coreactor/]
  ])('takes no %s for the table', (_, given, message) => {
    const start = (): void => probe.start(given() as object)
    expect(start).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NATIVE_API', message: expect.stringMatching(message) }))
  })
})

/** Everything that was given to create_job has been disposed of. */
async function expectDisposed(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (const begun = performance.now(); probe.live() > 0 && performance.now() - begun < 5000; ) {
    gc()
    await iteration()
  }
  expect(probe.live()).toBe(0)
}

/** A job that runs until the gate is closed, and says what happens to it. */
function* held(body: (job: NativeJob<string>, ends: { gate: Pipe; log: Pipe }) => Coroutine<void>, wrong?: string): Coroutine<string> {
  const gate = yield* pipe()
  const log = yield* pipe()
  yield* body(probe.job(0, gate.reader.fd, log.writer.fd, wrong), { gate, log })
  yield* gate.writer.close()
  let said = ''
  while (!said.endsWith('d')) said += String(yield* log.reader.readSome(1))
  for (const end of [gate.reader, log.reader, log.writer]) yield* end.close()
  return said
}

describe('a job of an addon', () => {
  it('is made by a thread of the pool, and gives what the addon makes of it', async () => {
    expect(await run(() => blocking.native(probe.job(0)))).toBe('done')
    expect(await blocking.native(probe.job(0))).toBe('done')
    expect(probe.live()).toBe(0)
  })

  it('gives its number, if the addon makes nothing of it', async () => {
    expect(await blocking.native(probe.job(42, -1, -1, 'no result'))).toBe(42)
    expect(probe.live()).toBe(0)
  })

  it('fails with the errno that it has returned, under its name', async () => {
    const error = await thrownBy(() => blocking.native(probe.job(-2)))
    expect(error).toMatchObject({ name: 'Error', code: 'ENOENT', errno: -2, syscall: 'probe' })
    expect(probe.live()).toBe(0)
  })

  it('fails with what the addon throws', async () => {
    const error = await thrownBy(() => blocking.native(probe.job(13)))
    expect(error).toMatchObject({ name: 'RangeError', code: 'ERR_PROBE', message: 'thirteen' })
    expect(probe.live()).toBe(0)
  })

  it('is not begun before its operation is driven, and is disposed of if that never is', async () => {
    const log = await pipe()
    blocking.native(probe.job(0, -1, log.writer.fd))
    await checkpoint()
    expect(log.reader.tryRead(Buffer.alloc(1))).toBe(null)
    const never = probe.live()
    expect(never).toBeGreaterThan(0)
    await expectDisposed()
    expect(log.reader.tryRead(Buffer.alloc(2))).toBe(1)
    await log.reader.close()
    await log.writer.close()
  })

  it('is handed over once', async () => {
    const job = probe.job(0)
    const first = blocking.native(job)
    expect(() => blocking.native(job)).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_JOB_USED' }))
    expect(await first).toBe('done')
    expect(() => blocking.native(job)).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_JOB_USED' }))
  })

  it('that runs is told when it is cancelled, and waited for', async () => {
    const said = await run(() =>
      held(function* (job, { log }) {
        const running = spawn(() => blocking.native(job))
        yield* log.reader.readSome(1)
        running.cancel()
        yield* caught(() => running)
      })
    )
    expect(said).toBe('cd')
  })

  it('that runs and knows no cancellation is waited for', async () => {
    let ended = false
    const said = await run(() =>
      held(function* (job, { gate, log }) {
        const running = spawn(function* () {
          try {
            yield* blocking.native(job)
            yield* checkpoint()
          } finally {
            ended = true
          }
        })
        yield* log.reader.readSome(1)
        running.cancel()
        yield* sleep(5)
        expect(ended).toBe(false)
        yield* gate.writer.close()
        yield* caught(() => running)
        expect(ended).toBe(true)
      }, 'no cancel')
    )
    expect(said).toBe('d')
  })

  it('that is abandoned is let go of at once, and disposed of when it has ended', async () => {
    const said = await run(() =>
      held(function* (job, { log }) {
        const running = spawn(() => blocking.native(job, { abandon: true }))
        yield* log.reader.readSome(1)
        running.cancel()
        yield* caught(() => running)
        expect(log.reader.tryRead(Buffer.alloc(1))).toBe(null)
      }, 'no cancel')
    )
    expect(said).toBe('d')
  })

  it('that is cancelled in the queue never runs', async () => {
    const said = await run(() =>
      held(function* (job, { gate }) {
        // More than there are threads: the last one has to wait.
        const others = Array.from({ length: 40 }, () => spawn(() => blocking.native(probe.job(0, gate.reader.fd, -1))))
        yield* checkpoint()
        const last = spawn(() => blocking.native(job))
        yield* checkpoint()
        yield* checkpoint()
        last.cancel()
        yield* caught(() => last)
        yield* gate.writer.close()
        yield* all(others)
      })
    )
    expect(said).toBe('d')
    expect(probe.live()).toBe(0)
  })

  it.each<[wrong: string, code: string, message: RegExp]>([
    ['short', 'ERR_COREACTOR_NATIVE_API', /coreactor_job of \d+ bytes, and this library knows one of \d+: set its size/],
    ['long', 'ERR_COREACTOR_NATIVE_API', /coreactor_job of \d+ bytes, and this library knows one of \d+: set its size/],
    ['no run', 'ERR_INVALID_ARG_VALUE', /needs a function to run/],
    ['no name', 'ERR_INVALID_ARG_VALUE', /needs a name/],
    ['no lane', 'ERR_INVALID_ARG_VALUE', /there is no lane 7/]
  ])('is refused if it breaks the rules: %s', (wrong, code, message) => {
    const make = (): unknown => probe.job(0, -1, -1, wrong)
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    expect(probe.live()).toBe(0)
  })

  it.each<[what: unknown, code: string]>([
    [undefined, 'ERR_INVALID_ARG_TYPE'],
    [7, 'ERR_INVALID_ARG_TYPE'],
    [{}, 'ERR_INVALID_ARG_VALUE'],
    [new Proxy({}, {}), 'ERR_INVALID_ARG_VALUE']
  ])('is not %s', (what, code) => {
    expect(() => blocking.native(what as NativeJob)).toThrow(expect.objectContaining({ code }))
    expect(() => blocking.native(nativeApi() as NativeJob)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  })

  it('does not run in memory', async () => {
    const kernel = new MemoryKernel()
    const error = await thrownBy(() => run(() => blocking.native(probe.job(0)), { kernel }))
    expect(error).toMatchObject({ errno: EOPNOTSUPP, syscall: 'native' })
    await expectDisposed()
  })
})

it('hazard 54: a worker may be terminated in a job of an addon that is unloaded with it', () => {
  const fixture = fileURLToPath(new URL('fixtures/native-worker.mjs', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [fixture, probePath], { encoding: 'utf8', timeout: ENDS_MS })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'rd\n'.repeat(3), stderr: '' })
})

describe('the example', () => {
  it('hashes on the pool, and a coroutine waits for its descriptor', async () => {
    const ticking = run(() => countTicks(example, 1, 3))
    expect(await run(() => fingerprint(example, Buffer.from('a')))).toBe('af63dc4c8601ec8c')
    expect(await ticking).toBe(3)
  })

  it('comes back from a long computation when it is cancelled', async () => {
    const error = await thrownBy(() => run(() => timeout(1, () => fingerprint(example, Buffer.alloc(65536), 0xffff_ffff))))
    expect(error).toBeInstanceOf(TimeoutError)
  })

  it('stops listening when it is cancelled, and the addon notices', async () => {
    const error = await thrownBy(() => run(() => timeout(1, () => countTicks(example, 1, 0xffff_ffff))))
    expect(error).toBeInstanceOf(TimeoutError)
  })
})
