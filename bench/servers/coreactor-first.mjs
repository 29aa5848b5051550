/** Accepts, reads the first byte and closes, over coreactor. */
import { run, serve } from 'coreactor'
import { control } from './control.mjs'

await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    yield* connection.readSome()
  })
  control(server.address.port)
})
