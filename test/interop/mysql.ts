/** mysql2 over coreactor: how its pool is given our sockets, and how a query is cancelled. */
import { until, type Coroutine } from 'coreactor'
import { connect, type Socket } from 'coreactor/net'
import { createPool, type Pool, type PoolConnection, type PoolOptions } from 'mysql2/promise'

/** `stream` is called for each connection of the pool. */
export function poolOver(options: PoolOptions & { host: string; port: number }): Pool {
  const { host, port } = options
  return createPool({ ...options, stream: () => connect({ host, port, noDelay: true }) })
}

/** A connection of the pool. One that comes when nobody waits for it any more goes back. */
export function* take(pool: Pool): Coroutine<PoolConnection> {
  const coming = pool.getConnection()
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

/**
 * What `ask` is answered on a connection of the pool. Cut off by a deadline or a cancellation, the connection is destroyed:
 * the answer to what was asked is still to come on it.
 */
export function* using<T>(pool: Pool, ask: (connection: PoolConnection) => Promise<T>): Coroutine<T> {
  const connection = yield* take(pool)
  let answered = false
  const answer = ask(connection).finally(() => (answered = true))
  try {
    return yield* until(answer)
  } finally {
    if (answered) connection.release()
    else cutOff(connection)
  }
}

/**
 * Out of the pool, and closed. mysql2 alone says goodbye and waits for the server, which does not answer while it is at work.
 */
export function cutOff(connection: PoolConnection): void {
  const { stream } = connection.connection as unknown as { stream: Socket }
  connection.destroy()
  stream.destroy()
}
