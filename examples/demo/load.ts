/**
 * The load: opens all connections, then runs requests on them until the time is over. A thread of its own (see
 * `show.ts`), and itself written over coreactor: one coroutine per connection, which asks, waits for the reply, checks
 * it, and pauses. While replies are late, less is asked: no client is ever ahead of its replies.
 */
import { createHistogram, performance } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'
import { connect, run, scope, ScopeError, sleep, spawn, until, type Connection, type Coroutine } from 'coreactor'
import type { LoadCommand, LoadOrder, LoadReport } from './messages.js'

/** Connections that are being opened at a time: less than any system lets wait to be accepted. */
const OPENING = 100
const REPORT_MS = 500
/** Not counted: both sides compile their code meanwhile. */
const WARM_UP_SECONDS = 2

const { port, connections, seconds, perSecond: wanted } = workerData as LoadOrder
/** From a reply to the next request, on average. */
const pauseMs = (connections / wanted) * 1000
const input = Buffer.allocUnsafeSlow(4096)
/** Nanoseconds, of all requests and of those since the last report. */
const latencies = createHistogram()
const latest = createHistogram()
let requests = 0

function* load(go: Promise<void>): Coroutine<void> {
  const clients: Client[] = []
  try {
    const opening = Array.from({ length: OPENING }, (_, i) => spawn(openSome, clients, i))
    for (const task of opening) yield* task
    report({ kind: 'opened' })
    yield* until(go)
    yield* scope(function* (running) {
      running.spawn(reportOften)
      for (const client of clients) running.spawn(ask, client)
      const warmUp = Math.min(WARM_UP_SECONDS, seconds / 2)
      yield* sleep(warmUp * 1000)
      report({ kind: 'warm' })
      latencies.reset()
      latest.reset()
      const [begin, before] = [performance.now(), requests]
      yield* sleep((seconds - warmUp) * 1000)
      const perSecond = ((requests - before) * 1000) / (performance.now() - begin)
      latencies.add(latest)
      report({ kind: 'finished', perSecond, p50: latencies.percentile(50) / 1e6, p99: latencies.percentile(99) / 1e6 })
      running.cancel()
    })
    // What comes next is measured with the connections open.
    yield* until(new Promise<never>(() => {}))
  } finally {
    // No FIN: ten thousand connections in TIME_WAIT would be in the way of the next ten thousand.
    for (const { connection } of clients) connection.reset()
  }
}

/** Every OPENING-th connection, one after the other. */
function* openSome(clients: Client[], first: number): Coroutine<void> {
  for (let i = first; i < connections; i += OPENING) {
    const client = new Client(yield* connect({ port, host: '127.0.0.1' }), i)
    clients.push(client)
    // A connection that has been used once is what an idle connection is.
    yield* askOnce(client)
  }
}

interface Request {
  bytes: Buffer
  reply: Buffer
}

/** One connection with a key and a counter that no other uses: whatever is lost or mixed up makes a wrong reply. */
class Client {
  readonly connection: Connection
  readonly #id: number
  readonly #requests: readonly Request[]
  #turn = 0
  #count = 0

  constructor(connection: Connection, id: number) {
    const value = `value:${id}`
    this.connection = connection
    this.#id = id
    this.#requests = [
      request('+PONG', 'PING'),
      request('+OK', 'SET', `key:${id}`, value),
      request(`$${value.length}\r\n${value}`, 'GET', `key:${id}`)
    ]
  }

  /** PING, SET, GET, INCR and so on. */
  next(): Request {
    return this.#requests[this.#turn++ % 4] ?? request(`:${++this.#count}`, 'INCR', `counter:${this.#id}`)
  }
}

/** Runs requests until it is cancelled. Pauses are uniformly distributed. */
function* ask(client: Client): Coroutine<void> {
  // What is left of such a pause at a random moment: all clients together have their rate from the start.
  yield* sleep(2 * pauseMs * (1 - Math.sqrt(Math.random())))
  for (;;) {
    yield* askOnce(client)
    yield* sleep(2 * pauseMs * Math.random())
  }
}

function* askOnce(client: Client): Coroutine<void> {
  const { connection } = client
  const { bytes, reply } = client.next()
  const asked = performance.now()
  yield* connection.write(bytes)
  let received = 0
  while (received < reply.length) {
    const length = yield* connection.read(input)
    if (length === 0) throw new Error('the server has closed a connection')
    for (let i = 0; i < length; i++) {
      if (input[i] !== reply[received + i]) throw wrongReply(bytes, reply, length)
    }
    received += length
  }
  latest.record(Math.max(1, Math.round((performance.now() - asked) * 1e6)))
  requests += 1
}

function request(reply: string, ...words: string[]): Request {
  const bytes = `*${words.length}\r\n` + words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')
  return { bytes: Buffer.from(bytes), reply: Buffer.from(`${reply}\r\n`) }
}

function wrongReply(bytes: Buffer, reply: Buffer, length: number): Error {
  const [asked, wanted, got] = [bytes, reply, input.subarray(0, length)].map((each) => JSON.stringify(String(each)))
  return new Error(`the reply to ${asked} is ${got}, not ${wanted}`)
}

function* reportOften(): Coroutine<void> {
  for (;;) {
    const since = performance.now()
    const before = requests
    latest.reset()
    yield* sleep(REPORT_MS)
    const perSecond = ((requests - before) * 1000) / (performance.now() - since)
    report({ kind: 'running', perSecond, p99: latest.percentile(99) / 1e6 })
    latencies.add(latest)
  }
}

function report(message: LoadReport): void {
  parentPort!.postMessage(message)
}

const stop = new AbortController()
const told = new Promise<void>((go) => {
  parentPort!.on('message', (command: LoadCommand) => {
    if (command === 'go') return go()
    stop.abort()
    parentPort!.close()
  })
})

try {
  await run(
    function* () {
      yield* load(told)
    },
    { signal: stop.signal }
  )
} catch (error) {
  // Of a thousand connections that failed alike, one is enough to read about.
  if (!stop.signal.aborted) throw error instanceof ScopeError ? error.errors[0] : error
}
