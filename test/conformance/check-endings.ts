/** How a stream ends: finished in one direction or both, closed, reset, cancelled, in every order. */
import { expect, it } from 'vitest'
import { checkpoint, ClosedError, scope, sleep, spawn, SystemError, timeout, TimeoutError, type Coroutine } from 'coreactor'
import { caught, pattern } from '../support.js'
import { untilParked } from './check-stream.js'
import { readAllOf, type End, type StreamKind } from './stream-kind.js'

export function checkEndings(kind: StreamKind): void {
  const { big: bigSize = 8 * 1024 * 1024, reluctant = false } = kind

  it('closing wakes whoever waits to read with ClosedError, and again does no harm', async () => {
    await kind.run(function* () {
      for (const wait of [
        (end: End) => end.readSome(),
        (end: End) => end.read(Buffer.alloc(1)),
        (end: End) => end.readExactly(10),
        (end: End) => end.readLine(),
        (end: End) => end.peek(1),
        (end: End) => end.skipUntil(';')
      ]) {
        const [writer, reader] = yield* kind.pair()
        yield* writer.write('')
        const waiting = spawn(() => caught(() => wait(reader)))
        yield* checkpoint()
        yield* reader.close()
        yield* reader.close()
        reader.reset()
        expect(yield* waiting).toBeInstanceOf(ClosedError)
        expect([reader.fd, reader.closed, reader.bufferedInput]).toEqual([-1, true, 0])
        yield* writer.close()
      }
    })
  })

  it('closing wakes whoever waits to write with ClosedError, and what was written still arrives', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const big = pattern(bigSize)
      const waiting = spawn(() => caught(() => writer.write(big)))
      yield* untilParked(waiting)
      const closing = spawn(() => writer.close())
      expect(yield* waiting).toBeInstanceOf(ClosedError)
      expect(closing.state).toBe('parked')
      expect((yield* readAllOf(reader)).equals(big)).toBe(true)
      yield* closing
      yield* reader.close()
    })
  })

  it('a closed end refuses everything with ClosedError', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('abc')
      // All of it: closing the writer would report what did not arrive.
      expect(String(yield* reader.peek(3))).toBe('abc')
      yield* reader.close()
      yield* writer.close()
      for (const use of [
        () => reader.readSome(),
        () => reader.readExactly(0),
        () => reader.readExactly(1),
        () => reader.readUntil(';'),
        () => reader.readLine(),
        () => reader.skipUntil(';'),
        () => reader.peek(1),
        () => writer.write('x'),
        () => writer.flush(),
        // Where an end has nothing else to end, that is a close, which may be repeated.
        ...(kind.halfClose ? [() => writer.closeWrite()] : [])
      ]) {
        expect(yield* caught(use)).toBeInstanceOf(ClosedError)
      }
      expect(() => reader.tryRead(Buffer.alloc(1))).toThrow(ClosedError)
      expect(() => reader.unread(Buffer.alloc(1))).toThrow(ClosedError)
      expect(() => writer.tryWrite('x')).toThrow(ClosedError)
    })
  })

  it('close sends what was written first', async () => {
    const all = await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const chunk = pattern(15_000)
      const reading = spawn(readAllOf, reader)
      for (let i = 0; i < 40; i++) yield* writer.write(chunk)
      yield* writer.close()
      const { length } = yield* reading
      yield* reader.close()
      return length
    })
    expect(all).toBe(600_000)
  })

  it('close in a cancelled scope frees the fd all the same', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* scope(function* (tasks) {
        tasks.cancel()
        try {
          yield* sleep(1)
        } finally {
          yield* writer.close()
        }
      })
      expect(writer.fd).toBe(-1)
      expect(yield* reader.readSome()).toBeNull()
      yield* reader.close()
    })
  })

  it('a close that is cancelled before its turn has come frees the fd all the same', async () => {
    let closings = 0
    await kind.run(function* () {
      // One of these counts is where the share of the turn is spent, so that the close parks before it has begun.
      for (let before = 120; before < 136; before++) {
        const [writer, reader] = yield* kind.pair()
        const task = spawn(function* () {
          for (let i = 0; i < before; i++) yield* reader.peek(0)
          const closing = writer.close()
          closings++
          yield* closing
        })
        const closingsBefore = closings
        yield* checkpoint()
        task.cancel()
        yield* untilEnded(task)
        if (closings > closingsBefore) expect(writer.fd).toBe(-1)
        yield* writer.close()
        yield* reader.close()
      }
      expect(closings).toBeGreaterThan(0)
    })
  })

  it('close that is cancelled while the peer does not read frees the fd', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const filling = spawn(function* () {
        for (;;) yield* writer.write(pattern(10_000))
      })
      yield* untilParked(filling)
      filling.cancel()
      yield* untilEnded(filling)
      const error = yield* caught(() => timeout(1, () => writer.close()))
      expect(error).toBeInstanceOf(TimeoutError)
      expect(writer.fd).toBe(-1)
      if (kind.reset && kind.resetHidden !== true) expect((yield* caught(() => readAllOf(reader))).code).toBe('ECONNRESET')
      yield* reader.close()
    })
  })

  it('after a cancelled read and a cancelled write both ends go on', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const reading = spawn(() => reader.readLine())
      yield* writer.write('the first ')
      while (reader.bufferedInput < 10) yield* checkpoint()
      reading.cancel()
      const filling = spawn(function* () {
        for (;;) yield* writer.write('x'.repeat(1000))
      })
      yield* untilParked(filling)
      filling.cancel()
      yield* untilEnded(filling)
      const rest = spawn(function* () {
        yield* writer.write('\nthe second\n')
        yield* writer.close()
      })
      const first = (yield* reader.readLine({ limit: bigSize })) as string
      expect(first.slice(0, 12)).toBe('the first xx')
      expect(yield* reader.readLine()).toBe('the second')
      expect(yield* reader.readLine()).toBeNull()
      yield* rest
      yield* reader.close()
    })
  })

  it('the end is the end, however often and in whatever way it is asked for', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('x')
      yield* writer.close()
      expect(String(yield* reader.readExactly(1))).toBe('x')
      for (let i = 0; i < 3; i++) {
        expect(yield* reader.readSome()).toBeNull()
        expect(yield* reader.readLine()).toBeNull()
        expect(yield* reader.readUntil(';')).toBeNull()
        expect(yield* reader.skipUntil(';')).toBe(false)
        expect((yield* reader.peek(1)).length).toBe(0)
        expect(yield* reader.read(Buffer.alloc(1))).toBe(0)
        if (!reluctant) expect(reader.tryRead(Buffer.alloc(1))).toBe(0)
        expect((yield* caught(() => reader.readExactly(1))).code).toBe('ERR_COREACTOR_UNEXPECTED_END')
      }
      yield* reader.close()
    })
  })

  it('hazard 22: writing to a peer that is gone ends in EPIPE or ECONNRESET, for every later operation too', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      reader.reset()
      let error: (Error & { code?: string }) | undefined
      for (let i = 0; i < 1000 && error === undefined; i++) {
        try {
          yield* writer.write('x')
          yield* writer.flush()
        } catch (thrown) {
          error = thrown as Error
        }
      }
      expect(['EPIPE', 'ECONNRESET']).toContain(error?.code)
      expect(yield* caught(() => writer.write('y'))).toBe(error)
      expect(yield* caught(() => writer.flush())).toBe(error)
      yield* writer.close()
    })
  })

  it('an error that a write met after it had completed is raised by close, once', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      reader.reset()
      yield* sleep(1)
      yield* writer.write('lost')
      yield* checkpoint()
      yield* checkpoint()
      const error = yield* caught(() => writer.close())
      expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
      yield* writer.close()
    })
  })

  if (kind.reset) {
    it('reset drops everything and the peer finds ECONNRESET, every time it asks', async () => {
      await kind.run(function* () {
        const [writer, reader] = yield* kind.pair()
        yield* writer.write('dropped')
        writer.reset()
        writer.reset()
        const first = yield* caught(() => reader.readSome())
        const second = yield* caught(() => reader.readSome())
        expect(first instanceof SystemError).toBe(kind.foreignErrors !== true)
        expect([first.code, second.code]).toEqual(['ECONNRESET', 'ECONNRESET'])
        yield* reader.close()
      })
    })

    it('hazard 23: what had come before a reset can be read, and then the reset shows', async () => {
      await kind.run(function* () {
        const [writer, reader] = yield* kind.pair()
        yield* writer.write('whole line\nhalf a li')
        expect(yield* reader.readLine()).toBe('whole line')
        writer.reset()
        expect((yield* caught(() => reader.readLine())).code).toBe('ECONNRESET')
        expect((yield* caught(() => reader.readExactly(100))).code).toBe('ECONNRESET')
        expect(String(yield* reader.readExactly(4))).toBe('half')
        expect(String(yield* reader.readSome())).toBe(' a li')
        expect((yield* caught(() => reader.readSome())).code).toBe('ECONNRESET')
        yield* reader.close()
      })
    })
  }

  if (!kind.twoWay || !kind.halfClose) return

  it('hazard 21: after closeWrite the other direction goes on, and writing is refused', async () => {
    await kind.run(function* () {
      const [first, second] = yield* kind.pair()
      yield* first.write('question')
      yield* first.closeWrite()
      yield* first.closeWrite()
      expect(yield* caught(() => first.write('more'))).toBeInstanceOf(ClosedError)
      expect(String(yield* readAllOf(second))).toBe('question')
      yield* second.write('answer')
      yield* second.close()
      expect(String(yield* readAllOf(first))).toBe('answer')
      yield* first.close()
    })
  })

  it('hazard 21: an end that both sides send at once ends both', async () => {
    await kind.run(function* () {
      const [first, second] = yield* kind.pair()
      const ending = [spawn(() => first.closeWrite()), spawn(() => second.closeWrite())]
      const reading = [spawn(readAllOf, first), spawn(readAllOf, second)]
      for (const task of [...ending, ...reading]) yield* task
      yield* first.close()
      yield* second.close()
    })
  })

  // FIN in, FIN out, close, and close or reset by the peer: what the other end must find after each step.
  const steps = ['a ends', 'b ends', 'a closes'] as const
  const orders = [
    ...permutations([...steps, 'b closes']),
    ...(kind.reset ? permutations([...steps, 'b resets']) : [])
  ].map((order) => [order.join(', ')])

  it.each(orders)('hazard 21: ends in the order %s', async (order) => {
    await kind.run(function* () {
      const [a, b] = yield* kind.pair()
      const ends = { a: { end: a, sentEnd: false }, b: { end: b, sentEnd: false } }
      let resetSeenByA = false
      for (const step of order.split(', ')) {
        const [side, verb] = step.split(' ') as ['a' | 'b', string]
        const { end } = ends[side]
        if (verb === 'closes') {
          yield* end.close()
          ends[side].sentEnd = true
        } else if (verb === 'resets') {
          // After both ends have been sent there is no connection left to be reset, and after its own end, which comes
          // first, the peer reads that.
          resetSeenByA = !ends.b.sentEnd
          end.reset()
          ends[side].sentEnd = true
        } else if (end.closed) {
          expect(yield* caught(() => end.closeWrite())).toBeInstanceOf(ClosedError)
        } else {
          yield* end.closeWrite()
          ends[side].sentEnd = true
        }
        for (const [self, peer] of [
          [ends.a, ends.b],
          [ends.b, ends.a]
        ] as const) {
          if (self.end.closed) expect(yield* caught(() => self.end.readSome())).toBeInstanceOf(ClosedError)
          else if (self === ends.a && resetSeenByA) expect((yield* caught(() => a.readSome())).code).toBe('ECONNRESET')
          else if (peer.sentEnd) expect(yield* self.end.readSome()).toBeNull()
          else expect(self.end.tryRead(Buffer.alloc(1))).toBeNull()
        }
      }
    })
  })
}

function* untilEnded(task: { readonly state: string }): Coroutine<void> {
  while (task.state !== 'ended') yield* checkpoint()
}

function permutations<T>(items: T[]): T[][] {
  if (items.length < 2) return [items]
  return items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]))
}
