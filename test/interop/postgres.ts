/** pg over coreactor: how its pool is given our sockets, how a query is cancelled, and notifications as a channel. */
import { Channel, until, type Coroutine } from 'coreactor'
import { Socket } from 'coreactor/net'
import pg from 'pg'

/** `stream` is called for each connection; pg connects the socket itself. */
export function poolOver(options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ ...options, stream: () => new Socket() })
  // A connection that is lost tells its query, and by 'error' everybody else.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** A connection of the pool. One that comes when nobody waits for it any more goes back. */
export function* take(pool: pg.Pool): Coroutine<pg.PoolClient> {
  const coming = pool.connect()
  try {
    return yield* until(coming)
  } catch (error) {
    coming.then(
      (client) => client.release(),
      () => {}
    )
    throw error
  }
}

/**
 * What `ask` is answered on a connection of the pool. Cut off by a deadline or a cancellation, the connection is destroyed; so
 * is one that the server is about to close, as its error says by being worse than an ERROR.
 */
export function* using<T>(pool: pg.Pool, ask: (client: pg.PoolClient) => Promise<T>): Coroutine<T> {
  const client = yield* take(pool)
  let fit = false
  const answer = ask(client).then(
    (value) => {
      fit = true
      return value
    },
    (error: unknown) => {
      fit = (error as { severity?: string }).severity === 'ERROR'
      throw error
    }
  )
  try {
    return yield* until(answer)
  } finally {
    client.release(!fit)
  }
}

/** What is notified on a channel of PostgreSQL's, as a channel of ours. `client` is for this alone. */
export function* listening(client: pg.ClientBase, name: string): Coroutine<Channel<string>> {
  const heard = new Channel<string>(Infinity)
  client.on('notification', ({ payload }) => heard.trySend(payload ?? ''))
  client.on('error', (error) => heard.close(error))
  client.on('end', () => heard.close())
  yield* until(client.query(`LISTEN ${pg.escapeIdentifier(name)}`))
  return heard
}
