/** Echo over coreactor, a coroutine for each connection. */
import { run, serve } from 'coreactor'
import { control } from './control.mjs'

await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    const buffer = Buffer.alloc(4096)
    for (let n; (n = yield* connection.read(buffer)) > 0; ) yield* connection.write(buffer.subarray(0, n))
  })
  control(server.address.port)
})
