/** A flood on one connection leaves everybody else their share: other tasks, timers, and node:net in the same process. */
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { connect, run, scope, serve, sleep, spawn, until } from 'coreactor'
import { pair } from './support.js'

it('hazard 65: a flood on one of our connections starves neither node:net nor our other tasks', async () => {
  const nodeServer = createServer((socket) => socket.pipe(socket))
  nodeServer.listen(0, '127.0.0.1')
  await once(nodeServer, 'listening')
  await run(async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
    })
    let flooded = 0
    const flood = spawn(function* () {
      const client = yield* connect({ port: server.address.port })
      try {
        yield* scope(function* (tasks) {
          tasks.spawn(function* () {
            for (let got; (got = yield* client.readSome()) !== null; ) flooded += got.length
          })
          for (;;) yield* client.write(Buffer.alloc(60_000))
        })
      } finally {
        client.reset()
      }
    })
    const socket = createConnection((nodeServer.address() as { port: number }).port, '127.0.0.1')
    for (let round = 0; round < 50; round++) {
      socket.write(`round ${round}`)
      const [data] = (await once(socket, 'data')) as [Buffer]
      expect(String(data)).toBe(`round ${round}`)
    }
    // And the flood went on meanwhile.
    expect(flooded).toBeGreaterThan(1_000_000)
    // It is some 20 MB for each round trip of node:net; without a limit on our turns in a row it was 200.
    expect(flooded / 50).toBeLessThan(100_000_000)
    socket.destroy()
    flood.cancel()
    await until(Promise.allSettled([flood]))
    await server.close()
  })
  nodeServer.close()
  await once(nodeServer, 'close')
})

it('hazard 11: a flooding connection lets a 10 ms timer through, every time', async () => {
  await run(async () => {
    const [client, server] = await spawn(pair)
    const flood = spawn(function* () {
      for (;;) yield* client.write(Buffer.alloc(30_000))
    })
    const drain = spawn(function* () {
      const buffer = Buffer.alloc(1000)
      for (;;) yield* server.read(buffer)
    })
    for (let i = 0; i < 10; i++) await sleep(10)
    flood.cancel()
    drain.cancel()
    await until(Promise.allSettled([flood, drain]))
    client.reset()
    server.reset()
  })
})
