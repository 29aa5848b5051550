/** What is particular to one kind of stream, or shows on one kernel only; the rest is in `conformance/`. */
import { expect, it } from 'vitest'
import { caught, onEveryKernel, pair, readAll } from './support.js'
import { checkpoint, ClosedError, run, spawn, timeout, TimeoutError } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'

onEveryKernel('connections', (kernel) => {
  it('bad options are refused before any effect, and all of them once the connection is closed', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      expect(() => client.setKeepAlive(true, { idle: 0 })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      yield* client.close()
      yield* server.close()
      expect(() => server.setNoDelay()).toThrow(ClosedError)
    })
  })
})

it('hazard 34: data and a deadline that meet in one turn have one outcome, the data', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      const [client, server] = yield* pair()
      const reading = spawn(function* () {
        return yield* timeout(5, function* () {
          return String(yield* server.readSome())
        })
      })
      yield* checkpoint()
      // The next turn finds both: the data has arrived, and the deadline has passed.
      client.tryWrite('just in time')
      kernel.advance(10)
      expect(yield* reading).toBe('just in time')
      yield* client.close()
      yield* server.close()
    },
    { kernel }
  )
})

it('hazard 13: the kernel is not asked again after it has said EAGAIN, until it reports a change', async () => {
  const kernel = new MemoryKernel()
  let asked = 0
  const receive = kernel.receive.bind(kernel)
  kernel.receive = (...args) => {
    asked++
    return receive(...args)
  }
  await run(
    function* () {
      const [client, server] = yield* pair()
      const buffer = Buffer.alloc(4)
      yield* client.write('full')
      expect(yield* server.read(buffer)).toBe(4)
      // The buffer was filled, so there may be more: this one asks, is told EAGAIN, and waits.
      expect(yield* caught(() => timeout(1, () => server.read(buffer)))).toBeInstanceOf(TimeoutError)
      expect(asked).toBe(2)
      expect(yield* caught(() => timeout(1, () => server.read(buffer)))).toBeInstanceOf(TimeoutError)
      expect(asked).toBe(2)
      // And a short read has said it already.
      yield* client.write('abc')
      expect(yield* server.read(buffer)).toBe(3)
      expect(yield* caught(() => timeout(1, () => server.read(buffer)))).toBeInstanceOf(TimeoutError)
      expect(asked).toBe(3)
      yield* client.close()
      yield* server.close()
    },
    { kernel }
  )
})

it('a reader learns of a close at once, even while the close waits for a peer that does not read', async () => {
  await run(
    function* () {
      const [client, server] = yield* pair()
      yield* client.write('more than the peer will take')
      const reading = spawn(() => caught(() => client.readSome()))
      yield* checkpoint()
      const closing = spawn(() => client.close())
      expect(yield* reading).toBeInstanceOf(ClosedError)
      expect(closing.state).toBe('parked')
      expect(String(yield* readAll(server))).toBe('more than the peer will take')
      yield* closing
      yield* server.close()
    },
    { kernel: new MemoryKernel({ capacity: 5 }) }
  )
})
