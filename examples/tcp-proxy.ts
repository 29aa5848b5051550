/**
 * A TCP proxy: what comes on a connection goes to another address, and what is answered comes back. Each direction ends on
 * its own, so that a client that has finished asking still gets its answer.
 *
 *   npm run example tcp-proxy -- --port 8080 --to 127.0.0.1:6379
 */
import { parseArgs } from 'node:util'
import { all, Cancelled, connect, serve, type Connection, type Coroutine, type Op, type Server } from 'coreactor'
import { isMain, parsePort, stopRequested } from './resp/cli.js'

const CONNECT_MS = 5000

export interface ProxyOptions {
  /** 0 = any that is free. */
  port?: number
  host?: string
  to: { port: number; host: string }
}

export function serveProxy({ port = 0, host = '127.0.0.1', to }: ProxyOptions): Op<Server> {
  return serve({ port, host }, (client) => forward(client, to))
}

function* forward(client: Connection, to: ProxyOptions['to']): Coroutine<void> {
  const upstream = yield* connect({ ...to, timeout: CONNECT_MS })
  try {
    yield* all([client.pipeTo(upstream), upstream.pipeTo(client)])
  } catch (error) {
    // One of the two is gone or was cut off: the other must not take what it has got for the whole.
    client.reset()
    upstream.reset()
    if (error instanceof Cancelled) throw error
    return
  }
  yield* upstream.close()
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '8080' }, host: { type: 'string' }, to: { type: 'string', default: '' } }
  })
  const at = values.to.lastIndexOf(':')
  if (at < 1) {
    console.error('--to must be host:port')
    process.exit(2)
  }
  const to = { host: values.to.slice(0, at), port: parsePort(values.to.slice(at + 1)) }
  const server = await serveProxy({ port: parsePort(values.port), ...(values.host === undefined ? {} : { host: values.host }), to })
  console.log(`proxy on port ${server.address.port} to ${values.to}`)
  await stopRequested()
  await server.close({ grace: 1000 })
}
