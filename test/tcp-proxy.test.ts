/** The example that is a proxy, between clients and a server of this process. */
import { expect, it } from 'vitest'
import { connect, serve, spawn, type Coroutine } from 'coreactor'
import { serveProxy } from '../examples/tcp-proxy.js'
import { caught, onEveryKernel, pattern, readAll } from './support.js'

onEveryKernel('the proxy', (kernel) => {
  it('hazard 21: passes on what comes in both directions, and each end on its own', async () => {
    const [question, answer] = [pattern(1024 * 1024, 1), pattern(1024 * 1024, 2)]
    await kernel.run(function* () {
      // Answers only when it has the end of the question.
      const upstream = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
        expect((yield* readAll(connection)).equals(question)).toBe(true)
        yield* connection.write(answer)
      })
      const proxy = yield* serveProxy({ to: { host: '127.0.0.1', port: upstream.address.port as number } })
      const client = yield* connect({ port: proxy.address.port as number, host: '127.0.0.1' })
      const asking = spawn(function* (): Coroutine<void> {
        yield* client.write(question)
        yield* client.closeWrite()
      })
      expect((yield* readAll(client)).equals(answer)).toBe(true)
      yield* asking
      yield* client.close()
      yield* proxy.close({ grace: 1000 })
      yield* upstream.close()
    })
  })

  it('a reset on one side is a reset on the other', async () => {
    await kernel.run(function* () {
      const upstream = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
        yield* connection.readExactly(5)
        connection.reset()
      })
      const proxy = yield* serveProxy({ to: { host: '127.0.0.1', port: upstream.address.port as number } })
      const client = yield* connect({ port: proxy.address.port as number, host: '127.0.0.1' })
      yield* client.write('hello')
      expect((yield* caught(() => readAll(client))).code).toBe('ECONNRESET')
      yield* client.close()
      yield* proxy.close()
      yield* upstream.close()
    })
  })
})
