/** How processes end that use `offload`: nothing keeps them alive, nothing outlives them, nothing takes them down. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { BUILD_MS } from './child-service.js'
import { root } from './documents.js'

const SCENES = fileURLToPath(new URL('fixtures/offload/scenes.mjs', import.meta.url))

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/setup.mjs')])
}, BUILD_MS)

interface Ended {
  readonly code: number | null
  readonly said: string[]
  readonly complaints: string
}

function play(scene: string, kind: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [SCENES, scene, kind], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, COREACTOR_DEBUG: '', ...env }
  })
  let said = ''
  let complaints = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  // Their children inherit both: 'close' comes when those have ended, too.
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, said: said.split('\n').filter(Boolean), complaints }))
  return { child, ended }
}

const ending = (scene: string, kind: string, env?: NodeJS.ProcessEnv): Promise<Ended> => play(scene, kind, env).ended

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await nextTurn()
}

describe.each(['threads', 'processes'])('a process with jobs on %s', (kind) => {
  it('ends when its own work is done: workers with nothing to do do not keep it alive (hazard 59)', async () => {
    const said = ['3', '/', "{ family: 'IPv6', address: '::1', port: 80 }"]
    expect(await ending('has idle workers', kind)).toEqual({ code: 0, said, complaints: '' })
  })

  it('ends at once with process.exit, and takes a job with it that never ends (hazard 63)', async () => {
    const { code, said, complaints } = await ending('exits while a job runs', kind)
    expect({ code, complaints }).toEqual({ code: 3, complaints: '' })
    if (kind === 'processes') await gone(Number(said[0]))
  })

  it('ends by an uncaught error, and takes a job with it that never ends', async () => {
    const { code, said, complaints } = await ending('throws while a job runs', kind)
    expect(code).toBe(1)
    expect(complaints).toMatch(/Error: of a callback/)
    if (kind === 'processes') await gone(Number(said[0]))
  })

  it('survives workers with fds and timers of their own that are terminated at any moment (hazards 53 to 56)', async () => {
    expect(await ending('storm', kind)).toEqual({ code: 0, said: ['0'], complaints: '' })
  })

  it('survives a job that uses up its memory', async () => {
    const { code, said } = await ending('uses up its memory', kind)
    expect({ code, said }).toEqual({ code: 0, said: ['ERR_COREACTOR_OUT_OF_MEMORY', '3'] })
  })

  it('is warned of a worker that ends on its own (hazard 62)', async () => {
    const { code, said } = await ending('has a worker that ends on its own', kind)
    expect({ code, said }).toEqual({ code: 0, said: ['COREACTOR_WORKER_ENDED'] })
  })

  it('is told of a job that was never driven, in development', async () => {
    const { code, said, complaints } = await ending('is never driven', kind, { COREACTOR_DEBUG: '1' })
    expect({ code, said }).toEqual({ code: 0, said: ['COREACTOR_NEVER_DRIVEN'] })
    expect(complaints).toMatch(/scenes\.mjs/)
  })
})

it('a worker process that does nothing ends with its parent, although that was killed', async () => {
  const { child, ended } = play('is killed', 'processes')
  const [text] = (await once(child.stdout, 'data')) as [string]
  child.kill('SIGKILL')
  await gone(Number(text))
  expect((await ended).code).toBe(null)
})
