/**
 * A server that speaks the protocol of redis, over coreactor: one coroutine per connection, straight-line code.
 *
 *   npm run example resp-server -- --port 6379      then: redis-cli, redis-benchmark -t ping,set,get,incr -P 16
 *
 * What it understands is in `resp/`, which `resp-server-node-net.ts` shares: only the socket layer differs.
 */
import { parseArgs } from 'node:util'
import {
  checkpoint,
  run,
  serve,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  until,
  type Connection,
  type Coroutine
} from 'coreactor'
import { Database, type DatabaseOptions } from './resp/database.js'
import { isMain, parsePort, stopRequested } from './resp/cli.js'
import { Session } from './resp/session.js'
import type { Store } from './resp/store.js'

/** Bytes read at once, into memory that all connections share: an idle one has none. */
const INPUT_BYTES = 32 * 1024
/** Connections that wait to be accepted. The system may allow fewer. */
const BACKLOG = 4096
/** How long a client whose last request was answered may go on talking before it is cut off. */
const LINGER_MS = 500
const SWEEP_INTERVAL_MS = 100
/** Keys that one sweep looks at before the connections have their turn. */
const SWEEP_KEYS = 200

export interface RespOptions extends DatabaseOptions {
  /** 0 = any that is free. */
  port?: number
  host?: string
  /** Connections at a time. */
  limit?: number
}

export interface RespServer {
  readonly address: { readonly address: string; readonly port: number }
  readonly connections: number
  readonly database: Database
  /** Stops accepting and gives the clients `grace` milliseconds to finish. */
  close(options?: { grace?: number }): Coroutine<void>
}

/** Starts the server in the current scope. */
export function* serveResp(options: RespOptions = {}): Coroutine<RespServer> {
  const { port = 6379, host = '127.0.0.1', limit, ...rest } = options
  const database = new Database(rest)
  const input = Buffer.allocUnsafeSlow(INPUT_BYTES)

  /** Reads and answers until the client has finished, or has said something that ends the conversation. */
  function* converse(connection: Connection): Coroutine<void> {
    const session = new Session(database)
    const { replies } = database
    try {
      while (!session.closing) {
        // A coroutine goes on as soon as the bytes are in `input`: nobody reads into it before `answer` has returned.
        const length = yield* connection.read(input)
        if (length === 0) return
        let more = session.answer(input, length)
        while (replies.length > 0) {
          yield* connection.write(replies.take())
          if (more) more = session.answer(null)
        }
      }
      yield* hangUp(connection, input)
    } finally {
      session.end()
    }
  }

  const server = yield* serve({ port, host, limit, backlog: BACKLOG }, converse)
  const sweeper = spawn(sweep, database.store)
  return {
    address: server.address,
    database,
    get connections() {
      return server.connections
    },
    *close(closing) {
      sweeper.cancel()
      yield* server.close(closing)
    }
  }
}

/** Lets the client read its last reply. Closing at once would reset the connection if it has sent something more. */
function* hangUp(connection: Connection, input: Buffer): Coroutine<void> {
  yield* connection.closeWrite()
  try {
    yield* timeout(LINGER_MS, function* () {
      while ((yield* connection.read(input)) > 0);
    })
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error
  }
}

/** Finds expired keys that nobody asks for: a bounded number, then the connections have their turn. */
function* sweep(store: Store): Coroutine<void> {
  for (;;) {
    yield* sleep(SWEEP_INTERVAL_MS)
    while (store.sweep(SWEEP_KEYS) > SWEEP_KEYS / 4) yield* checkpoint()
  }
}

function* main(): Coroutine<void> {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '6379' }, host: { type: 'string', default: '127.0.0.1' } }
  })
  const server = yield* serveResp({ port: parsePort(values.port), host: values.host })
  console.log(`Ready on ${server.address.address}:${server.address.port}. Ctrl-C stops it.`)
  yield* until(stopRequested())
  yield* server.close({ grace: 500 })
}

if (isMain(import.meta.url)) await run(main)
