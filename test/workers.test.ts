/** Worker threads and the life of an environment: started, used, and ended at any moment. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { connect, run, serve, spawn, until } from 'coreactor'
import { ownRuntime } from '../lib/runtime/current.js'
import { randomFrom, thrownBy } from './support.js'

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

/** Runs a fixture in a process of its own; what it printed and how it ended. */
function child(name: string, ...args: string[]): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture(name), ...args], { encoding: 'utf8', timeout: 30_000 })
  return { status, signal, stdout, stderr }
}

const openFds = (): number => readdirSync('/proc/self/fd').length
const threads = (): number => readdirSync('/proc/self/task').length

it('hazard 53: workers are terminated in the middle of anything, and leave no socket and no thread', { timeout: 60_000 }, async () => {
  const seed = Date.now() >>> 0
  const random = randomFrom(seed)
  const warmUp = new Worker(fixture('busy-worker.mjs'))
  await once(warmUp, 'message')
  await warmUp.terminate()
  const before = { fds: openFds(), threads: threads() }
  await run(function* () {
    // The main thread serves throughout.
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
    })
    for (let i = 0; i < 100; i++) {
      const worker = new Worker(fixture('busy-worker.mjs'))
      yield* until(once(worker, 'message'))
      const turns = Math.floor(random() * 8)
      for (let turn = 0; turn < turns; turn++) yield* until(new Promise((resolve) => setImmediate(resolve)))
      const client = yield* connect({ port: server.address.port })
      yield* client.write(`round ${i}`)
      const terminated = worker.terminate()
      expect(String(yield* client.readSome())).toBe(`round ${i}`)
      client.reset()
      yield* until(terminated)
    }
    yield* server.close()
  })
  expect({ seed, fds: openFds(), threads: threads() }).toEqual({ seed, ...before })
})

it('hazard 56: several workers and the main thread run servers at once, and end in any order', { timeout: 60_000 }, async () => {
  await run(async () => {
    const workers = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const worker = new Worker(fixture('echo-worker.mjs'))
        const [port] = (await once(worker, 'message')) as [number]
        return { worker, port }
      })
    )
    const asking = workers.map(({ port }, i) =>
      spawn(function* () {
        const client = yield* connect({ port })
        for (let round = 0; round < 50; round++) {
          yield* client.write(`${i}.${round}`)
          expect(String(yield* client.readSome())).toBe(`${i}.${round}`)
        }
        yield* client.close()
      })
    )
    for (const each of asking) await each
    for (const i of [2, 0, 3, 1]) {
      const { worker } = workers[i] as { worker: Worker }
      const exited = once(worker, 'exit')
      if (i % 2 === 0) worker.postMessage('close')
      else void worker.terminate()
      expect(await exited).toEqual([i % 2 === 0 ? 0 : 1])
    }
  })
})

it('a worker that exits in the middle of a turn ends with its exit code', async () => {
  const worker = new Worker(fixture('exit-in-turn.mjs'))
  expect(await once(worker, 'exit')).toEqual([7])
})

it('hazard 54: an addon that was loaded by a worker only stays mapped when the worker has ended', () => {
  expect(child('worker-only.mjs')).toMatchObject({ status: 0, stdout: 'mapped\n' })
})

it('hazard 59: the process ends by itself when nothing runs, and not before', () => {
  expect(child('liveness.mjs')).toEqual({ status: 0, signal: null, stdout: 'slept\nserved\n', stderr: '' })
})

it('process.exit in a handler ends the process with its exit code', () => {
  expect(child('exit-in-turn.mjs')).toMatchObject({ status: 7, stderr: '' })
})

it('hazard 60: a turn that throws is an uncaught exception, and the next turn comes all the same', () => {
  expect(child('throwing-turn.mjs')).toMatchObject({ status: 0, stdout: 'uncaught: the turn\nnext turn\n' })
})

it('hazard 61: closing the driver inside its own turn is safe, and no turn follows', () => {
  expect(child('close-in-turn.mjs')).toMatchObject({ status: 0, stdout: 'turns: 1\n' })
})

it('hazard 61: an operation awaited inside a step leaves the task that runs as it was', async () => {
  await run(function* () {
    const [first] = yield* until(Promise.all([nested(), Promise.resolve()]))
    expect(first).toBe('nested')
  })

  async function nested(): Promise<string> {
    return await spawn(function* () {
      return 'nested'
    })
  }
})

it('an error in a task that nobody waits for is an uncaught exception', () => {
  const { status, stderr } = child('uncaught.mjs')
  expect(status).toBe(1)
  expect(stderr).toContain('Error: nobody waits for this')
})

it('the addon refuses to be driven by what is no function', async () => {
  const error = await thrownBy(async () => ownRuntime().kernel.open(() => 0))
  expect(error.message).toContain('open already')
})
