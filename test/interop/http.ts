/** Servers of `node:http`, `https`, `http2` and `tls` over coreactor: they are fed with sockets of ours. */
import { once, type EventEmitter } from 'node:events'
import { Agent, type ClientRequestArgs } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import { until, type Coroutine, type Scope } from 'coreactor'
import { connect, createServer, type NetConnectOptions, type Server, type Socket } from 'coreactor/net'

/** Listens for `app`, which takes sockets by its event 'connection'. It knows whether they may be half open: http's may. */
export function* listenFor(app: EventEmitter & { allowHalfOpen?: boolean }): Coroutine<Server> {
  const { allowHalfOpen } = app
  const wrapped = app instanceof TlsServer
  const server = createServer({ noDelay: true, allowHalfOpen, wrapped }, (socket) => app.emit('connection', socket))
  server.listen(0, '127.0.0.1')
  yield* until(once(server, 'listening'))
  return server
}

/** Until a socket or a server has closed, whatever it has to complain about. */
export function* closed(what: EventEmitter & { readonly closed?: boolean }): Coroutine<void> {
  if (what.closed !== true) yield* until(new Promise<void>((resolve) => what.once('close', resolve)))
}

/** What keeps connections of ours alive between requests: `http.request({ agent: new OverCoreactorAgent({ keepAlive: true }) })`. */
export class OverCoreactorAgent extends Agent {
  override createConnection(options: ClientRequestArgs): Socket {
    return connect({ noDelay: true, ...(options as NetConnectOptions) })
  }
}

/**
 * What `ask` gives, which ends when the signal of the scope says so. It is waited for in a coroutine: there the end of a
 * `timeout` is a `TimeoutError`, whatever the promise is rejected with when it hears of it.
 */
export function abortable<T>(ask: (signal: AbortSignal) => Promise<T>): (scope: Scope) => Coroutine<T> {
  return function* (scope) {
    return yield* until(ask(scope.signal))
  }
}
