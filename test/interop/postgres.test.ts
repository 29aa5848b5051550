/** pg over coreactor, against PostgreSQL. */
import { all, checkpoint, ChannelClosedError, map, op, run, scope, shield, sleep, spawn, timeout, TimeoutError, until, type Coroutine, type Op } from 'coreactor'
import { Socket } from 'coreactor/net'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { caught } from '../support.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { listening, poolOver, take, using } from './postgres.js'
import { freePort, startPostgres, type RealServer } from './servers.js'
import { quick } from './size.js'

let database: RealServer
let certificate: Certificate
beforeAll(async () => {
  certificate = await makeCertificate()
  database = await startPostgres(certificate)
})
afterAll(() => database?.stop())

const account = { host: '127.0.0.1', user: 'app', password: 'secret', database: 'postgres' } as const
const TIMEOUT_MS = 20_000

function withPool<T>(main: (pool: pg.Pool) => Coroutine<T>, options: pg.PoolConfig = {}): Promise<T> {
  return run(function* () {
    const pool = poolOver({ ...account, port: database.port, ...options })
    // What happens to a connection that is idle is the pool's affair.
    pool.on('error', () => {})
    try {
      return yield* timeout(TIMEOUT_MS, () => main(pool))
    } finally {
      yield* shield(() => until(pool.end()), { timeout: TIMEOUT_MS })
    }
  })
}

type Row = Record<string, unknown>

const query = (pool: pg.Pool, text: string, values: unknown[] = []): Op<Row[]> =>
  op(() => using(pool, async (client) => (await client.query<Row>(text, values)).rows))

function* running(pool: pg.Pool, like: string): Coroutine<number[]> {
  const rows = yield* query(
    pool,
    "SELECT pid FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()",
    [like]
  )
  return rows.map((row) => row['pid'] as number)
}

function* untilRunning(pool: pg.Pool, like: string): Coroutine<number> {
  for (;;) {
    const [pid] = yield* running(pool, like)
    if (pid !== undefined) return pid
    yield* sleep(5)
  }
}

it('queries, prepared statements and transactions, over sockets of ours', async () => {
  await withPool(function* (pool) {
    const client = yield* take(pool)
    const { stream } = (client as unknown as { connection: { stream: unknown } }).connection
    expect(stream).toBeInstanceOf(Socket)
    client.release()
    expect(yield* query(pool, 'SELECT $1::int + 1 AS sum, $2::text AS text', [41, 'größer'])).toEqual([{ sum: 42, text: 'größer' }])
    yield* query(pool, 'CREATE TABLE accounts (id int PRIMARY KEY, balance int)')
    const insert = { name: 'insert', text: 'INSERT INTO accounts VALUES ($1, $2)' }
    yield* using(pool, async (client) => {
      for (let id = 1; id <= 3; id++) await client.query({ ...insert, values: [id, 100] })
      const { rows } = await client.query<Row>('SELECT name, calls FROM (SELECT name, 1 AS calls FROM pg_prepared_statements) AS mine')
      expect(rows).toEqual([{ name: 'insert', calls: 1 }])
    })
    yield* using(pool, async (client) => {
      await client.query('BEGIN')
      await client.query('UPDATE accounts SET balance = balance - $1 WHERE id = $2', [30, 1])
      await client.query('COMMIT')
      await client.query('BEGIN')
      await client.query('UPDATE accounts SET balance = 0')
      await client.query('ROLLBACK')
    })
    expect(yield* query(pool, 'SELECT balance FROM accounts ORDER BY id')).toEqual([{ balance: 70 }, { balance: 100 }, { balance: 100 }])
    yield* query(pool, 'DROP TABLE accounts')
  })
})

it('what is wrong with a query is its own error only, and the connection is used again', async () => {
  await withPool(
    function* (pool) {
      const before = yield* query(pool, 'SELECT pg_backend_pid()')
      expect(yield* caught(() => query(pool, 'SELECT nothing FROM nowhere'))).toMatchObject({ code: '42P01' })
      expect(yield* query(pool, 'SELECT pg_backend_pid()')).toEqual(before)
    },
    { max: 1 }
  )
})

it('many tasks share the few connections of a pool', async () => {
  const tasks = quick ? 200 : 2000
  await withPool(
    function* (pool) {
      const pids = new Set<unknown>()
      const sums = yield* map(
        Array.from({ length: tasks }, (_, i) => i),
        100,
        function* (i) {
          const [row] = yield* query(pool, 'SELECT $1::int + 1 AS sum, pg_backend_pid() AS pid', [i])
          pids.add(row?.['pid'])
          return row?.['sum']
        }
      )
      expect(sums).toEqual(Array.from({ length: tasks }, (_, i) => i + 1))
      expect(pids.size).toBe(5)
    },
    { max: 5 }
  )
})

it('a large result in many rows and in one, and a large parameter', async () => {
  const rows = quick ? 20_000 : 200_000
  const length = quick ? 4_000_000 : 32_000_000
  await withPool(function* (pool) {
    const all = yield* query(pool, `SELECT n, repeat('x', 50) AS filler FROM generate_series(1, ${rows}) AS n`)
    expect(all.length).toBe(rows)
    expect(all.at(-1)).toEqual({ n: rows, filler: 'x'.repeat(50) })
    const [row] = yield* query(pool, "SELECT repeat('0123456789', $1::int / 10) AS text", [length])
    expect(String(row?.['text']).length).toBe(length)
    const text = 'ä'.repeat(3_000_000)
    expect(yield* query(pool, 'SELECT length($1::text) AS length, $1::text = $2::text AS same', [text, text])).toEqual([
      { length: 3_000_000, same: true }
    ])
  })
})

it('a connection that the server kills fails its query, and the pool makes another one', async () => {
  await withPool(
    function* (pool) {
      const waiting = spawn(() => caught(() => query(pool, 'SELECT pg_sleep(60) AS killed')))
      const pid = yield* untilRunning(pool, 'SELECT pg_sleep(60) AS killed')
      yield* query(pool, 'SELECT pg_terminate_backend($1)', [pid])
      expect((yield* waiting).code).toBe('57P01')
      const pids = yield* all([query(pool, 'SELECT pg_backend_pid() AS pid, pg_sleep(0.01)'), query(pool, 'SELECT pg_backend_pid() AS pid, pg_sleep(0.01)')])
      expect(pids.flat().map((row) => row['pid'])).not.toContain(pid)
    },
    { max: 2 }
  )
})

it('a query is cut off by a timeout of ours: its connection is destroyed, and the next query has another one', async () => {
  await withPool(
    function* (pool) {
      const before = yield* query(pool, 'SELECT pg_backend_pid()')
      expect(yield* caught(() => timeout(50, () => query(pool, 'SELECT pg_sleep(60)')))).toBeInstanceOf(TimeoutError)
      expect(yield* query(pool, 'SELECT pg_backend_pid()')).not.toEqual(before)
      expect(pool.totalCount).toBe(1)
    },
    { max: 1 }
  )
})

it('a query that is cut off can be ended at the server as well', async () => {
  function* cancelling(pool: pg.Pool, text: string): Coroutine<unknown> {
    const client = yield* take(pool)
    const { processID } = client as unknown as { processID: number }
    let answered = false
    const answer = client.query(text).finally(() => (answered = true))
    try {
      return yield* until(answer)
    } finally {
      if (!answered) yield* shield(() => query(pool, 'SELECT pg_cancel_backend($1)', [processID]), { timeout: 1000 })
      // The server has answered that it was cancelled, or will: nobody else gets that answer.
      client.release(!answered)
    }
  }
  await withPool(function* (pool) {
    expect(yield* caught(() => timeout(200, () => cancelling(pool, 'SELECT pg_sleep(60) AS ended')))).toBeInstanceOf(TimeoutError)
    while ((yield* running(pool, 'SELECT pg_sleep(60) AS ended')).length > 0) yield* sleep(5)
  })
})

it('a task that is cancelled while it waits for a connection of the pool takes none with it', async () => {
  await withPool(
    function* (pool) {
      const holder = yield* take(pool)
      const waiter = spawn(() => query(pool, 'SELECT 1 AS n'))
      yield* checkpoint()
      expect(yield* caught(() => timeout(20, () => query(pool, 'SELECT 2 AS n')))).toBeInstanceOf(TimeoutError)
      holder.release()
      expect(yield* waiter).toEqual([{ n: 1 }])
      for (let i = 0; i < 3; i++) expect(yield* query(pool, 'SELECT 3 AS n')).toEqual([{ n: 3 }])
    },
    { max: 1 }
  )
})

it('LISTEN and NOTIFY: what is notified arrives in a channel, in order, until the connection ends', async () => {
  await withPool(function* (pool) {
    const client = yield* take(pool)
    const heard = yield* listening(client, 'news')
    yield* scope(function* (tasks) {
      tasks.spawn(function* () {
        for (let i = 0; i < 100; i++) yield* query(pool, 'SELECT pg_notify($1, $2)', ['news', `nr. ${i}`])
      })
      for (let i = 0; i < 100; i++) expect(yield* timeout(TIMEOUT_MS, () => heard.receive())).toBe(`nr. ${i}`)
    })
    // Nothing comes: the wait is cut off, and loses nothing that comes later.
    expect(yield* caught(() => timeout(20, () => heard.receive()))).toBeInstanceOf(TimeoutError)
    yield* query(pool, "NOTIFY news, 'late'")
    expect(yield* heard.receive()).toBe('late')
    client.release(true)
    expect(yield* caught(() => heard.receive())).toBeInstanceOf(ChannelClosedError)
  })
})

it('TLS begins in mid-stream, with the certificate checked', async () => {
  await withPool(
    function* (pool) {
      expect(yield* query(pool, 'SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).toEqual([{ ssl: true, version: 'TLSv1.3' }])
      const [row] = yield* query(pool, "SELECT repeat('x', 1000000) AS text")
      expect(String(row?.['text']).length).toBe(1_000_000)
      expect(yield* caught(() => timeout(50, () => query(pool, 'SELECT pg_sleep(60)')))).toBeInstanceOf(TimeoutError)
    },
    { ssl: { ca: certificate.cert } }
  )
  await withPool(
    function* (pool) {
      expect((yield* caught(() => query(pool, 'SELECT 1'))).code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
    },
    { ssl: true }
  )
})

it('through a Unix socket', async () => {
  const { path, port } = database
  await withPool(
    function* (pool) {
      expect(yield* query(pool, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    },
    { host: path.slice(0, path.lastIndexOf('/')), port }
  )
})

it('nobody there, and a wrong password, are errors of the query', async () => {
  const port = await freePort()
  await withPool(
    function* (pool) {
      expect(yield* caught(() => query(pool, 'SELECT 1'))).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', port })
    },
    { port }
  )
  await withPool(
    function* (pool) {
      expect((yield* caught(() => query(pool, 'SELECT 1'))).code).toBe('28P01')
    },
    { password: 'wrong' }
  )
})
