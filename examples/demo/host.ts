/**
 * Runs one of the two servers in a process of its own, so that its CPU time and its memory are the server's and nobody
 * else's. Started by `show.ts`, which it answers and whose end it does not outlive.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { run, scope, sleep, until, type Coroutine } from 'coreactor'
import { serveResp } from '../resp-server.js'
import { serveRespOverNodeNet } from '../resp-server-node-net.js'
import type { Question, Sample, ServerName } from './messages.js'

/** What the measurement itself waits for; it counts as delay only what comes on top. */
const RESOLUTION_MS = 10
const PARKED = 100_000
const HOUR_MS = 3_600_000

interface Hosted {
  port: number
  connections(): number
  coroutines(): number
  requests(): number
}

const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
const stop = new AbortController()

function start(hosted: Hosted): void {
  const answer = (parkedBytes = 0): void => {
    if (process.connected) process.send!(sample(hosted, parkedBytes))
  }
  process.on('message', async (question: Question) => {
    if (question === 'stop') return process.disconnect()
    if (question === 'collect garbage') collectGarbage()
    answer(question === 'park coroutines' ? await measureParked() : 0)
  })
  delays.enable()
  answer()
}

function sample(hosted: Hosted, parkedBytes: number): Sample {
  const { user, system } = process.cpuUsage()
  const loopDelay = Math.max(0, delays.percentile(99) / 1e6 - RESOLUTION_MS)
  delays.reset()
  return {
    port: hosted.port,
    connections: hosted.connections(),
    coroutines: hosted.coroutines(),
    requests: hosted.requests(),
    userCpu: user,
    systemCpu: system,
    residentBytes: process.memoryUsage.rss(),
    loopDelay,
    parkedBytes
  }
}

/** Heap that one coroutine takes while it waits: here for a time that never comes. */
async function measureParked(): Promise<number> {
  return run(function* () {
    let bytes = 0
    yield* scope(function* (parked) {
      collectGarbage()
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < PARKED; i++) parked.spawn(sleepLong)
      // By then they have all begun, and wait.
      yield* sleep(1)
      collectGarbage()
      bytes = Math.round((process.memoryUsage().heapUsed - before) / PARKED)
      parked.cancel()
    })
    return bytes
  })
}

function* sleepLong(): Coroutine<void> {
  yield* sleep(HOUR_MS)
}

/** There because the process was started with --expose-gc. */
function collectGarbage(): void {
  for (let i = 0; i < 2; i++) globalThis.gc!()
}

async function hostCoreactor(): Promise<void> {
  const serving = run(
    function* () {
      const server = yield* serveResp({ port: 0 })
      start({
        port: server.address.port,
        connections: () => server.connections,
        // Beside those of the connections: this one, the one that accepts, the one that sweeps.
        coroutines: () => server.connections + 3,
        requests: () => server.database.requests
      })
      yield* until(new Promise<never>(() => {}))
    },
    { signal: stop.signal }
  )
  try {
    await serving
  } catch (error) {
    if (!stop.signal.aborted) throw error
  }
}

async function hostNodeNet(): Promise<void> {
  const server = await serveRespOverNodeNet({ port: 0 })
  stop.signal.addEventListener('abort', () => server.close())
  start({
    port: server.address.port,
    connections: () => server.connections,
    coroutines: () => 0,
    requests: () => server.database.requests
  })
}

// Ctrl-C reaches every process of the terminal: the show decides, and says so or is gone.
process.on('SIGINT', () => {})
process.once('disconnect', () => {
  delays.disable()
  stop.abort()
})

const hosts: Record<ServerName, () => Promise<void>> = { coreactor: hostCoreactor, 'node:net': hostNodeNet }
await hosts[process.argv[2] as ServerName]()
