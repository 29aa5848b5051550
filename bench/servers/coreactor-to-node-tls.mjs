/** TLS of Node over connections of coreactor: a coroutine for each, that waits for its end. */
import { createServer } from 'node:tls'
import { once } from 'node:events'
import { run, serve, toNode, until } from 'coreactor'
import { bulk, makeCertificate } from './bulk.mjs'
import { control } from './control.mjs'

const tls = createServer(makeCertificate(), bulk)
await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    const socket = toNode(connection, { wrapped: true })
    tls.emit('connection', socket)
    yield* until(once(socket, 'close'))
  })
  control(server.address.port)
})
