/** Connections that say nothing, over coreactor: a coroutine for each waits for them to. */
import { run, serve } from 'coreactor'
import { control } from './idle-control.mjs'

await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
  })
  control(server.address.port)
})
