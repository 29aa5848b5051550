/**
 * The same server over `node:net`, for comparison: protocol, store and commands are those of `resp/`.
 *
 *   npm run example resp-server-node-net -- --port 6379
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { isMain, parsePort, stopRequested } from './resp/cli.js'
import { Database, type DatabaseOptions } from './resp/database.js'
import { Session } from './resp/session.js'
import type { Store } from './resp/store.js'

const BACKLOG = 4096
const LINGER_MS = 500
const SWEEP_INTERVAL_MS = 100
const SWEEP_KEYS = 200

export interface NodeNetOptions extends DatabaseOptions {
  port?: number
  host?: string
}

export interface NodeNetServer {
  readonly address: AddressInfo
  readonly connections: number
  readonly database: Database
  /** Stops accepting and gives the clients `grace` milliseconds to finish. */
  close(options?: { grace?: number }): Promise<void>
}

export async function serveRespOverNodeNet(options: NodeNetOptions = {}): Promise<NodeNetServer> {
  const { port = 6379, host = '127.0.0.1', ...rest } = options
  const database = new Database(rest)
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    converse(socket, new Session(database))
  })
  server.listen({ port, host, backlog: BACKLOG })
  await once(server, 'listening')
  const sweeper = setInterval(sweep, SWEEP_INTERVAL_MS, database.store)

  return {
    address: server.address() as AddressInfo,
    database,
    get connections() {
      return sockets.size
    },
    async close({ grace = 0 } = {}) {
      clearInterval(sweeper)
      const cutOff = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, grace)
      await new Promise((resolve) => server.close(resolve))
      clearTimeout(cutOff)
    }
  }
}

function converse(socket: Socket, session: Session): void {
  const { replies } = session.database

  /** One write for the replies to a whole chunk; the client's requests wait while it does not read. */
  function answer(chunk: Buffer | null): void {
    let more = session.answer(chunk)
    while (replies.length > 0) {
      const taken = socket.write(replies.take())
      if (!taken) {
        socket.pause()
        socket.once('drain', () => {
          socket.resume()
          if (more) answer(null)
        })
        break
      }
      if (more) more = session.answer(null)
    }
    if (session.closing) hangUp()
  }

  /** Lets the client read its last reply. */
  function hangUp(): void {
    socket.off('data', answer)
    socket.resume()
    socket.end()
    socket.setTimeout(LINGER_MS, () => socket.destroy())
  }

  socket.on('data', answer)
  socket.on('end', () => socket.end())
  // Node has destroyed the socket already; a client that is gone is no news.
  socket.on('error', () => {})
  socket.once('close', () => session.end())
}

/** Finds expired keys that nobody asks for: a bounded number, then the connections have their turn. */
function sweep(store: Store): void {
  if (store.sweep(SWEEP_KEYS) > SWEEP_KEYS / 4) setImmediate(sweep, store)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '6379' }, host: { type: 'string', default: '127.0.0.1' } }
  })
  const server = await serveRespOverNodeNet({ port: parsePort(values.port), host: values.host })
  console.log(`Ready on ${server.address.address}:${server.address.port}. Ctrl-C stops it.`)
  await stopRequested()
  await server.close({ grace: 500 })
}

if (isMain(import.meta.url)) await main()
