/** mysql2 over coreactor, against MariaDB. */
import { all, checkpoint, Event, map, op, run, scope, shield, sleep, spawn, timeout, TimeoutError, until, type Coroutine, type Op } from 'coreactor'
import { Socket } from 'coreactor/net'
import type { Connection as MysqlConnection, Pool, PoolOptions, ResultSetHeader, RowDataPacket } from 'mysql2/promise'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { caught } from '../support.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { cutOff, poolOver, take, using } from './mysql.js'
import { freePort, startMariaDb, type RealServer } from './servers.js'
import { quick } from './size.js'

let database: RealServer
let certificate: Certificate
beforeAll(async () => {
  certificate = await makeCertificate()
  database = await startMariaDb(certificate)
})
afterAll(() => database?.stop())

const account = { host: '127.0.0.1', user: 'app', password: 'secret', database: 'test' } as const
const TIMEOUT_MS = 20_000

/** Runs `main` with a pool, within a time limit; at the end the server has no connection of ours. */
function withPool<T>(main: (pool: Pool) => Coroutine<T>, options: PoolOptions = {}): Promise<T> {
  return run(function* () {
    const pool = poolOver({ ...account, port: database.port, ...options })
    try {
      return yield* timeout(TIMEOUT_MS, () => main(pool))
    } finally {
      yield* shield(() => until(pool.end()), { timeout: TIMEOUT_MS })
    }
  })
}

type Rows = RowDataPacket[]

const query = (pool: Pool, sql: string, values: unknown[] = []): Op<Rows> =>
  op(() => using(pool, async (connection) => (await connection.query<Rows>(sql, values))[0]))

const execute = (pool: Pool, sql: string, values: (string | number)[] = []): Op<Rows> =>
  op(() => using(pool, async (connection) => (await connection.execute<Rows>(sql, values))[0]))

/** The ids of the server's connections that run something that looks like this. */
function* running(pool: Pool, like: string): Coroutine<number[]> {
  const rows = yield* query(pool, 'SELECT id FROM information_schema.processlist WHERE info LIKE ? AND id <> CONNECTION_ID()', [like])
  return rows.map((row) => row['id'] as number)
}

function* untilRunning(pool: Pool, like: string): Coroutine<number> {
  for (;;) {
    const [id] = yield* running(pool, like)
    if (id !== undefined) return id
    yield* sleep(5)
  }
}

it('queries, prepared statements and transactions, over sockets of ours', async () => {
  await withPool(function* (pool) {
    const connection = yield* take(pool)
    const { stream } = connection.connection as unknown as { stream: unknown }
    expect(stream).toBeInstanceOf(Socket)
    connection.release()
    expect(yield* query(pool, 'SELECT ? + 1 AS sum, ? AS text', [41, 'größer'])).toEqual([{ sum: 42, text: 'größer' }])

    yield* query(pool, 'CREATE TABLE accounts (id INT PRIMARY KEY, name VARCHAR(80), balance BIGINT) ENGINE=InnoDB')
    for (let id = 1; id <= 3; id++) yield* execute(pool, 'INSERT INTO accounts VALUES (?, ?, ?)', [id, `nr. ${id}`, 100])
    expect(yield* execute(pool, 'SELECT name FROM accounts WHERE id > ? ORDER BY id', [1])).toEqual([{ name: 'nr. 2' }, { name: 'nr. 3' }])

    yield* using(pool, async (connection) => {
      await connection.beginTransaction()
      await connection.execute('UPDATE accounts SET balance = balance - ? WHERE id = ?', [30, 1])
      await connection.execute('UPDATE accounts SET balance = balance + ? WHERE id = ?', [30, 2])
      await connection.commit()
    })
    yield* using(pool, async (connection) => {
      await connection.beginTransaction()
      const [{ affectedRows }] = await connection.query<ResultSetHeader>('UPDATE accounts SET balance = 0')
      expect(affectedRows).toBe(3)
      await connection.rollback()
    })
    expect(yield* query(pool, 'SELECT balance FROM accounts ORDER BY id')).toEqual([{ balance: 70 }, { balance: 130 }, { balance: 100 }])
    yield* query(pool, 'DROP TABLE accounts')
  })
})

it('what is wrong with a query is its own error only, and the connection is used again', async () => {
  await withPool(
    function* (pool) {
      const [before] = yield* query(pool, 'SELECT CONNECTION_ID() AS id')
      const error = yield* caught(() => query(pool, 'SELECT nothing FROM nowhere'))
      expect(error).toMatchObject({ code: 'ER_NO_SUCH_TABLE', errno: 1146, sqlState: '42S02' })
      expect(yield* query(pool, 'SELECT CONNECTION_ID() AS id')).toEqual([before])
    },
    { connectionLimit: 1 }
  )
})

it('many tasks share the few connections of a pool', async () => {
  const tasks = quick ? 200 : 2000
  await withPool(
    function* (pool) {
      const ids = new Set<number>()
      const sums = yield* map(
        Array.from({ length: tasks }, (_, i) => i),
        100,
        function* (i) {
          const [row] = yield* execute(pool, 'SELECT ? + 1 AS sum, CONNECTION_ID() AS id', [i])
          ids.add(row?.['id'] as number)
          return Number(row?.['sum'])
        }
      )
      expect(sums).toEqual(Array.from({ length: tasks }, (_, i) => i + 1))
      expect(ids.size).toBe(5)
    },
    { connectionLimit: 5 }
  )
})

it('a large result, in one row, in many, and row by row at the speed of who reads it', async () => {
  const rows = quick ? 20_000 : 200_000
  const megabytes = quick ? 4 : 12
  await withPool(function* (pool) {
    const [row] = yield* query(pool, 'SELECT REPEAT(?, ?) AS text', ['0123456789abcdef', megabytes * 65_536])
    expect(String(row?.['text']).length).toBe(megabytes * 2 ** 20)
    expect(String(row?.['text']).endsWith('0123456789abcdef')).toBe(true)

    const all = yield* query(pool, `SELECT seq, REPEAT('x', 50) AS filler FROM seq_1_to_${rows}`)
    expect(all.length).toBe(rows)
    expect(all.at(-1)?.['seq']).toBe(rows)

    const sum = yield* using(pool, async (connection) => {
      let sum = 0
      const raw = (connection as unknown as { connection: { query(sql: string): { stream(): AsyncIterable<Rows[number]> } } }).connection
      for await (const each of raw.query(`SELECT seq FROM seq_1_to_${rows}`).stream()) {
        if (each['seq'] % 1000 === 0) await sleep(0)
        sum += each['seq'] as number
      }
      return sum
    })
    expect(sum).toBe((rows * (rows + 1)) / 2)
  })
})

it('a large parameter is sent whole', async () => {
  await withPool(function* (pool) {
    const text = 'ä'.repeat(2_000_000)
    const [row] = yield* query(pool, 'SELECT CHAR_LENGTH(?) AS length, MD5(?) = MD5(?) AS same', [text, text, text.slice()])
    expect(row).toEqual({ length: 2_000_000, same: 1 })
  }, { charset: 'utf8mb4' })
})

it('a connection that the server kills fails its query, and the pool makes another one', async () => {
  await withPool(
    function* (pool) {
      const waiting = spawn(() => caught(() => query(pool, 'SELECT SLEEP(60) AS killed')))
      const id = yield* untilRunning(pool, 'SELECT SLEEP(60) AS killed')
      yield* query(pool, `KILL ${id}`)
      expect((yield* waiting).code).toMatch(/^(PROTOCOL_CONNECTION_LOST|ER_CONNECTION_KILLED|ECONNRESET)$/)
      const ids = yield* all([query(pool, 'SELECT CONNECTION_ID() AS id, SLEEP(0.01)'), query(pool, 'SELECT CONNECTION_ID() AS id, SLEEP(0.01)')])
      expect(ids.flat().map((row) => row['id'])).not.toContain(id)
    },
    { connectionLimit: 2 }
  )
})

it('a query is cut off by a timeout of ours: its connection is destroyed, and the next query has another one', async () => {
  await withPool(
    function* (pool) {
      const [before] = yield* query(pool, 'SELECT CONNECTION_ID() AS id')
      expect(yield* caught(() => timeout(50, () => query(pool, 'SELECT SLEEP(60)')))).toBeInstanceOf(TimeoutError)
      const [after] = yield* timeout(TIMEOUT_MS, () => query(pool, 'SELECT CONNECTION_ID() AS id'))
      expect(after).not.toEqual(before)
    },
    { connectionLimit: 1 }
  )
})

it('a query that is cut off can be ended at the server as well', async () => {
  /** Kills what was asked, on another connection, and waits for that however the task was cancelled. */
  function* killing<T>(pool: Pool, sql: string): Coroutine<T> {
    const connection = yield* take(pool)
    let answered = false
    const answer = connection.query(sql).finally(() => (answered = true))
    try {
      return (yield* until(answer))[0] as T
    } finally {
      if (answered) connection.release()
      else {
        cutOff(connection)
        yield* shield(() => query(pool, `KILL ${connection.threadId}`), { timeout: 1000 })
      }
    }
  }
  await withPool(function* (pool) {
    const error = yield* caught(() => timeout(200, () => killing(pool, 'SELECT SLEEP(60) AS ended')))
    expect(error).toBeInstanceOf(TimeoutError)
    while ((yield* running(pool, 'SELECT SLEEP(60) AS ended')).length > 0) yield* sleep(5)
  })
})

it('a task that is cancelled while it waits for a connection of the pool takes none with it', async () => {
  await withPool(
    function* (pool) {
      const holder = yield* take(pool)
      const waiter = spawn(() => query(pool, 'SELECT 1'))
      yield* checkpoint()
      expect(yield* caught(() => timeout(20, () => query(pool, 'SELECT 2 AS n')))).toBeInstanceOf(TimeoutError)
      holder.release()
      expect(yield* waiter).toEqual([{ 1: 1 }])
      for (let i = 0; i < 3; i++) expect(yield* query(pool, 'SELECT 3 AS n')).toEqual([{ n: 3 }])
    },
    { connectionLimit: 1 }
  )
})

it('the first query that fails cancels the others of its scope', async () => {
  await withPool(function* (pool) {
    const ended = new Event()
    const error = yield* caught(() =>
      scope(function* (tasks) {
        tasks.spawn(function* () {
          try {
            yield* query(pool, 'SELECT SLEEP(60) AS sibling')
          } finally {
            ended.set()
          }
        })
        yield* untilRunning(pool, 'SELECT SLEEP(60) AS sibling')
        yield* query(pool, 'SELECT nothing FROM nowhere')
      })
    )
    expect(error).toMatchObject({ code: 'ER_NO_SUCH_TABLE' })
    expect(ended.isSet).toBe(true)
  })
})

it('TLS begins in mid-stream, with the certificate checked', async () => {
  await withPool(
    function* (pool) {
      const [row] = yield* query(pool, "SHOW STATUS LIKE 'Ssl_cipher'")
      expect(row?.['Value']).toMatch(/^TLS_|^ECDHE/)
      const [large] = yield* query(pool, "SELECT REPEAT('x', 1000000) AS text")
      expect(String(large?.['text']).length).toBe(1_000_000)
    },
    { ssl: { ca: certificate.cert, verifyIdentity: false } }
  )
  await run(function* () {
    const pool = poolOver({ ...account, port: database.port, ssl: { rejectUnauthorized: true } })
    expect((yield* caught(() => query(pool, 'SELECT 1'))).code).toBe('HANDSHAKE_SSL_ERROR')
    yield* until(pool.end())
  })
})

it('through a Unix socket', async () => {
  await run(function* () {
    const { connect } = yield* until(import('coreactor/net'))
    const connection: MysqlConnection = yield* until(createConnection({ ...account, stream: () => connect(database.path) }))
    expect((yield* until(connection.query('SELECT 1 AS one')))[0]).toEqual([{ one: 1 }])
    yield* until(connection.end())
  })
})

it('nobody there, and a wrong password, are errors of the query', async () => {
  const port = await freePort()
  await run(function* () {
    const nowhere = poolOver({ ...account, port })
    expect(yield* caught(() => query(nowhere, 'SELECT 1'))).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', port })
    yield* until(nowhere.end())
    const wrong = poolOver({ ...account, port: database.port, password: 'wrong' })
    expect((yield* caught(() => query(wrong, 'SELECT 1'))).code).toBe('ER_ACCESS_DENIED_ERROR')
    yield* until(wrong.end())
  })
})
