/** An echo server and a client of it, as an ES module. Prints what came back. */
import { connect, run, serve } from 'coreactor'

run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
  })
  const client = yield* connect({ port: server.address.port })
  yield* client.write('there and back\n')
  console.log(yield* client.readLine())
  yield* client.close()
  yield* server.close()
})
