/** MariaDB or MySQL through mysql2, over sockets of coreactor. Queries are operations of the task that asks. */
import { until, type Coroutine } from 'coreactor'
import { connect, type Socket } from 'coreactor/net'
import { createPool, type Pool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise'

export interface Account {
  host: string
  port: number
  user: string
  password: string
  database: string
}

/** From the environment. Null: none is configured there. */
export function accountOf(env: NodeJS.ProcessEnv): Account | null {
  const { MYSQL_HOST: host, MYSQL_PORT: port = '3306', MYSQL_USER: user = 'root', MYSQL_PASSWORD: password = '' } = env
  if (host === undefined) return null
  return { host, port: Number(port), user, password, database: env['MYSQL_DATABASE'] ?? 'test' }
}

export class Database {
  private readonly pool: Pool

  constructor(account: Account, connections = 10) {
    const { host, port } = account
    this.pool = createPool({ ...account, connectionLimit: connections, stream: () => connect({ host, port, noDelay: true }) })
  }

  rows(sql: string, values: (string | number)[] = []): Coroutine<RowDataPacket[]> {
    return this.using(async (connection) => (await connection.execute<RowDataPacket[]>(sql, values))[0])
  }

  change(sql: string, values: (string | number)[] = []): Coroutine<ResultSetHeader> {
    return this.using(async (connection) => (await connection.execute<ResultSetHeader>(sql, values))[0])
  }

  *close(): Coroutine<void> {
    yield* until(this.pool.end())
  }

  /** A connection on which an answer is still to come is of no use to anybody: cut off, it is destroyed. */
  private *using<T>(ask: (connection: PoolConnection) => Promise<T>): Coroutine<T> {
    const connection = yield* this.take()
    let answered = false
    const answer = ask(connection).finally(() => (answered = true))
    try {
      return yield* until(answer)
    } finally {
      if (answered) connection.release()
      else cutOff(connection)
    }
  }

  /** One that comes when nobody waits for it any more goes back. */
  private *take(): Coroutine<PoolConnection> {
    const coming = this.pool.getConnection()
    try {
      return yield* until(coming)
    } catch (error) {
      coming.then(
        (connection) => connection.release(),
        () => {}
      )
      throw error
    }
  }
}

/** mysql2 alone says goodbye and waits for the server, which does not answer while it is at work. */
function cutOff(connection: PoolConnection): void {
  const { stream } = connection.connection as unknown as { stream: Socket }
  connection.destroy()
  stream.destroy()
}
