/** `COREACTOR_DEBUG=1`: what programs that are wrong are told, and that programs that are right are told nothing. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { op, run, sleep } from 'coreactor'
import { ENDS_MS } from './patience.js'
import { thrownBy } from './support.js'

const FIXTURE = fileURLToPath(new URL('fixtures/guard-rails.mjs', import.meta.url))
const source = readFileSync(FIXTURE, 'utf8').split('\n')

interface Warning {
  readonly code: string
  readonly message: string
  /** Of the first frame below it. */
  readonly site: string
}

/** Plays a scene of the fixture; what it prints, and the warnings in it. */
function play(scene: string, debug = '1') {
  const env = { ...process.env, COREACTOR_DEBUG: debug }
  const options = { encoding: 'utf8', timeout: ENDS_MS, killSignal: 'SIGKILL', env } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', FIXTURE, scene], options)
  const all = [...stderr.matchAll(/\[(COREACTOR_\w+)\] CoreactorWarning: (.*)\n +at (.*)/g)].map(
    ([, code = '', message = '', frame = '']): Warning => ({ code, message, site: /[\w-]+\.mjs:\d+/.exec(frame)?.[0] ?? frame })
  )
  // Where the machine is slow, any step may be.
  const isSlow = ({ code }: Warning): boolean => code === 'COREACTOR_SLOW_STEP'
  return { status, stdout, stderr, warnings: all.filter((each) => !isSlow(each)), slowSteps: all.filter(isSlow) }
}

/** Where the fixture has the comment `// site: …`. */
function site(comment: string): string {
  const line = source.findIndex((each) => each.endsWith(`// site: ${comment}`))
  expect(line).toBeGreaterThan(0)
  return `guard-rails.mjs:${line + 1}`
}

const neverDriven = (comment: string): Warning => ({
  code: 'COREACTOR_NEVER_DRIVEN',
  message: 'an operation was made and never driven: is a "yield*" or an "await" missing?',
  site: site(comment)
})

describe('an operation that is never driven', () => {
  it.each([
    ['forgets a star', 'forgotten star'],
    ['forgets an await', 'forgotten await']
  ])('is reported when no task is left, with where it was made: a program that %s', (scene, comment) => {
    expect(play(scene).warnings).toEqual([neverDriven(comment)])
  })

  it('is reported when it has been collected, if its task lives on', () => {
    const { warnings, stderr } = play('forgets a star in a task that lives on')
    expect(warnings).toEqual([neverDriven('collected')])
    expect(stderr.indexOf('NEVER_DRIVEN')).toBeLessThan(stderr.indexOf('still running'))
  })

  it('is reported when the process ends, if it was made outside any task', () => {
    const { warnings, stderr } = play('forgets an operation outside any task')
    expect(warnings).toEqual([neverDriven('outside')])
    expect(stderr.indexOf('NEVER_DRIVEN')).toBeGreaterThan(stderr.indexOf('still running'))
  })

  it('is one report, if it was made of others', () => {
    expect(play('forgets a race').warnings).toEqual(['race', 'serve', 'map'].map(neverDriven))
  })

  it('is reported before the TypeError of a task that used it as its result', () => {
    const { warnings, stderr } = play('uses an operation as its result')
    expect(warnings).toEqual([neverDriven('as its result')])
    expect(stderr.indexOf('NEVER_DRIVEN')).toBeLessThan(stderr.indexOf('TypeError'))
  })
})

describe('a step of more than 100 ms', () => {
  it.each([
    ['takes its time', 'slow', 'slow'],
    ['takes its time in an awaited operation', 'await', 'slow await'],
    ['takes its time in a handler', 'slow', 'slow handler']
  ])('is reported with the task and where it was spawned: a program that %s', (scene, task, comment) => {
    const message = expect.stringContaining(`the task ${task}#`) as string
    expect(play(scene).slowSteps).toContainEqual({ code: 'COREACTOR_SLOW_STEP', message, site: site(comment) })
  })
})

describe('an error that nobody sees', () => {
  const uncollected = { code: 'COREACTOR_UNCOLLECTED', message: 'a deferred was rejected, and nobody waited for it: the answer is lost' }

  it('of a deferred is reported when no task is left, with where it was made', () => {
    expect(play('rejects for nobody').warnings).toEqual([{ ...uncollected, site: site('deferred') }])
  })

  it('of a deferred is reported when that has been collected', () => {
    const { warnings, stderr } = play('rejects for nobody in a task that lives on')
    expect(warnings).toEqual([{ ...uncollected, site: site('deferred, collected') }])
    expect(stderr.indexOf('UNCOLLECTED')).toBeLessThan(stderr.indexOf('still running'))
  })

  it('of a task in the background is reported with the task and where it was spawned, and then thrown', () => {
    const { status, warnings, stderr } = play('fails in the background')
    expect(warnings).toEqual([
      { code: 'COREACTOR_UNCOLLECTED', message: expect.stringMatching(/^the task serve :\d+#2 has failed, and nobody waits for it:/), site: site('background') }
    ])
    expect(stderr.indexOf('UNCOLLECTED')).toBeLessThan(stderr.indexOf('ScopeError'))
    expect(status).toBe(1)
  })
})

it.each([
  'an echo',
  'an echo with await',
  'a listener in a loop',
  'combinators',
  'combinators that are cut off',
  'timeouts',
  'a task that is cut off before it comes to what it has made',
  'synchronisation',
  'a map that is left early',
  'operations made together outside any task',
  'two runtimes side by side',
  'a rejection that somebody waits for',
  'a short step'
])('nothing is printed of a program that is right: %s', (scene) => {
  expect(play(scene)).toMatchObject({ status: 0, stdout: '', stderr: '' })
})

it.each(['forgets a star', 'takes its time', 'rejects for nobody'])('nothing is printed when it is off: a program that %s', (scene) => {
  expect(play(scene, '0')).toMatchObject({ status: 0, stderr: '' })
})

describe('a bare yield', () => {
  it.each<[what: string, value: () => unknown, advice: RegExp]>([
    ['an operation', () => sleep(1), /yielded an operation with a bare "yield"; operations are driven with "yield\*"$/],
    ['a promise', () => Promise.resolve(1), /yielded a promise with a bare "yield"; wait for it with "yield\* until\(promise\)"$/],
    ['a generator', () => (function* () {})(), /yielded a generator with a bare "yield"; "yield\*" it$/],
    ['an array of operations', () => [op(function* () {})], /yielded an array .*"yield\* all\(operations\)"$/],
    ['a number', () => 7, /yielded 7 with a bare "yield"/],
    ['nothing', () => undefined, /yielded undefined with a bare "yield"/],
    ['an object without a prototype', () => Object.create(null) as object, /yielded an object with a bare "yield"/]
  ])('of %s is an error at once that names the task and says what to write', async (_, value, advice) => {
    const error = await thrownBy(() =>
      run(function* forgetful() {
        yield value() as never
      })
    )
    expect(error.code).toBe('ERR_COREACTOR_BARE_YIELD')
    expect(error.message).toMatch(/^the coroutine of task forgetful#\d+ yielded /)
    expect(error.message).toMatch(advice)
  })
})
