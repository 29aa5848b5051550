/** ioredis and node-redis over coreactor: how each is given our sockets. */
import net from 'node:net'
import { connect } from 'coreactor/net'
import { AbstractConnector } from 'ioredis'

/** What ioredis connects with: `new Redis({ Connector: OverCoreactor, host, port })`. */
export class OverCoreactor extends AbstractConnector {
  private readonly options: { host: string; port: number }

  constructor(options: unknown) {
    super(2000)
    this.options = options as OverCoreactor['options']
  }

  async connect(): ReturnType<AbstractConnector['connect']> {
    const { host, port } = this.options
    this.connecting = true
    const socket = connect({ host, port })
    socket.once('error', (error) => (this.firstError = error))
    this.stream = socket as never
    return this.stream
  }
}

/** node-redis has no hook. It asks the module `net` for each connection; this gives it ours for as long as `body` lasts. */
export async function withOurNet<T>(body: () => Promise<T>): Promise<T> {
  const { createConnection } = net
  net.createConnection = connect as never
  try {
    return await body()
  } finally {
    net.createConnection = createConnection
  }
}
