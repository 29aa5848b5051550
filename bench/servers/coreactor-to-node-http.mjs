/** HTTP of Node over connections of coreactor: a coroutine for each, that waits for its end. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { run, serve, toNode, until } from 'coreactor'
import { control } from './control.mjs'
import { hello } from './hello.mjs'

const http = createServer(hello)
await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    const socket = toNode(connection, { allowHalfOpen: true })
    http.emit('connection', socket)
    yield* until(once(socket, 'close'))
  })
  control(server.address.port)
})
