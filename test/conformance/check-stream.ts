/** What every stream promises, of whatever kind: reading and writing here, framed reads and endings in files of their own. */
import { describe, expect, it } from 'vitest'
import { BusyError, Cancelled, checkpoint, ClosedError, sleep, spawn, timeout, TimeoutError, type Coroutine, type Task } from 'coreactor'
import { caught, pattern, randomFrom } from '../support.js'
import { checkEndings } from './check-endings.js'
import { checkReads } from './check-reads.js'
import { readAllOf, type End, type StreamKind } from './stream-kind.js'

const BIG = 8 * 1024 * 1024

/** Checks a kind of stream in a suite of its own. */
export function checkStream(name: string, kind: StreamKind): void {
  describe(`${name}: reading and writing`, () => checkTransfer(kind))
  describe(`${name}: framed reads`, () => checkReads(kind))
  describe(`${name}: endings`, () => checkEndings(kind))
}

function checkTransfer(kind: StreamKind): void {
  const { big: bigSize = BIG, reluctant = false } = kind

  function* closeBoth(first: End, second: End): Coroutine<void> {
    yield* first.close()
    yield* second.close()
  }

  it('what is written arrives, in order, until the writer has finished', async () => {
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('one ')
      yield* writer.write(Buffer.from('two '))
      yield* writer.write([Buffer.from('three '), Buffer.from('four')])
      yield* writer.close()
      const all = yield* readAllOf(reader)
      yield* reader.close()
      return all.toString()
    })
    expect(received).toBe('one two three four')
  })

  it('an empty write is a write of nothing', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      for (const empty of ['', Buffer.alloc(0), [], [Buffer.alloc(0), Buffer.alloc(0)]]) yield* writer.write(empty)
      expect(writer.tryWrite('')).toBe(0)
      expect(writer.bufferedBytes).toBe(0)
      yield* writer.flush()
      yield* checkpoint()
      expect(reader.tryRead(Buffer.alloc(1))).toBeNull()
      yield* writer.write([Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(0)])
      yield* writer.close()
      expect(String(yield* readAllOf(reader))).toBe('x')
      yield* reader.close()
    })
  })

  it('text is written as UTF-8, short or long', async () => {
    const text = ['é', '日本語', '\u{1f600}'.repeat(100), 'a'.repeat(23) + 'ü', 'x'.repeat(20_000) + 'ß'].join('|')
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const writing = spawn(function* () {
        for (const part of text.split('|')) yield* writer.write(part)
        yield* writer.close()
      })
      const all = yield* readAllOf(reader)
      yield* writing
      yield* reader.close()
      return all.toString()
    })
    expect(received).toBe(text.replaceAll('|', ''))
  })

  it('small writes are copied: the buffer may be used again at once', async () => {
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const buffer = Buffer.alloc(1)
      for (const letter of 'abc') {
        buffer.write(letter)
        yield* writer.write(buffer)
      }
      yield* writer.close()
      const all = yield* readAllOf(reader)
      yield* reader.close()
      return all.toString()
    })
    expect(received).toBe('abc')
  })

  it('read gives what is there and 0 at the end, and 0 again after it', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('abcdef')
      yield* writer.close()
      const buffer = Buffer.alloc(4)
      const counts: number[] = []
      let text = ''
      for (let n; (n = yield* reader.read(buffer)) > 0; ) {
        counts.push(n)
        text += buffer.toString('latin1', 0, n)
      }
      expect(text).toBe('abcdef')
      if (!reluctant) expect(counts[0]).toBe(4)
      expect(yield* reader.read(buffer)).toBe(0)
      expect(yield* reader.readSome()).toBeNull()
      expect(yield* reader.read(buffer)).toBe(0)
      if (!reluctant) expect(reader.tryRead(buffer)).toBe(0)
      yield* reader.close()
    })
  })

  it('readSome gives at most max bytes, in a buffer that later reads leave alone', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('abcdef')
      yield* writer.flush()
      const first = (yield* reader.readSome(2)) as Buffer
      const second = (yield* reader.readSome()) as Buffer
      if (!reluctant) expect([first.toString(), second.toString()]).toEqual(['ab', 'cdef'])
      yield* writer.close()
      const rest = yield* readAllOf(reader)
      expect(first.length).toBeLessThanOrEqual(2)
      expect(String(Buffer.concat([first, second, rest]))).toBe('abcdef')
      yield* reader.close()
    })
  })

  it('tryRead and tryWrite make one attempt and do not wait', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const buffer = Buffer.alloc(10)
      expect(reader.tryRead(buffer)).toBeNull()
      let taken = writer.tryWrite('hello') ?? 0
      if (!reluctant) {
        expect(taken).toBe(5)
        expect(yield* reader.read(buffer)).toBe(5)
        taken = 0
      }
      for (let n; (n = writer.tryWrite(pattern(1024 * 1024))) !== null; ) taken += n
      if (!reluctant) expect(taken).toBeGreaterThan(0)
      const closing = spawn(() => writer.close())
      expect((yield* readAllOf(reader)).length).toBe(taken)
      if (!reluctant) expect(reader.tryRead(buffer)).toBe(0)
      yield* closing
      yield* reader.close()
    })
  })

  it('tryWrite never goes past what was written before it', async () => {
    let taken = 0
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('first ')
      taken = writer.tryWrite('second') ?? 0
      yield* writer.close()
      const all = yield* readAllOf(reader)
      yield* reader.close()
      return all.toString()
    })
    expect(received).toBe('first second'.slice(0, 6 + taken))
    if (!reluctant) expect(taken).toBe(6)
  })

  it('hazard 20: partial writes lose nothing: many sizes, small buffers, a slow reader', async () => {
    const random = randomFrom(7)
    const sent: Buffer[] = []
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const writing = spawn(function* () {
        for (let i = 0; i < 300; i++) {
          const chunk = pattern(Math.floor(random() ** 4 * Math.min(100_000, bigSize / 20)), i + 1)
          sent.push(Buffer.from(chunk))
          yield* writer.write(chunk)
          if (i % 7 === 0) yield* writer.write([chunk.subarray(0, 10), chunk.subarray(10, 20)])
          if (i % 7 === 0) sent.push(Buffer.from(chunk.subarray(0, 20)))
        }
        yield* writer.close()
      })
      const chunks: Buffer[] = []
      for (let chunk; (chunk = yield* reader.readSome(1 + Math.floor(random() * 9000))) !== null; ) {
        chunks.push(chunk)
        if (random() < 0.1) yield* checkpoint()
      }
      yield* writing
      yield* reader.close()
      return Buffer.concat(chunks)
    })
    expect(received.equals(Buffer.concat(sent))).toBe(true)
  })

  it('hazard 20: three thousand chunks in one write arrive whole', async () => {
    const chunks = Array.from({ length: 3000 }, (_, i) => pattern(i % 50, i + 1))
    const received = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const writing = spawn(function* () {
        yield* writer.write(chunks)
        yield* writer.close()
      })
      const all = yield* readAllOf(reader)
      yield* writing
      yield* reader.close()
      return all
    })
    expect(received.equals(Buffer.concat(chunks))).toBe(true)
  })

  it('hazard 27: a writer waits while the peer does not read, and what waits stays bounded', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const count = Math.ceil(bigSize / 1000)
      let written = 0
      const writing = spawn(function* () {
        for (let i = 0; i < count; i++) {
          yield* writer.write(pattern(1000))
          written++
        }
        yield* writer.close()
      })
      yield* untilParked(writing)
      expect(written).toBeLessThan(count)
      expect(writer.bufferedBytes).toBeGreaterThan(0)
      expect(writer.bufferedBytes).toBeLessThan(64 * 1024 + 1000)
      expect((yield* readAllOf(reader)).length).toBe(count * 1000)
      yield* writing
      yield* reader.close()
    })
  })

  it('flush completes when everything written is in the hands of the kernel', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('hello')
      expect(writer.bufferedBytes).toBe(5)
      yield* writer.flush()
      expect(writer.bufferedBytes).toBe(0)
      yield* closeBoth(writer, reader)
    })
  })

  it('hazard 12: with random read sizes and pauses every byte arrives, and nothing hangs', async () => {
    for (const seed of [1, 2, 3]) {
      const random = randomFrom(seed)
      const sent = pattern(300_000, seed)
      const received = await kind.run(function* () {
        const [writer, reader] = yield* kind.pair()
        const writing = spawn(function* () {
          for (let at = 0; at < sent.length; ) {
            const end = Math.min(at + 1 + Math.floor(random() * 5000), sent.length)
            yield* writer.write(sent.subarray(at, end))
            if (random() < 0.3) yield* checkpoint()
            at = end
          }
          yield* writer.close()
        })
        const chunks: Buffer[] = []
        const buffer = Buffer.alloc(10_000)
        for (;;) {
          const view = buffer.subarray(0, 1 + Math.floor(random() * buffer.length))
          const n = yield* reader.read(view)
          if (n === 0) break
          chunks.push(Buffer.from(view.subarray(0, n)))
          if (random() < 0.1) yield* sleep(random())
        }
        yield* writing
        yield* reader.close()
        return Buffer.concat(chunks)
      })
      expect(received.equals(sent)).toBe(true)
    }
  })

  it('hazard 14: a second reader gets BusyError, whatever it reads, and the first goes on undisturbed', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const first = spawn(function* () {
        return String(yield* reader.readExactly(13))
      })
      yield* checkpoint()
      for (const use of [
        () => reader.readSome(),
        () => reader.read(Buffer.alloc(1)),
        () => reader.readExactly(1),
        () => reader.readUntil(';'),
        () => reader.readLine(),
        () => reader.skipUntil(';'),
        () => reader.peek(1)
      ]) {
        expect(yield* caught(use)).toBeInstanceOf(BusyError)
      }
      expect(() => reader.tryRead(Buffer.alloc(1))).toThrow(BusyError)
      expect(() => reader.unread(Buffer.from('x'))).toThrow(BusyError)
      yield* writer.write('for the first')
      expect(yield* first).toBe('for the first')
      yield* closeBoth(writer, reader)
    })
  })

  it('hazard 14: a second writer gets BusyError while the first waits for room', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const big = pattern(bigSize)
      const first = spawn(() => writer.write(big))
      yield* checkpoint()
      expect(yield* caught(() => writer.write('x'))).toBeInstanceOf(BusyError)
      expect(() => writer.tryWrite('x')).toThrow(BusyError)
      const reading = spawn(readAllOf, reader)
      yield* first
      yield* writer.close()
      expect((yield* reading).equals(big)).toBe(true)
      yield* reader.close()
    })
  })

  if (kind.twoWay) {
    it('hazard 14: cancelling the reader leaves the writer of the same end armed', async () => {
      await kind.run(function* () {
        const [first, second] = yield* kind.pair()
        const big = pattern(bigSize)
        const reader = spawn(() => first.readSome())
        const writer = spawn(() => first.write(big))
        yield* checkpoint()
        reader.cancel()
        yield* checkpoint()
        expect(writer.state).not.toBe('ended')
        const reading = spawn(readAllOf, second)
        yield* writer
        yield* first.close()
        expect((yield* reading).length).toBe(big.length)
        yield* second.close()
      })
    })

    it('both directions at once do not mix', async () => {
      await kind.run(function* () {
        const [first, second] = yield* kind.pair()
        const up = pattern(bigSize / 4, 1)
        const down = pattern(bigSize / 4, 2)
        const writing = [spawn(() => first.write(up)), spawn(() => second.write(down))]
        const reading = [spawn(() => second.readExactly(up.length)), spawn(() => first.readExactly(down.length))] as const
        for (const task of writing) yield* task
        expect((yield* reading[0]).equals(up)).toBe(true)
        expect((yield* reading[1]).equals(down)).toBe(true)
        yield* closeBoth(first, second)
      })
    })
  }

  it('hazard 32: a cancelled read has read nothing: the next one gets it all', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const error = yield* caught(() => timeout(1, () => reader.readSome()))
      expect(error).toBeInstanceOf(TimeoutError)
      yield* writer.write('whole')
      expect(String(yield* reader.readExactly(5))).toBe('whole')
      yield* closeBoth(writer, reader)
    })
  })

  it('hazard 32: cancelled at any step, reads lose nothing', async () => {
    const sent = pattern(20_000, 3)
    for (let cancelAfter = 0; cancelAfter < 40; cancelAfter++) {
      const received = await kind.run(function* () {
        const [writer, reader] = yield* kind.pair()
        const writing = spawn(function* () {
          for (let at = 0; at < sent.length; at += 500) {
            yield* writer.write(sent.subarray(at, at + 500))
            yield* checkpoint()
          }
          yield* writer.close()
        })
        const chunks: Buffer[] = []
        const cancelled = spawn(function* () {
          for (let chunk; (chunk = yield* reader.readSome(300)) !== null; ) chunks.push(chunk)
        })
        for (let i = 0; i < cancelAfter; i++) yield* checkpoint()
        cancelled.cancel()
        yield* checkpoint()
        chunks.push(yield* readAllOf(reader))
        yield* writing
        yield* reader.close()
        return Buffer.concat(chunks)
      })
      expect(received.equals(sent)).toBe(true)
    }
  })

  it('hazard 32: a cancelled write that waited for room has written nothing', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      let written = 0
      const writing = spawn(function* () {
        for (;;) {
          yield* writer.write(pattern(1000, written + 1))
          written++
        }
      })
      yield* untilParked(writing)
      writing.cancel()
      yield* checkpoint()
      expect(writing.state).toBe('ended')
      const reading = spawn(readAllOf, reader)
      yield* writer.close()
      const expected = Buffer.concat(Array.from({ length: written }, (_, i) => pattern(1000, i + 1)))
      expect((yield* reading).equals(expected)).toBe(true)
      yield* reader.close()
    })
  })

  it('hazard 32: a large write that is cut off says how much has gone, and closes the write side', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const big = pattern(bigSize * 2)
      let thrown: (Cancelled & { bytesWritten?: number }) | undefined
      const writing = spawn(function* () {
        try {
          yield* writer.write(big)
        } catch (error) {
          thrown = error as Cancelled
          throw error
        }
      })
      yield* untilParked(writing)
      writing.cancel()
      yield* checkpoint()
      const gone = thrown?.bytesWritten ?? 0
      expect(gone).toBeGreaterThan(0)
      expect(gone).toBeLessThan(big.length)
      expect(yield* caught(() => writer.write('more'))).toBeInstanceOf(ClosedError)
      const reading = spawn(() => caught(() => readAllOf(reader)))
      yield* checkpoint()
      writer.reset()
      if (kind.reset && kind.resetHidden !== true) expect((yield* reading).code).toBe('ECONNRESET')
      else reading.cancel()
      yield* reader.close()
    })
  })

  it('bad arguments are refused before any effect', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      for (const [use, code] of [
        [() => reader.read('x' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.read(new Uint8Array(0)), 'ERR_INVALID_ARG_VALUE'],
        [() => reader.readSome(0), 'ERR_OUT_OF_RANGE'],
        [() => reader.readSome('1' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.readExactly(-1), 'ERR_OUT_OF_RANGE'],
        [() => reader.readExactly(1.5), 'ERR_OUT_OF_RANGE'],
        [() => reader.peek('1' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.readUntil(''), 'ERR_INVALID_ARG_VALUE'],
        [() => reader.readUntil(256), 'ERR_OUT_OF_RANGE'],
        [() => reader.readUntil(null as never), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.readUntil(';', { limit: 0 }), 'ERR_OUT_OF_RANGE'],
        [() => reader.skipUntil(new Uint8Array(0)), 'ERR_INVALID_ARG_VALUE'],
        [() => reader.readLine({ limit: NaN }), 'ERR_OUT_OF_RANGE'],
        [() => reader.readLine({ encoding: 'utf16le' as never }), 'ERR_INVALID_ARG_VALUE'],
        [() => reader.unread('x' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.close({ linger: '1' as never }), 'ERR_INVALID_ARG_TYPE'],
        [() => reader.close({ linger: NaN }), 'ERR_OUT_OF_RANGE'],
        [() => writer.write(5 as never), 'ERR_INVALID_ARG_TYPE'],
        [() => writer.write([Buffer.from('a'), 'b'] as never), 'ERR_INVALID_ARG_TYPE'],
        [() => writer.tryWrite(null as never), 'ERR_INVALID_ARG_TYPE']
      ] as const) {
        expect(use).toThrow(expect.objectContaining({ code }))
      }
      yield* writer.write('still fine')
      yield* writer.close()
      expect(String(yield* readAllOf(reader))).toBe('still fine')
      yield* reader.close()
    })
  })

  it('an async loop over the stream sees the chunks until the end, and disposal closes it', async () => {
    const text = await kind.run(async () => {
      const [writer, reader] = await spawn(() => kind.pair())
      spawn(async () => {
        await using own = writer
        await own.write('hello ')
        await own.write('world')
      })
      let all = ''
      for await (const chunk of reader) all += String(chunk)
      await reader.close()
      expect(writer.closed).toBe(true)
      return all
    })
    expect(text).toBe('hello world')
  })
}

/** Lets `task` run until it waits for something that no number of turns brings. */
export function* untilParked(task: Task): Coroutine<void> {
  for (let quiet = 0; quiet < 20; quiet = task.state === 'parked' ? quiet + 1 : 0) yield* checkpoint()
}
