/** Hazard 28: several workers that serve on one port, each with an acceptor of its own, and the kernel that shares out among them. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { connect, run, spawn, type Coroutine } from 'coreactor'
import { linux, needs } from './here.js'

// Elsewhere the last to come gets everything, or it takes another option.
needs(linux)

const WORKERS = 4
const AT_A_TIME = 50

/** Asks whoever is behind the port, and gives its number. */
function* ask(port: number, question: string): Coroutine<number> {
  const connection = yield* connect({ port, host: '127.0.0.1' })
  try {
    yield* connection.write(`${question}\n`)
    const [who, echoed] = ((yield* connection.readLine()) ?? '').split(' ')
    expect(echoed).toBe(question)
    return Number(who)
  } finally {
    connection.reset()
  }
}

/** Asks `count` times, so many at a time. Gives who has answered how often, and how many were reset. */
function* storm(port: number, count: number, midway: () => void = () => {}): Coroutine<{ answers: Map<number, number>; resets: number }> {
  const answers = new Map<number, number>()
  let [next, resets] = [0, 0]
  const askers = Array.from({ length: AT_A_TIME }, () =>
    spawn(function* () {
      while (next < count) {
        const question = `question-${next++}`
        if (next === count >> 1) midway()
        try {
          const who = yield* ask(port, question)
          answers.set(who, (answers.get(who) ?? 0) + 1)
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/ECONNRESET|EPIPE/)
          resets++
        }
      }
    })
  )
  for (const asker of askers) yield* asker
  return { answers, resets }
}

const sum = (answers: Map<number, number>): number => [...answers.values()].reduce((all, count) => all + count, 0)

it('hazard 28: four workers on one port share it; one that closes loses at most what it had not accepted, one that dies as well', async () => {
  const workers: Worker[] = []
  let port = 0
  try {
    for (let i = 0; i < WORKERS; i++) {
      const worker = new Worker(new URL('fixtures/reuse-port-worker.mjs', import.meta.url), { workerData: { port } })
      workers.push(worker)
      ;[port] = (await once(worker, 'message')) as [number]
    }
    const numbers = workers.map(({ threadId }) => threadId)
    const [closing, dying, ...staying] = workers as [Worker, Worker, ...Worker[]]
    await run(async () => {
      // The kernel throws dice with the addresses: a quarter each, give or take 1 in 100.
      const all = await spawn(() => storm(port, 2000))
      expect(all.resets).toBe(0)
      expect([...all.answers.keys()].sort()).toEqual([...numbers].sort())
      for (const count of all.answers.values()) expect(count).toBeGreaterThan(300)

      const completed = once(closing, 'message')
      const during = await spawn(() => storm(port, 2000, () => closing.postMessage('close')))
      const byTheClosing = (all.answers.get(numbers[0] as number) ?? 0) + (during.answers.get(numbers[0] as number) ?? 0)
      // What it had accepted it has answered.
      expect(await completed).toEqual([byTheClosing])
      expect(sum(during.answers) + during.resets).toBe(2000)
      expect(during.resets).toBeLessThanOrEqual(AT_A_TIME)

      await dying.terminate()
      const after = await spawn(() => storm(port, 500))
      expect(after.resets).toBe(0)
      expect([...after.answers.keys()].sort()).toEqual(staying.map(({ threadId }) => threadId).sort())
    })
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})
