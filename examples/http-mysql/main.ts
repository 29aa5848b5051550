/**
 * A web application: `node:http` over coreactor, each request a task with a deadline, MariaDB through mysql2, and a slow
 * computation on another core. SIGTERM lets the requests that are there finish.
 *
 *   npm run example http-mysql -- --port 8080
 *
 *   curl -d you localhost:8080/visits       a visit of yours
 *   curl localhost:8080/visits              who was here
 *   curl localhost:8080/primes?below=5000000
 *   curl localhost:8080/sleep?seconds=60    what happens to a query that takes too long
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'
import {
  Cancelled,
  run,
  scope,
  serve,
  spawn,
  timeout,
  TimeoutError,
  toNode,
  until,
  untilSignal,
  type Connection,
  type Coroutine,
  type Scope
} from 'coreactor'
import { offload } from 'coreactor/offload'
import { accountOf, Database } from './database.js'
import type { countPrimes } from './primes.js'

/** How long a request may take. */
const DEADLINE_MS = 2000
/** How long those that are there may go on when it stops. */
const GRACE_MS = 5000
const BODY_LIMIT = 1000

const HOW_TO = `No database is configured. One in a container, and the example with it:

  docker run --rm -p 3306:3306 -e MARIADB_ROOT_PASSWORD=secret -e MARIADB_DATABASE=test mariadb:11
  MYSQL_HOST=127.0.0.1 MYSQL_USER=root MYSQL_PASSWORD=secret npm run example http-mysql

On Debian: apt-get install mariadb-server, and as root
  mariadb -e "CREATE DATABASE test; GRANT ALL ON test.* TO me@localhost IDENTIFIED BY 'secret'"
  MYSQL_HOST=127.0.0.1 MYSQL_USER=me MYSQL_PASSWORD=secret npm run example http-mysql

Read are MYSQL_HOST, MYSQL_PORT (3306), MYSQL_USER (root), MYSQL_PASSWORD and MYSQL_DATABASE (test).`

/** What a request is answered with if it is not 200. */
class HttpError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function* answerTo(request: IncomingMessage, database: Database): Coroutine<unknown> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  switch (`${request.method} ${pathname}`) {
    case 'POST /visits': {
      const { insertId } = yield* database.change('INSERT INTO visits (name) VALUES (?)', [yield* until(bodyOf(request))])
      return { id: insertId }
    }
    case 'GET /visits':
      return yield* database.rows('SELECT id, name FROM visits ORDER BY id')
    case 'GET /primes': {
      const below = numberIn(searchParams, 'below', 100_000_000)
      const primes = yield* offload<typeof countPrimes>(new URL('./primes.js', import.meta.url), 'countPrimes', [below], { grace: 0 })
      return { below, primes }
    }
    case 'GET /sleep': {
      const seconds = numberIn(searchParams, 'seconds', 3600)
      yield* database.rows('SELECT SLEEP(?)', [seconds])
      return { slept: seconds }
    }
  }
  throw new HttpError(404, 'there is no such thing here')
}

function numberIn(query: URLSearchParams, name: string, most: number): number {
  const number = Number(query.get(name) ?? NaN)
  if (number >= 0 && number <= most) return number
  throw new HttpError(400, `${name} must be a number up to ${most}`)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > BODY_LIMIT) throw new HttpError(413, 'too long')
  }
  return body
}

/** Answers in time, or says why not. A client that goes away ends it. */
function* respond(request: IncomingMessage, response: ServerResponse, database: Database, stopping: () => boolean): Coroutine<void> {
  yield* scope(function* (mine) {
    response.once('close', () => mine.cancel('the client has gone'))
    let [status, answer]: [number, unknown] = [200, null]
    try {
      answer = yield* timeout(DEADLINE_MS, () => answerTo(request, database))
    } catch (error) {
      if (error instanceof Cancelled) throw error
      status = error instanceof HttpError ? error.status : error instanceof TimeoutError ? 504 : 500
      answer = { error: (error as Error).message }
      if (status === 500) console.error(error)
    }
    response.writeHead(status, { 'content-type': 'application/json', ...(stopping() ? { connection: 'close' } : {}) })
    response.end(`${JSON.stringify(answer)}\n`)
  })
}

/** Gives each connection to the http server, which makes requests of it, and waits for its end. */
function* hand(app: Server, connection: Connection): Coroutine<void> {
  const socket = toNode(connection, { allowHalfOpen: true })
  try {
    app.emit('connection', socket)
    if (!socket.closed) yield* until(once(socket, 'close'))
  } finally {
    socket.destroy()
  }
}

function* application(port: number, host: string, database: Database): Coroutine<void> {
  yield* database.change('CREATE TABLE IF NOT EXISTS visits (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT NOT NULL)')
  const stop = spawn(() => untilSignal('SIGTERM', 'SIGINT'))
  let stopping = false
  yield* scope(function* (requests: Scope) {
    const app = createServer((request, response) => {
      requests.spawn(() => respond(request, response, database, () => stopping))
    })
    const server = yield* serve({ port, host }, (connection) => hand(app, connection))
    console.log(`Ready on ${host}:${server.address.port}. Ctrl-C stops it.`)
    yield* stop
    stopping = true
    // A connection that is kept alive waits for a request that is not to come any more.
    app.closeIdleConnections()
    yield* server.close({ grace: GRACE_MS })
  })
}

function* main(): Coroutine<void> {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '8080' }, host: { type: 'string', default: '127.0.0.1' } }
  })
  const account = accountOf(process.env)
  if (account === null) {
    console.error(HOW_TO)
    process.exitCode = 2
    return
  }
  const database = new Database(account)
  try {
    yield* application(Number(values.port), values.host, database)
  } finally {
    yield* database.close()
  }
  console.log('Stopped.')
}

await run(main)
