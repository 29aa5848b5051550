/**
 * A server that computes for some of its clients, and answers the others at once: hashing runs on other cores.
 *
 *   npm run example hash-server -- --port 7000
 *   npm run example hash-server -- --port 7000 --here       computes on the loop, to see what comes of it
 *
 * Each line is a command. `ping` is answered by `pong`; `hash 200000 some text` by 64 digits, when they are there; `probe`
 * by how late the loop has been for everybody else since the last time. `nc 127.0.0.1 7000` will do for a client.
 */
import { parseArgs } from 'node:util'
import { LimitError, run, serve, spawn, TimeoutError, untilSignal, type Connection, type Coroutine } from 'coreactor'
import { offload, OffloadError, WorkerPool } from 'coreactor/offload'
import { stretch } from './hashing/work.js'
import { LatencyProbe } from './hashing/probe.js'
import { isMain, parsePort } from './resp/cli.js'

const WORK = new URL('./hashing/work.js', import.meta.url)
const LINE_LIMIT = 4096
/** Hashes that may wait. More would only be waited for by clients that have given up. */
const QUEUE = 64
const TIMEOUT_MS = 30_000
/** How long clients may go on when it stops. */
const GRACE_MS = 1000

type Hash = (text: string, rounds: number) => Coroutine<string>

/** On another core. A client that takes back what it wants, by closing, or waits for too long, frees that core. */
function elsewhere(pool: WorkerPool): Hash {
  return function* (text, rounds) {
    return yield* offload<typeof stretch>(WORK, 'stretch', [text, rounds], { pool, timeout: TIMEOUT_MS })
  }
}

function* here(text: string, rounds: number): Coroutine<string> {
  return stretch(text, rounds)
}

class Session {
  private readonly hash: Hash
  private readonly probe: LatencyProbe

  constructor(hash: Hash, probe: LatencyProbe) {
    this.hash = hash
    this.probe = probe
  }

  *talk(connection: Connection): Coroutine<void> {
    try {
      for (let line; (line = yield* connection.readLine({ limit: LINE_LIMIT })) !== null; ) {
        yield* connection.write(`${yield* this.answer(line)}\n`)
      }
    } catch (error) {
      if (!(error instanceof LimitError)) throw error
      yield* connection.write('error: too long\n')
    }
  }

  private *answer(line: string): Coroutine<string> {
    if (line === 'ping') return 'pong'
    if (line === 'probe') return this.probe.report()
    const [, rounds, text] = /^hash (\d{1,9}) (.*)$/.exec(line) ?? []
    if (rounds === undefined || text === undefined) return 'error: ping, probe, or hash <rounds> <text>'
    try {
      return yield* this.hash(text, Number(rounds))
    } catch (error) {
      if (error instanceof TimeoutError) return 'error: it takes too long'
      if (error instanceof OffloadError && error.code === 'ERR_COREACTOR_QUEUE_FULL') return 'error: busy'
      throw error
    }
  }
}

function* main(): Coroutine<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '7000' },
      host: { type: 'string', default: '127.0.0.1' },
      here: { type: 'boolean', default: false }
    }
  })
  const { host } = values
  const stop = spawn(() => untilSignal('SIGTERM', 'SIGINT'))
  const probe = new LatencyProbe()
  const probing = spawn(() => probe.run())
  const pool = new WorkerPool({ name: 'hashing', queue: QUEUE })
  const session = new Session(values.here ? here : elsewhere(pool), probe)

  const server = yield* serve({ port: parsePort(values.port), host }, (connection) => session.talk(connection))
  console.log(`Ready on ${host}:${server.address.port}. Ctrl-C stops it.`)
  yield* stop
  yield* server.close({ grace: GRACE_MS })
  yield* pool.close()
  probing.cancel()
  const { returned, failed, cancelled } = pool.statistics()
  console.log(`Stopped. ${returned} hashes, ${failed} failed, ${cancelled} cancelled.`)
}

if (isMain(import.meta.url)) await run(main)
