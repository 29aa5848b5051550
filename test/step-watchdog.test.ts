/** The watchdog of the loop: what it says of a step that does not come back, while it does not. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as iteration } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { run, sleep, type BlockedStep, type WatchdogOptions } from 'coreactor'

const FIXTURE = fileURLToPath(new URL('fixtures/step-watchdog.mjs', import.meta.url))
const source = readFileSync(FIXTURE, 'utf8').split('\n')

interface Report {
  readonly code: string
  readonly message: string
  /** Of the first frame below it. */
  readonly site: string
}

/** Where the fixture has the comment `// site: …`. */
function site(comment: string): string {
  const line = source.findIndex((each) => each.endsWith(`// site: ${comment}`))
  expect(line).toBeGreaterThan(0)
  return `step-watchdog.mjs:${line + 1}`
}

function reportsIn(stderr: string): Report[] {
  return [...stderr.matchAll(/\[(COREACTOR_\w+)\] CoreactorWarning: (.*)\n +at (.*)/g)].map(([, code = '', message = '', frame = '']) => ({
    code,
    message,
    site: /[\w-]+\.mjs:\d+/.exec(frame)?.[0] ?? frame
  }))
}

interface Played {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Plays a scene of the fixture; tells it to go on when it has been reported as stuck, so many times. */
async function play(scene: string, { stuck = 1, debug = '0', flags = [] as string[] } = {}): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'watchdog-'))
  const file = join(folder, 'told')
  const child = spawn(process.execPath, [...flags, FIXTURE, scene, file], { env: { ...process.env, COREACTOR_DEBUG: debug } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    if (stderr.split('[COREACTOR_BLOCKED]').length <= stuck) return
    child.stdin.end()
    writeFileSync(file, '')
  })
  const [status] = (await once(child, 'close')) as [number | null]
  rmSync(folder, { recursive: true })
  return { status, stdout, stderr }
}

const STUCK = /^the task stuck#\d+ has run for \d+ ms without a wait, and has not come back: everybody else waits for it \(\d+ ms of CPU/
const ENDED = /^the task stuck#\d+ ran for \d+ ms without a wait, and everybody else waited for it$/
const matching = (pattern: RegExp): string => expect.stringMatching(pattern) as string

describe('a step that does not come back is reported while it does not, and again when it has', () => {
  it.each([
    'a call that blocks',
    'a computation',
    'a child that is waited for',
    'a later step',
    'an async function after an operation',
    'an async function after an operation that has failed',
    'an operation that is awaited',
    'an operation that is awaited outside any task',
    'one of a race',
    'a handler',
    'a task in memory',
    'a task that was renamed',
    'the main body',
    'the same body again'
  ])('with the name of its task and where that was spawned: %s', async (scene) => {
    const { status, stdout, stderr } = await play(scene)
    const reports = reportsIn(stderr)
    expect(reports).toEqual([
      { code: 'COREACTOR_BLOCKED', message: matching(STUCK), site: site(scene) },
      { code: 'COREACTOR_SLOW_STEP', message: matching(ENDED), site: site(scene) }
    ])
    const [first = '', second = ''] = reports.map(({ message }) => /#\d+/.exec(message)?.[0])
    expect(first).toBe(second)
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  })

  it('also if it is in native code, from which no JavaScript could report anything', async () => {
    const { stderr } = await play('a call into native code')
    expect(stderr.indexOf('COREACTOR_BLOCKED')).toBeGreaterThan(0)
    expect(stderr.indexOf('it has come back')).toBeGreaterThan(stderr.indexOf('COREACTOR_BLOCKED'))
    expect(stderr.indexOf('COREACTOR_SLOW_STEP')).toBeGreaterThan(stderr.indexOf('it has come back'))
  })

  it('with what it is stuck in: it computes, or a call blocks', async () => {
    const computing = await play('a computation')
    expect(computing.stderr).toMatch(/waits for it \(\d+ ms of CPU\)\n/)
    const blocking = await play('a call that blocks')
    expect(blocking.stderr).toMatch(/waits for it \(\d+ ms of CPU, so it is in a call that blocks\)\n/)
  })

  it('to onBlocked instead, if there is one', async () => {
    const { stdout, stderr } = await play('onBlocked')
    expect(reportsIn(stderr).map(({ code }) => code)).toEqual(['COREACTOR_BLOCKED'])
    const step = JSON.parse(stdout) as BlockedStep
    expect(step).toEqual({ task: matching(/^stuck#\d+$/), spawnedAt: matching(/step-watchdog\.mjs/), ms: expect.any(Number), cpuMs: expect.any(Number) })
    expect(step.spawnedAt).toContain(site('onBlocked'))
    expect(step.ms).toBeGreaterThanOrEqual(100)
  })

  it('with COREACTOR_DEBUG=1, too, once', async () => {
    const { stderr } = await play('nobody but COREACTOR_DEBUG', { debug: '1' })
    expect(reportsIn(stderr)).toEqual([
      { code: 'COREACTOR_BLOCKED', message: matching(STUCK), site: site('nobody but COREACTOR_DEBUG') },
      { code: 'COREACTOR_SLOW_STEP', message: matching(ENDED), site: site('nobody but COREACTOR_DEBUG') }
    ])
  })

  it('of each worker by itself', async () => {
    const { status, stderr } = await play('workers', { stuck: 2 })
    expect(status).toBe(0)
    const workers = [...stderr.matchAll(/^\(node:\d+, worker (\d+)\) \[COREACTOR_BLOCKED\]/gm)].map(([, worker]) => worker)
    expect(workers.sort()).toEqual(['1', '2'])
  })
})

it('with an inspector a thread that does not compute is taken for one at a breakpoint', async () => {
  const { stderr } = await play('a breakpoint', { flags: ['--inspect=127.0.0.1:0'] })
  const stuck = reportsIn(stderr).filter(({ code }) => code === 'COREACTOR_BLOCKED')
  expect(stuck).toEqual([{ code: 'COREACTOR_BLOCKED', message: matching(STUCK), site: site('a breakpoint') }])
})

it('hazard 55: workers may be terminated while they are looked at', async () => {
  expect(await play('workers that are terminated')).toMatchObject({ status: 0, stdout: '' })
})

/** Whether there is the thread that watches; it is the first that the library names. */
const watching = (): boolean =>
  readdirSync('/proc/self/task').some((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, 'latin1') === 'coreactor-0\n'
    } catch {
      return false // It has ended.
    }
  })

describe.runIf(process.platform === 'linux')('the thread that watches', () => {
  it('is there while a run that asked for it lasts, and not otherwise', async () => {
    await run(() => sleep(1))
    expect(watching()).toBe(false)
    await Promise.all([
      run(() => sleep(5), { watchdog: {} }),
      run(
        function* () {
          while (!watching()) yield* sleep(1)
        },
        { watchdog: { ms: 1000 } }
      )
    ])
    while (watching()) await iteration()
  })
})

it.each<[watchdog: unknown, code: string]>([
  [true, 'ERR_INVALID_ARG_TYPE'],
  [null, 'ERR_INVALID_ARG_TYPE'],
  [{ ms: '20' }, 'ERR_INVALID_ARG_TYPE'],
  [{ ms: NaN }, 'ERR_OUT_OF_RANGE'],
  [{ ms: 0 }, 'ERR_OUT_OF_RANGE'],
  [{ ms: Infinity }, 'ERR_OUT_OF_RANGE'],
  [{ onBlocked: 1 }, 'ERR_INVALID_ARG_TYPE']
])('refuses what is no watchdog: %j', (watchdog, code) => {
  expect(() => run(() => sleep(0), { watchdog: watchdog as WatchdogOptions })).toThrow(expect.objectContaining({ code }))
})
