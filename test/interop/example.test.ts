/** The example http-mysql from end to end: a process of its own, MariaDB, clients, and SIGTERM. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent, fetch } from 'undici'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { makeCertificate } from './certificate.js'
import { startMariaDb, type RealServer } from './servers.js'

const program = join(fileURLToPath(new URL('../..', import.meta.url)), 'out/examples/http-mysql/main.js')

let database: RealServer
beforeAll(async () => {
  database = await startMariaDb(await makeCertificate())
})
afterAll(() => database?.stop())

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Application {
  readonly url: string
  readonly process: ChildProcess
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number | null>
  output(): string
}

function launch(env: Record<string, string>): Omit<Application, 'url'> & { readonly said: Promise<string> } {
  const child = spawn(process.execPath, [program, '--port', '0'], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ended = once(child, 'close').then(([code]) => code as number | null)
  cleanUps.push(() => {
    child.kill('SIGKILL')
    return ended
  })
  const said = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        const url = /Ready on (\S+:\d+)\./.exec(output)?.[1]
        if (url !== undefined) resolve(`http://${url}`)
      })
    }
    void ended.then(() => reject(new Error(`it has ended:\n${output}`)))
  })
  said.catch(() => {})
  return { process: child, ended, output: () => output, said }
}

async function start(): Promise<Application> {
  const { said, ...rest } = launch({
    MYSQL_HOST: '127.0.0.1',
    MYSQL_PORT: String(database.port),
    MYSQL_USER: 'app',
    MYSQL_PASSWORD: 'secret'
  })
  return { ...rest, url: await said }
}

/** A client whose connections are closed after the test. */
function client(): (url: string, options?: { method?: string; body?: string; signal?: AbortSignal }) => Promise<{ status: number; body: unknown }> {
  const dispatcher = new Agent()
  cleanUps.push(() => dispatcher.destroy())
  return async (url, options = {}) => {
    const response = await fetch(url, { ...options, dispatcher })
    return { status: response.status, body: await response.json() }
  }
}

it('says how to start a database if none is configured', async () => {
  const { ended, output } = launch({})
  expect(await ended).toBe(2)
  expect(output()).toMatch(/No database is configured/)
  expect(output()).toMatch(/MYSQL_HOST=127\.0\.0\.1/)
})

it('serves from the database, computes on another core, refuses what is wrong, and cuts off what takes too long', async () => {
  const { url, process, ended, output } = await start()
  const ask = client()
  expect(await ask(`${url}/visits`, { method: 'POST', body: 'me' })).toEqual({ status: 200, body: { id: 1 } })
  const many = Array.from({ length: 50 }, (_, i) => ask(`${url}/visits`, { method: 'POST', body: `nr. ${i}` }))
  for (const { status } of await Promise.all(many)) expect(status).toBe(200)
  const { body } = await ask(`${url}/visits`)
  expect(body).toHaveLength(51)
  expect((body as object[])[0]).toEqual({ id: 1, name: 'me' })

  // While a worker computes, and while queries take too long, others are answered.
  const slow = [ask(`${url}/primes?below=200000`), ask(`${url}/sleep?seconds=60`)]
  expect((await ask(`${url}/sleep?seconds=0`)).body).toEqual({ slept: 0 })
  const [primes, cutOff] = await Promise.all(slow)
  expect(primes).toEqual({ status: 200, body: { below: 200_000, primes: 17_984 } })
  expect(cutOff?.status).toBe(504)
  expect((await ask(`${url}/primes?below=100000000`)).status).toBe(504)

  expect((await ask(`${url}/primes?below=all`)).status).toBe(400)
  expect((await ask(`${url}/nowhere`)).status).toBe(404)
  expect((await ask(`${url}/visits`, { method: 'POST', body: 'x'.repeat(5000) })).status).toBe(413)

  // A client that goes away takes nothing with it.
  const leaving = new AbortController()
  const left = ask(`${url}/sleep?seconds=60`, { signal: leaving.signal })
  setImmediate(() => leaving.abort())
  await expect(left).rejects.toThrow()
  expect((await ask(`${url}/visits`)).status).toBe(200)

  process.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(output()).toMatch(/Stopped\.\n$/)
})

it('on SIGTERM answers what was asked, accepts nothing more, and ends', async () => {
  const { url, process, ended } = await start()
  const ask = client()
  await ask(`${url}/visits`)
  const asked = ask(`${url}/sleep?seconds=1`)
  // The query has begun: then the process is told to stop.
  const watch = client()
  await watch(`${url}/visits`)
  process.kill('SIGTERM')
  expect(await asked).toEqual({ status: 200, body: { slept: 1 } })
  expect(await ended).toBe(0)
  await expect(client()(`${url}/visits`)).rejects.toThrow()
})
