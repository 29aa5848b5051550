/** Answers pipelined RESP commands with +PONG over coreactor: one write for each, as a handler of commands would. */
import { run, serve } from 'coreactor'
import { control } from './control.mjs'
import { CommandCounter } from './ping.mjs'

await run(function* () {
  const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
    const counter = new CommandCounter()
    for (let chunk; (chunk = yield* connection.readSome()) !== null; ) {
      for (let left = counter.count(chunk); left > 0; left--) yield* connection.write('+PONG\r\n')
    }
  })
  control(server.address.port)
})
