/** Waiting for signals to the process. They are real ones, sent by the process to itself. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { allSettled, checkpoint, run, spawn, timeout, TimeoutError, untilSignal, type Task } from 'coreactor'
import { caught } from './support.js'

const SIGNALS = ['SIGUSR2', 'SIGHUP', 'SIGTERM'] as const
const listeners = (): number[] => SIGNALS.map((signal) => process.listenerCount(signal))

it('gives the name of the first signal that comes, and leaves no listener', async () => {
  const before = listeners()
  await run(function* () {
    const waiting = spawn(() => untilSignal('SIGHUP', 'SIGUSR2'))
    yield* checkpoint()
    process.kill(process.pid, 'SIGUSR2')
    expect(yield* waiting).toBe('SIGUSR2')
    expect(listeners()).toEqual(before)
  })
})

it('all who wait are told', async () => {
  await run(function* () {
    const waiting = [spawn(() => untilSignal('SIGUSR2')), spawn(() => untilSignal('SIGUSR2', 'SIGHUP'))]
    yield* checkpoint()
    process.kill(process.pid, 'SIGUSR2')
    expect((yield* allSettled(waiting)).map((each) => each.status === 'fulfilled' && each.value)).toEqual(['SIGUSR2', 'SIGUSR2'])
  })
})

it('listens only while it waits, and not when the wait was called off', async () => {
  const before = listeners()
  await run(function* () {
    const op = untilSignal('SIGUSR2')
    expect(listeners()).toEqual(before)
    expect(yield* caught(() => timeout(1, () => op))).toBeInstanceOf(TimeoutError)
    expect(listeners()).toEqual(before)
  })
})

it('a signal that came before the cancellation is not lost', async () => {
  await run(function* () {
    const waiting: Task<string> = spawn(() => untilSignal('SIGUSR2'))
    yield* checkpoint()
    process.once('SIGUSR2', () => waiting.cancel())
    process.kill(process.pid, 'SIGUSR2')
    expect(yield* waiting).toBe('SIGUSR2')
  })
})

it('works for async functions', async () => {
  const signal = await run(async () => {
    const waiting = spawn(async () => await untilSignal('SIGHUP'))
    await checkpoint()
    process.kill(process.pid, 'SIGHUP')
    return await waiting
  })
  expect(signal).toBe('SIGHUP')
})

it.each([
  [[], 'ERR_INVALID_ARG_VALUE'],
  [['SIGNONE'], 'ERR_INVALID_ARG_VALUE'],
  [['toString'], 'ERR_INVALID_ARG_VALUE'],
  [['SIGTERM', 'SIGKILL'], 'ERR_INVALID_ARG_VALUE'],
  [[15], 'ERR_INVALID_ARG_TYPE']
])('refuses %j', (signals, code) => {
  expect(() => untilSignal(...(signals as NodeJS.Signals[]))).toThrow(expect.objectContaining({ code }))
})

it('says in a worker that signals do not reach it', async () => {
  const library = new URL('../dist/index.js', import.meta.url).href
  const code = `
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(library)}).then(({ untilSignal }) => untilSignal('SIGTERM')).catch(({ code }) => parentPort.postMessage(code))`
  const worker = new Worker(code, { eval: true })
  expect(await once(worker, 'message')).toEqual(['ERR_COREACTOR_MAIN_THREAD_ONLY'])
  await worker.terminate()
})
