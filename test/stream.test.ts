/** Reading, writing and ending a connection: what both kernels promise. */
import { expect, it } from 'vitest'
import {
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  run,
  scope,
  sleep,
  spawn,
  SystemError,
  timeout,
  TimeoutError,
  type Connection
} from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { caught, onEveryKernel, pair, pattern, randomFrom, readAll } from './support.js'

const MEGABYTE = 1024 * 1024

onEveryKernel('streams', (kernel) => {
  it('what is written arrives, in order, until the writer has finished', async () => {
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('one ')
      yield* client.write(Buffer.from('two '))
      yield* client.write([Buffer.from('three '), Buffer.from('four')])
      yield* client.closeWrite()
      const all = yield* readAll(server)
      yield* client.close()
      yield* server.close()
      return all.toString()
    })
    expect(received).toBe('one two three four')
  })

  it('text is written as UTF-8, short or long', async () => {
    const text = ['é', '日本語', '\u{1f600}'.repeat(100), 'a'.repeat(23) + 'ü', 'x'.repeat(20_000) + 'ß'].join('|')
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      const writing = spawn(function* () {
        for (const part of text.split('|')) yield* client.write(part)
        yield* client.close()
      })
      const all = yield* readAll(server)
      yield* writing
      yield* server.close()
      return all.toString()
    })
    expect(received).toBe(text.replaceAll('|', ''))
  })

  it('small writes are copied: the buffer may be used again at once', async () => {
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      const buffer = Buffer.alloc(1)
      for (const letter of 'abc') {
        buffer.write(letter)
        yield* client.write(buffer)
      }
      yield* client.close()
      const all = yield* readAll(server)
      yield* server.close()
      return all.toString()
    })
    expect(received).toBe('abc')
  })

  it('read gives what is there and 0 at the end, and 0 again after it', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('abcdef')
      yield* client.closeWrite()
      const buffer = Buffer.alloc(4)
      const counts: number[] = []
      let text = ''
      for (let n; (n = yield* server.read(buffer)) > 0; ) {
        counts.push(n)
        text += buffer.toString('latin1', 0, n)
      }
      expect([text, counts[0]]).toEqual(['abcdef', 4])
      expect(yield* server.read(buffer)).toBe(0)
      expect(yield* server.readSome()).toBeNull()
      yield* client.close()
      yield* server.close()
    })
  })

  it('readSome gives at most max bytes, in a buffer that later reads leave alone', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('abcdef')
      yield* client.flush()
      const first = (yield* server.readSome(2)) as Buffer
      const second = (yield* server.readSome()) as Buffer
      expect([first.toString(), second.toString()]).toEqual(['ab', 'cdef'])
      yield* client.close()
      yield* server.close()
    })
  })

  it('tryRead and tryWrite make one attempt and do not wait', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const buffer = Buffer.alloc(10)
      expect(server.tryRead(buffer)).toBeNull()
      expect(client.tryWrite('hello')).toBe(5)
      expect(yield* server.read(buffer)).toBe(5)
      let taken = 0
      for (let n; (n = client.tryWrite(pattern(MEGABYTE))) !== null; ) taken += n
      expect(taken).toBeGreaterThan(0)
      yield* client.closeWrite()
      expect((yield* readAll(server)).length).toBe(taken)
      expect(server.tryRead(buffer)).toBe(0)
      yield* client.close()
      yield* server.close()
    })
  })

  it('tryWrite never goes past what was written before it', async () => {
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('first ')
      client.tryWrite('second')
      yield* client.close()
      const all = yield* readAll(server)
      yield* server.close()
      return all.toString()
    })
    expect(received).toBe('first second')
  })

  it('hazard 20: partial writes lose nothing: many sizes, small buffers, a slow reader', async () => {
    const random = randomFrom(7)
    const sent: Buffer[] = []
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      const writing = spawn(function* () {
        for (let i = 0; i < 300; i++) {
          const chunk = pattern(Math.floor(random() ** 4 * 100_000), i + 1)
          sent.push(Buffer.from(chunk))
          yield* client.write(chunk)
          if (i % 7 === 0) yield* client.write([chunk.subarray(0, 10), chunk.subarray(10, 20)])
          if (i % 7 === 0) sent.push(Buffer.from(chunk.subarray(0, 20)))
        }
        yield* client.closeWrite()
      })
      const chunks: Buffer[] = []
      for (let chunk; (chunk = yield* server.readSome(1 + Math.floor(random() * 9000))) !== null; ) {
        chunks.push(chunk)
        if (random() < 0.1) yield* checkpoint()
      }
      yield* writing
      yield* client.close()
      yield* server.close()
      return Buffer.concat(chunks)
    })
    expect(received.equals(Buffer.concat(sent))).toBe(true)
  })

  it('hazard 20: three thousand chunks in one write arrive whole', async () => {
    const chunks = Array.from({ length: 3000 }, (_, i) => pattern(i % 50, i + 1))
    const received = await kernel.run(function* () {
      const [client, server] = yield* pair()
      const writing = spawn(function* () {
        yield* client.write(chunks)
        yield* client.close()
      })
      const all = yield* readAll(server)
      yield* writing
      yield* server.close()
      return all
    })
    expect(received.equals(Buffer.concat(chunks))).toBe(true)
  })

  it('a writer waits while the peer does not read, and what waits stays bounded', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      let written = 0
      const writing = spawn(function* () {
        for (let i = 0; i < 5000; i++) {
          yield* client.write(pattern(1000))
          written += 1000
        }
        yield* client.close()
      })
      for (let last = -1; last !== written; ) {
        last = written
        for (let i = 0; i < 20; i++) yield* checkpoint()
      }
      expect(writing.state).toBe('parked')
      expect(client.bufferedBytes).toBeGreaterThan(0)
      expect(client.bufferedBytes).toBeLessThan(64 * 1024 + 1000)
      expect((yield* readAll(server)).length).toBe(5_000_000)
      yield* writing
      yield* server.close()
    })
  })

  it('flush completes when everything written is in the hands of the kernel', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('hello')
      expect(client.bufferedBytes).toBe(5)
      yield* client.flush()
      expect(client.bufferedBytes).toBe(0)
      yield* client.close()
      yield* server.close()
    })
  })

  it('hazard 12: with random read sizes and pauses every byte arrives, and nothing hangs', async () => {
    for (const seed of [1, 2, 3]) {
      const random = randomFrom(seed)
      const sent = pattern(300_000, seed)
      const received = await kernel.run(function* () {
        const [client, server] = yield* pair()
        const writing = spawn(function* () {
          for (let at = 0; at < sent.length; ) {
            const end = Math.min(at + 1 + Math.floor(random() * 5000), sent.length)
            yield* client.write(sent.subarray(at, end))
            if (random() < 0.3) yield* checkpoint()
            at = end
          }
          yield* client.closeWrite()
        })
        const chunks: Buffer[] = []
        const buffer = Buffer.alloc(10_000)
        for (;;) {
          const view = buffer.subarray(0, 1 + Math.floor(random() * buffer.length))
          const n = yield* server.read(view)
          if (n === 0) break
          chunks.push(Buffer.from(view.subarray(0, n)))
          if (random() < 0.1) yield* sleep(random())
        }
        yield* writing
        yield* client.close()
        yield* server.close()
        return Buffer.concat(chunks)
      })
      expect(received.equals(sent)).toBe(true)
    }
  })

  it('hazard 14: a second reader gets BusyError, and the first goes on undisturbed', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const first = spawn(function* () {
        return String(yield* server.readSome())
      })
      yield* checkpoint()
      const second = yield* caught(() => server.readSome())
      expect(second).toBeInstanceOf(BusyError)
      expect(() => server.tryRead(Buffer.alloc(1))).toThrow(BusyError)
      yield* client.write('for the first')
      expect(yield* first).toBe('for the first')
      yield* client.close()
      yield* server.close()
    })
  })

  it('hazard 14: a second writer gets BusyError while the first waits for room', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const big = pattern(8 * MEGABYTE)
      const first = spawn(function* () {
        yield* client.write(big)
      })
      yield* checkpoint()
      expect(yield* caught(() => client.write('x'))).toBeInstanceOf(BusyError)
      const reading = spawn(readAll, server)
      yield* first
      yield* client.close()
      expect((yield* reading).equals(big)).toBe(true)
      yield* server.close()
    })
  })

  it('hazard 14: cancelling the reader leaves the writer of the same connection armed', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const big = pattern(8 * MEGABYTE)
      const reader = spawn(function* () {
        yield* client.readSome()
      })
      const writer = spawn(function* () {
        yield* client.write(big)
      })
      yield* checkpoint()
      reader.cancel()
      yield* checkpoint()
      expect(writer.state).toBe('parked')
      const reading = spawn(readAll, server)
      yield* writer
      yield* client.close()
      expect((yield* reading).length).toBe(big.length)
      yield* server.close()
    })
  })

  it('a cancelled read has read nothing: the next one gets it all', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const error = yield* caught(() => timeout(1, () => server.readSome()))
      expect(error).toBeInstanceOf(TimeoutError)
      yield* client.write('whole')
      expect(String(yield* server.readSome())).toBe('whole')
      yield* client.close()
      yield* server.close()
    })
  })

  it('hazard 32: cancelled at any step, reads lose nothing', async () => {
    const sent = pattern(20_000, 3)
    for (let cancelAfter = 0; cancelAfter < 40; cancelAfter++) {
      const received = await kernel.run(function* () {
        const [client, server] = yield* pair()
        const writing = spawn(function* () {
          for (let at = 0; at < sent.length; at += 500) {
            yield* client.write(sent.subarray(at, at + 500))
            yield* checkpoint()
          }
          yield* client.closeWrite()
        })
        const chunks: Buffer[] = []
        const reader = spawn(function* () {
          for (let chunk; (chunk = yield* server.readSome(300)) !== null; ) chunks.push(chunk)
        })
        for (let i = 0; i < cancelAfter; i++) yield* checkpoint()
        reader.cancel()
        yield* checkpoint()
        chunks.push(yield* readAll(server))
        yield* writing
        yield* client.close()
        yield* server.close()
        return Buffer.concat(chunks)
      })
      expect(received.equals(sent)).toBe(true)
    }
  })

  it('hazard 32: a cancelled write that waited for room has written nothing', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      let written = 0
      const writing = spawn(function* () {
        for (;;) {
          yield* client.write(pattern(1000, written + 1))
          written++
        }
      })
      for (let i = 0; i < 100_000 && writing.state !== 'parked'; i++) yield* checkpoint()
      writing.cancel()
      yield* checkpoint()
      expect(writing.state).toBe('ended')
      const reading = spawn(readAll, server)
      yield* client.close()
      const expected = Buffer.concat(Array.from({ length: written }, (_, i) => pattern(1000, i + 1)))
      expect((yield* reading).equals(expected)).toBe(true)
      yield* server.close()
    })
  })

  it('hazard 32: a large write that is cut off says how much has gone, and closes the write side', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const big = pattern(16 * MEGABYTE)
      let thrown: (Cancelled & { bytesWritten?: number }) | undefined
      const writing = spawn(function* () {
        try {
          yield* client.write(big)
        } catch (error) {
          thrown = error as Cancelled
          throw error
        }
      })
      for (let i = 0; i < 20; i++) yield* checkpoint()
      writing.cancel()
      yield* checkpoint()
      const gone = thrown?.bytesWritten ?? 0
      expect(gone).toBeGreaterThan(0)
      expect(gone).toBeLessThan(big.length)
      expect(yield* caught(() => client.write('more'))).toBeInstanceOf(ClosedError)
      const reading = spawn(() => caught(() => readAll(server)))
      yield* checkpoint()
      client.reset()
      expect((yield* reading).code).toBe('ECONNRESET')
      yield* server.close()
    })
  })

  it('closing wakes whoever waits with ClosedError, and again does no harm', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const reader = spawn(function* () {
        return yield* caught(() => server.readSome())
      })
      yield* checkpoint()
      yield* server.close()
      yield* server.close()
      expect(yield* reader).toBeInstanceOf(ClosedError)
      expect(server.fd).toBe(-1)
      for (const use of [() => server.readSome(), () => server.write('x'), () => server.flush(), () => server.closeWrite()]) {
        expect(yield* caught(use)).toBeInstanceOf(ClosedError)
      }
      expect(() => server.tryRead(Buffer.alloc(1))).toThrow(ClosedError)
      expect(() => server.tryWrite('x')).toThrow(ClosedError)
      expect(() => server.setNoDelay()).toThrow(ClosedError)
      yield* client.close()
    })
  })

  it('close sends what was written first', async () => {
    const all = await kernel.run(function* () {
      const [client, server] = yield* pair()
      const big = pattern(15_000)
      const reading = spawn(readAll, server)
      for (let i = 0; i < 40; i++) yield* client.write(big)
      yield* client.close()
      const { length } = yield* reading
      yield* server.close()
      return length
    })
    expect(all).toBe(600_000)
  })

  it('close in a cancelled scope frees the socket all the same', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* scope(function* (tasks) {
        tasks.cancel()
        try {
          yield* sleep(1)
        } finally {
          yield* client.close()
        }
      })
      expect(client.fd).toBe(-1)
      expect(yield* server.readSome()).toBeNull()
      yield* server.close()
    })
  })

  it('close that is cancelled while the peer does not read frees the socket with a reset', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      for (let i = 0; i < 10_000 && client.bufferedBytes < 60_000; i++) {
        yield* client.write(pattern(10_000))
        yield* checkpoint()
      }
      const error = yield* caught(() => timeout(1, () => client.close()))
      expect(error).toBeInstanceOf(TimeoutError)
      expect(client.fd).toBe(-1)
      const end = yield* caught(() => readAll(server))
      expect(end.code).toBe('ECONNRESET')
      yield* server.close()
    })
  })

  it('reset drops everything and the peer finds ECONNRESET, every time it asks', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('dropped')
      client.reset()
      client.reset()
      const first = yield* caught(() => server.readSome())
      const second = yield* caught(() => server.readSome())
      expect(first).toBeInstanceOf(SystemError)
      expect([first.code, second.code]).toEqual(['ECONNRESET', 'ECONNRESET'])
      yield* server.close()
    })
  })

  it('hazard 21: after closeWrite the other direction goes on, and writing is refused', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('question')
      yield* client.closeWrite()
      yield* client.closeWrite()
      expect(yield* caught(() => client.write('more'))).toBeInstanceOf(ClosedError)
      expect(String(yield* readAll(server))).toBe('question')
      yield* server.write('answer')
      yield* server.close()
      expect(String(yield* readAll(client))).toBe('answer')
      yield* client.close()
    })
  })

  // Every order of: A ends writing, B ends writing, A closes, B closes; a close stands for an end, too.
  const steps = ['a ends', 'b ends', 'a closes', 'b closes'] as const
  const orders = permutations([...steps])
  it.each(orders.map((order) => [order.join(', ')]))('hazard 21: ends in the order %s', async (order) => {
    await kernel.run(function* () {
      const [a, b] = yield* pair()
      const ends: Record<string, Connection> = { a, b }
      for (const step of order.split(', ')) {
        const [side, verb] = step.split(' ') as [string, string]
        const self = ends[side] as Connection
        const other = ends[side === 'a' ? 'b' : 'a'] as Connection
        if (verb === 'closes') {
          yield* self.close()
        } else if (self.closed) {
          expect(yield* caught(() => self.closeWrite())).toBeInstanceOf(ClosedError)
        } else {
          yield* self.closeWrite()
        }
        if (!other.closed) expect(yield* other.readSome()).toBeNull()
      }
    })
  })

  it('hazard 22: writing to a peer that is gone ends in EPIPE or ECONNRESET, for every later operation too', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      server.reset()
      let error: (Error & { code?: string }) | undefined
      for (let i = 0; i < 1000 && error === undefined; i++) {
        try {
          yield* client.write('x')
          yield* client.flush()
        } catch (thrown) {
          error = thrown as Error
        }
      }
      expect(['EPIPE', 'ECONNRESET']).toContain(error?.code)
      expect(yield* caught(() => client.write('y'))).toBe(error)
      expect(yield* caught(() => client.flush())).toBe(error)
      yield* client.close()
    })
  })

  it('an error that a write met after it had completed is raised by close, once', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      server.reset()
      yield* sleep(1)
      yield* client.write('lost')
      yield* checkpoint()
      yield* checkpoint()
      const error = yield* caught(() => client.close())
      expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
      yield* client.close()
    })
  })

  it('bad arguments are refused before any effect', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      for (const [use, code] of [
        [() => client.read('x' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => client.read(new Uint8Array(0)), 'ERR_INVALID_ARG_VALUE'],
        [() => client.readSome(0), 'ERR_OUT_OF_RANGE'],
        [() => client.readSome('1' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => client.write(5 as never), 'ERR_INVALID_ARG_TYPE'],
        [() => client.write([Buffer.from('a'), 'b'] as never), 'ERR_INVALID_ARG_TYPE'],
        [() => client.tryWrite(null as never), 'ERR_INVALID_ARG_TYPE'],
        [() => client.setKeepAlive(true, { idle: 0 }), 'ERR_OUT_OF_RANGE']
      ] as const) {
        expect(use).toThrow(expect.objectContaining({ code }))
      }
      yield* client.write('still fine')
      yield* client.close()
      expect(String(yield* readAll(server))).toBe('still fine')
      yield* server.close()
    })
  })

  it('an async loop over the connection sees the chunks until the end, and disposal closes it', async () => {
    const text = await kernel.run(async () => {
      const [client, server] = await spawn(pair)
      spawn(async () => {
        await using own = client
        await own.write('hello ')
        await own.write('world')
      })
      let all = ''
      for await (const chunk of server) all += String(chunk)
      await server.close()
      expect(client.closed).toBe(true)
      return all
    })
    expect(text).toBe('hello world')
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

function permutations<T>(items: T[]): T[][] {
  if (items.length < 2) return [items]
  return items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]))
}
