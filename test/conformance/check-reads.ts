/** The reads that protocols are made of: the same result wherever the network cuts, and nothing lost when they end early. */
import { expect, it } from 'vitest'
import { checkpoint, LimitError, op, spawn, TaskCancelledError, UnexpectedEndError, type Coroutine, type Op, type Task } from 'coreactor'
import { caught, pattern, randomFrom } from '../support.js'
import { readAllOf, type End, type StreamKind } from './stream-kind.js'

/** A conversation as its reader sees it: what is sent, and everything that reading it gives. */
interface Script {
  readonly sent: string
  read(reader: End): Coroutine<unknown[]>
  readonly expected: unknown[]
}

const scripts: Record<string, Script> = {
  readExactly: {
    sent: 'abcdefghij',
    *read(reader) {
      const frames: string[] = []
      for (const size of [3, 0, 5, 2]) frames.push(String(yield* reader.readExactly(size)))
      return frames
    },
    expected: ['abc', '', 'defgh', 'ij']
  },
  readLine: {
    sent: 'one\r\ntwo ü€\u{1f600}\n\n\r\n\rthree\r\r\nlast',
    *read(reader) {
      const lines: (string | null)[] = []
      for (let line; (line = yield* reader.readLine()) !== null; ) lines.push(line)
      return [...lines, yield* reader.readLine()]
    },
    expected: ['one', 'two ü€\u{1f600}', '', '', '\rthree\r', 'last', null]
  },
  'readLine with latin1': {
    sent: 'ü\r\n€\n',
    *read(reader) {
      return [yield* reader.readLine({ encoding: 'latin1' }), yield* reader.readLine(), yield* reader.readLine()]
    },
    expected: ['\u00c3\u00bc', '€', null]
  },
  'readUntil text': {
    sent: 'a;;b;c;;;;tail€€€',
    *read(reader) {
      const parts: string[] = []
      for (let i = 0; i < 3; i++) parts.push(String(yield* reader.readUntil(';;')))
      return [...parts, String(yield* reader.readUntil('€€')), String(yield* reader.readUntil('€'))]
    },
    expected: ['a;;', 'b;c;;', ';;', 'tail€€', '€']
  },
  'readUntil with a delimiter that repeats itself': {
    sent: 'aabaabaaabab',
    *read(reader) {
      return [String(yield* reader.readUntil('aabaaa')), String(yield* reader.readUntil(Buffer.from('bab'))), yield* reader.readUntil(0)]
    },
    expected: ['aabaabaaa', 'bab', null]
  },
  'readUntil a byte': {
    sent: 'key\0value\0\0',
    *read(reader) {
      const parts: string[] = []
      for (let part; (part = yield* reader.readUntil(0)) !== null; ) parts.push(String(part))
      return parts
    },
    expected: ['key\0', 'value\0', '\0']
  },
  skipUntil: {
    sent: 'aaaa\r\nbb\r\r\ncc',
    *read(reader) {
      const first = yield* reader.skipUntil('\r\n')
      const line = String(yield* reader.readExactly(2))
      const found = [yield* reader.skipUntil(Buffer.from('\r\n')), yield* reader.skipUntil(99), yield* reader.skipUntil('\r\n')]
      return [first, line, ...found, yield* reader.readSome()]
    },
    expected: [true, 'bb', true, true, false, null]
  },
  'peek and unread': {
    sent: 'GET /',
    *read(reader) {
      const seen = [String(yield* reader.peek(1)), String(yield* reader.peek(3)), String(yield* reader.peek(0))]
      const method = yield* reader.readExactly(3)
      reader.unread(method)
      reader.unread(Buffer.from('>'))
      const all = String(yield* reader.readExactly(6))
      reader.unread(Buffer.from('again'))
      const end = [String(yield* reader.peek(100)), String(yield* reader.readExactly(5))]
      return [...seen, all, ...end, (yield* reader.peek(1)).length]
    },
    expected: ['G', 'GET', '', '>GET /', 'again', 'again', 0]
  },
  'one after the other': {
    sent: '$5\r\nhello\r\n*\u0000\u0001,rest',
    *read(reader) {
      const length = Number((yield* reader.readLine())?.slice(1))
      const body = String(yield* reader.readExactly(length))
      const end = yield* reader.readLine()
      const kind = String(yield* reader.peek(1))
      const header = yield* reader.readExactly(3)
      const part = Buffer.alloc(3)
      yield* reader.skipUntil(',')
      let text = ''
      for (let n; (n = yield* reader.read(part)) > 0; ) text += part.toString('latin1', 0, n)
      return [length, body, end, kind, header.readUInt16BE(1), text]
    },
    expected: [5, 'hello', '', '*', 1, 'rest']
  }
}

export function checkReads(kind: StreamKind): void {
  for (const [name, script] of Object.entries(scripts)) {
    const sent = Buffer.from(script.sent)

    it(`${name}: the same wherever it is cut, and when it comes byte by byte`, async () => {
      for (const cuts of everyCut(sent.length)) {
        const result = await kind.run(function* () {
          const [writer, reader] = yield* kind.pair()
          const reading = spawn(() => script.read(reader))
          yield* sendInParts(writer, sent, cuts)
          yield* writer.close()
          const result = yield* reading
          yield* reader.close()
          return result
        })
        expect(result).toEqual(script.expected)
      }
    })

    it(`hazard 32: ${name}: cancelled at any byte and asked again, it gives the same`, async () => {
      for (const cuts of everyCut(sent.length)) {
        const result = await kind.run(function* () {
          const [writer, reader] = yield* kind.pair()
          const { end, interrupt } = insistent(reader)
          const reading = spawn(() => script.read(end))
          yield* sendInParts(writer, sent, cuts, interrupt)
          yield* writer.close()
          const result = yield* reading
          yield* reader.close()
          return result
        })
        expect(result).toEqual(script.expected)
      }
    })
  }

  it('readExactly: an end in the middle is an error that says how far it came, and leaves that readable', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('abc')
      yield* writer.close()
      const error = yield* caught(() => reader.readExactly(5))
      expect(error).toBeInstanceOf(UnexpectedEndError)
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_UNEXPECTED_END', expected: 5, received: 3 })
      expect(reader.bufferedInput).toBe(3)
      expect(String(yield* reader.readExactly(3))).toBe('abc')
      expect(yield* caught(() => reader.readExactly(1))).toMatchObject({ expected: 1, received: 0 })
      expect(yield* reader.readSome()).toBeNull()
      yield* reader.close()
    })
  })

  it('readUntil: an end in the middle is an error that leaves what has come readable', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('one;two')
      yield* writer.close()
      expect(String(yield* reader.readUntil(';'))).toBe('one;')
      const error = yield* caught(() => reader.readUntil(';'))
      expect(error).toBeInstanceOf(UnexpectedEndError)
      expect(error).toMatchObject({ expected: null, received: 3 })
      expect(yield* reader.readLine()).toBe('two')
      expect(yield* reader.readUntil(';')).toBeNull()
      yield* reader.close()
    })
  })

  it('a limit is kept to the byte, however it comes, and leaves everything readable', async () => {
    const within: [sent: string, read: (reader: End) => Op<unknown>][] = [
      ['12345\n', (reader) => reader.readLine({ limit: 5 })],
      ['12345\r\n', (reader) => reader.readLine({ limit: 5 })],
      ['12345;;', (reader) => reader.readUntil(';;', { limit: 5 })],
      ['12345;', (reader) => reader.readUntil(';', { limit: 5 })]
    ]
    for (const [sent, read] of within) {
      const over = `0${sent}`
      for (const cuts of everyCut(over.length)) {
        await kind.run(function* () {
          const [writer, reader] = yield* kind.pair()
          const fine = spawn(() => read(reader))
          yield* sendInParts(writer, Buffer.from(sent), cuts)
          expect(String(yield* fine)).toMatch(/^12345/)
          const failing = spawn(() => caught(() => read(reader)))
          yield* sendInParts(writer, Buffer.from(over), cuts)
          const error = yield* failing
          expect(error).toBeInstanceOf(LimitError)
          expect(error).toMatchObject({ code: 'ERR_COREACTOR_LIMIT', limit: 5 })
          yield* writer.close()
          expect(String(yield* readAllOf(reader))).toBe(over)
          yield* reader.close()
        })
      }
    }
  })

  it('after a line over the limit the stream goes on: with a higher limit, or without the line', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const long = 'x'.repeat(100_000)
      const writing = spawn(function* () {
        yield* writer.write(`${long}\n${long}\nshort\n`)
        yield* writer.close()
      })
      expect(yield* caught(() => reader.readLine())).toBeInstanceOf(LimitError)
      expect(yield* reader.readLine({ limit: Infinity })).toBe(long)
      expect(yield* caught(() => reader.readLine({ limit: 10 }))).toBeInstanceOf(LimitError)
      expect(yield* reader.skipUntil('\n')).toBe(true)
      expect(yield* reader.readLine()).toBe('short')
      expect(yield* reader.readLine()).toBeNull()
      yield* writing
      yield* reader.close()
    })
  })

  it('a last line over the limit is one, too', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('12345\r')
      yield* writer.close()
      expect(yield* caught(() => reader.readLine({ limit: 5 }))).toBeInstanceOf(LimitError)
      expect(yield* reader.readLine({ limit: 6 })).toBe('12345\r')
      yield* reader.close()
    })
  })

  it('every kind of read takes what is buffered first, in order', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('1line\n2some3read4try5loop')
      yield* writer.flush()
      expect(yield* reader.readLine()).toBe('1line')
      reader.unread(Buffer.from('0'))
      expect(reader.bufferedInput).toBe(20)
      expect(String(yield* reader.readSome(6))).toBe('02some')
      const buffer = Buffer.alloc(5)
      expect(yield* reader.read(buffer)).toBe(5)
      expect(String(buffer)).toBe('3read')
      // A file has no tryRead.
      expect(reader.tryRead?.(buffer.subarray(0, 4)) ?? (yield* reader.read(buffer.subarray(0, 4)))).toBe(4)
      expect(String(buffer.subarray(0, 4))).toBe('4try')
      reader.unread(Buffer.from('more '))
      yield* writer.close()
      expect(String(yield* readAllOf(reader))).toBe('more 5loop')
      yield* reader.close()
    })
  })

  it('results are buffers of their own: later reads and unread leave them alone', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      yield* writer.write('aaaabbbb;cccc')
      yield* writer.flush()
      const peeked = yield* reader.peek(4)
      const first = yield* reader.readExactly(4)
      const second = (yield* reader.readUntil(';')) as Buffer
      first.fill('x')
      second.fill('y')
      reader.unread(Buffer.from('zzzzzzzzz'))
      expect(String(peeked)).toBe('aaaa')
      expect(String(yield* reader.readExactly(13))).toBe('zzzzzzzzzcccc')
      expect([String(first), String(second)]).toEqual(['xxxx', 'yyyyy'])
      yield* writer.close()
      yield* reader.close()
    })
  })

  it('unread copies: the bytes that were given may change', async () => {
    await kind.run(function* () {
      const [writer, reader] = yield* kind.pair()
      const bytes = Buffer.from('kept')
      reader.unread(bytes)
      bytes.fill('?')
      reader.unread(Buffer.alloc(0))
      yield* writer.close()
      expect(String(yield* readAllOf(reader))).toBe('kept')
      yield* reader.close()
    })
  })

  it('frames of every size arrive whole, among lines, while two streams take turns', async () => {
    const random = randomFrom(5)
    const sizes = Array.from({ length: 120 }, () => Math.floor(random() ** 3 * 200_000))
    await kind.run(function* () {
      const both = yield* pairs(kind, 2)
      const tasks = both.map(([writer, reader], stream) => [
        spawn(function* () {
          for (const [i, size] of sizes.entries()) {
            yield* writer.write(`${size}\n`)
            yield* writer.write(pattern(size, 1 + i + stream))
          }
          yield* writer.close()
        }),
        spawn(function* () {
          for (const [i, size] of sizes.entries()) {
            expect(yield* reader.readLine()).toBe(String(size))
            // Sometimes looked at first, and sometimes put back in part.
            if (i % 3 === 0) expect((yield* reader.peek(size)).length).toBe(size)
            const frame = yield* reader.readExactly(size)
            if (i % 4 === 0) {
              reader.unread(frame.subarray(size >> 1))
              expect((yield* reader.readExactly(size - (size >> 1))).equals(frame.subarray(size >> 1))).toBe(true)
            }
            if (!frame.equals(pattern(size, 1 + i + stream))) throw new Error(`frame ${i} of stream ${stream} differs`)
          }
          expect(yield* reader.readLine()).toBeNull()
          yield* reader.close()
        })
      ])
      for (const task of tasks.flat()) yield* task
    })
  })
}

/** Cuts at each place, none, and everywhere. */
function* everyCut(length: number): Generator<number[]> {
  yield []
  for (let cut = 1; cut < length; cut++) yield [cut]
  yield Array.from({ length: length - 1 }, (_, i) => i + 1)
}

/** Sends the parts of `bytes` between `cuts`, each once the reader has had time to take what came before. */
function* sendInParts(writer: End, bytes: Buffer, cuts: readonly number[], afterEach = (): void => {}): Coroutine<void> {
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    yield* writer.write(bytes.subarray(from, cut))
    yield* writer.flush()
    from = cut
    for (let turn = 0; turn < 3; turn++) yield* checkpoint()
    afterEach()
  }
}

function* pairs(kind: StreamKind, count: number): Coroutine<[End, End][]> {
  const made: [End, End][] = []
  while (made.length < count) made.push(yield* kind.pair())
  return made
}

/** `reader`, but each of its operations is a task that `interrupt` cancels, and that is begun again then. */
function insistent(reader: End): { end: End; interrupt(): void } {
  let running: Task | undefined
  const end = new Proxy(reader, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown
      if (typeof member !== 'function') return member
      if (name === 'unread') return member.bind(target)
      return (...args: unknown[]) =>
        op(function* () {
          for (;;) {
            const attempt = spawn(() => member.apply(target, args) as Op<unknown>)
            running = attempt
            try {
              return yield* attempt
            } catch (error) {
              if (!(error instanceof TaskCancelledError)) throw error
            }
          }
        })
    }
  })
  return { end, interrupt: () => running?.cancel() }
}
