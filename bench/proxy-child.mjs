/** A proxy in a process of its own: `node proxy-child.mjs (splice | copy | node:net) PORT`. Tells its CPU time when asked. */
import { createServer, connect as connectNet } from 'node:net'
import { all, connect, serve } from 'coreactor'
import { currentRuntime } from '../dist/runtime/current.js'

const [kind, port] = [process.argv[2], Number(process.argv[3])]

if (kind === 'node:net') {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connectNet({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
} else {
  // What a kernel without it answers: -ENOSYS.
  if (kind === 'copy') currentRuntime().kernel.splice = () => -38
  const server = await serve({ port: 0, host: '127.0.0.1' }, function* (client) {
    const upstream = yield* connect({ port, host: '127.0.0.1' })
    yield* all([client.pipeTo(upstream), upstream.pipeTo(client)])
    yield* upstream.close()
  })
  process.send({ port: server.address.port })
}

process.on('message', () => process.send({ cpu: process.cpuUsage() }))
