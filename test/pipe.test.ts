/** Pipes and socket pairs: the same byte streams as connections, in one direction and in two. */
import { spawn as spawnProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import {
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  pipe,
  run,
  scope,
  sleep,
  socketPair,
  spawn,
  SystemError,
  timeout,
  type Connection,
  type Coroutine,
  type PipeReader
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { linux, openFiles } from './here.js'
import { caught, onEveryKernel, pattern, randomFrom, readAll } from './support.js'

const MEGABYTE = 1024 * 1024
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

/** All that a pipe gives. */
function* drained(reader: PipeReader): Coroutine<Buffer> {
  return yield* readAll(reader as Connection)
}

onEveryKernel('a pipe', (kernel) => {
  it('carries what is written, in order, until the writer is closed', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      yield* writer.write('one ')
      yield* writer.write([Buffer.from('two '), Buffer.from('three')])
      expect(writer.tryWrite(' four')).toBe(5)
      yield* writer.close()
      expect(String(yield* drained(reader))).toBe('one two three four')
      expect(yield* reader.readSome()).toBeNull()
      expect(yield* reader.read(Buffer.alloc(4))).toBe(0)
      yield* reader.close()
      expect([reader.closed, reader.fd, writer.closed, writer.fd]).toEqual([true, -1, true, -1])
    })
  })

  it('closeWrite of the writer is close', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      yield* writer.write('the end')
      yield* writer.closeWrite()
      expect(writer.fd).toBe(-1)
      expect(String(yield* drained(reader))).toBe('the end')
      yield* reader.close()
    })
  })

  it('tryRead gives null while nothing is there, tryWrite null when there is no room', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      const into = Buffer.alloc(100_000)
      expect(reader.tryRead(into)).toBeNull()
      let total = 0
      for (let n; (n = writer.tryWrite(pattern(10_000))) !== null; ) total += n
      expect(total).toBeGreaterThan(0)
      for (let n; (n = reader.tryRead(into)) !== null; ) total -= n
      expect(total).toBe(0)
      yield* writer.close()
      expect(yield* reader.read(into)).toBe(0)
      expect(reader.tryRead(into)).toBe(0)
      yield* reader.close()
    })
  })

  it('hazard 12, hazard 20: with any sizes and pauses every byte arrives, and nothing hangs', async () => {
    for (const seed of [1, 2, 3]) {
      const random = randomFrom(seed)
      const sent = pattern(MEGABYTE, seed)
      const received = await kernel.run(function* () {
        const { reader, writer } = yield* pipe()
        const writing = spawn(function* () {
          for (let at = 0; at < sent.length; ) {
            const end = Math.min(at + 1 + Math.floor(random() ** 3 * 200_000), sent.length)
            const chunk = sent.subarray(at, end)
            const half = chunk.length >> 1
            yield* writer.write(random() < 0.3 ? [chunk.subarray(0, half), chunk.subarray(half)] : chunk)
            if (random() < 0.3) yield* checkpoint()
            at = end
          }
          yield* writer.close()
        })
        const chunks: Buffer[] = []
        for (let chunk; (chunk = yield* reader.readSome(1 + Math.floor(random() * 70_000))) !== null; ) {
          chunks.push(chunk)
          if (random() < 0.1) yield* sleep(random())
        }
        yield* writing
        yield* reader.close()
        return Buffer.concat(chunks)
      })
      expect(received.equals(sent)).toBe(true)
    }
  })

  it('a writer waits while nobody reads', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      const writing = spawn(function* () {
        for (let i = 0; i < 1000; i++) yield* writer.write(pattern(1000))
        yield* writer.close()
      })
      yield* allParked()
      expect(writing.state).toBe('parked')
      expect(writer.bufferedBytes).toBeGreaterThan(0)
      expect(writer.bufferedBytes).toBeLessThan(64 * 1024 + 1000)
      expect((yield* drained(reader)).length).toBe(1_000_000)
      yield* reader.close()
    })
  })

  it('hazard 22: writing to a pipe whose reader has been closed is EPIPE, also for who waits for room', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      const writing = spawn(function* () {
        return yield* caught(() => writer.write(pattern(MEGABYTE)))
      })
      yield* allParked()
      yield* reader.close()
      expect(yield* writing).toMatchObject({ code: 'EPIPE', syscall: 'write' })
      expect(yield* caught(() => writer.write('more'))).toMatchObject({ code: 'EPIPE' })
      yield* writer.close()

      const second = yield* pipe()
      yield* second.reader.close()
      expect(() => second.writer.tryWrite('x')).toThrow(SystemError)
      yield* second.writer.close()
      expect(second.writer.closed).toBe(true)
    })
  })

  it('hazard 14: one reader and one writer', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      const first = spawn(function* () {
        return yield* reader.readSome()
      })
      yield* checkpoint()
      expect(yield* caught(() => reader.readSome())).toBeInstanceOf(BusyError)
      yield* writer.write('for the first')
      expect(String(yield* first)).toBe('for the first')
      yield* writer.close()
      yield* reader.close()
    })
  })

  it('hazard 32: a cancelled read has read nothing, and a cancelled large write says how far it came', async () => {
    await kernel.run(function* () {
      const { reader, writer } = yield* pipe()
      expect(yield* caught(() => timeout(1, () => reader.readSome()))).toMatchObject({ code: 'ERR_COREACTOR_TIMEOUT' })
      yield* writer.write('kept')
      expect(String(yield* reader.readSome())).toBe('kept')
      let error: unknown
      yield* scope(function* (tasks) {
        tasks.spawn(function* () {
          try {
            yield* writer.write(pattern(MEGABYTE))
          } catch (caughtError) {
            error = caughtError
            throw caughtError
          }
        })
        yield* allParked()
        tasks.cancel()
      })
      expect(error).toBeInstanceOf(Cancelled)
      const { bytesWritten } = error as { bytesWritten: number }
      expect(yield* caught(() => writer.close())).toBeInstanceOf(ClosedError)
      const received = yield* drained(reader)
      expect(received.length).toBe(bytesWritten)
      expect(received.equals(pattern(MEGABYTE).subarray(0, bytesWritten))).toBe(true)
      yield* reader.close()
    })
  })

  it('a reader that waits gets ClosedError when its end is closed, and the chunks are iterable until then', async () => {
    await kernel.run(async () => {
      const { reader, writer } = await pipe()
      const reading = reader.readSome()
      const failed = Promise.resolve(reading).then(
        () => null,
        (error: unknown) => error
      )
      await checkpoint()
      await reader.close()
      expect(await failed).toBeInstanceOf(ClosedError)
      await writer.close()
      const second = await pipe()
      await second.writer.write('abc')
      await second.writer.close()
      let text = ''
      for await (const chunk of second.reader) text += String(chunk)
      expect(text).toBe('abc')
      await second.reader.close()
    })
  })
})

onEveryKernel('a socket pair', (kernel) => {
  it('is two streams, each of which may end its writing on its own', async () => {
    await kernel.run(function* () {
      const [first, second] = yield* socketPair()
      const big = pattern(MEGABYTE)
      const echoing = spawn(function* () {
        for (let chunk; (chunk = yield* second.readSome()) !== null; ) yield* second.write(chunk)
        yield* second.write(' and the end')
        yield* second.close()
      })
      const writing = spawn(function* () {
        yield* first.write(big)
        yield* first.closeWrite()
      })
      const received = yield* readAll(first)
      expect(received.subarray(0, big.length).equals(big)).toBe(true)
      expect(String(received.subarray(big.length))).toBe(' and the end')
      yield* writing
      yield* echoing
      yield* first.close()
    })
  })

  it('has no addresses', async () => {
    await kernel.run(function* () {
      const [first, second] = yield* socketPair({ type: 'stream' })
      expect([first.localAddress, first.remoteAddress]).toEqual([undefined, undefined])
      yield* first.close()
      expect(yield* second.readSome()).toBeNull()
      yield* second.close()
    })
  })

  it('hazard 22: writing to the other end when it is closed is EPIPE', async () => {
    await kernel.run(function* () {
      const [first, second] = yield* socketPair()
      yield* second.close()
      yield* first.write('x')
      expect(yield* caught(() => first.flush())).toMatchObject({ code: 'EPIPE' })
      yield* first.close()
    })
  })
})

it('errors of a pipe speak of the pipe', async () => {
  await run(function* () {
    const { reader, writer } = yield* pipe()
    const [reading, writing] = [spawn(() => reader.readSome()), spawn(() => writer.write(Buffer.alloc(1024 * 1024)))]
    yield* checkpoint()
    expect((yield* caught(() => reader.readSome())).message).toBe('another task is reading from this pipe')
    expect((yield* caught(() => writer.write('x'))).message).toBe('another task is writing to this pipe')
    for (const task of [reading, writing]) task.cancel()
    yield* checkpoint()
    writer.reset()
    yield* reader.close()
    expect((yield* caught(() => reader.readSome())).message).toBe('the pipe is closed')
    expect((yield* caught(() => writer.write('x'))).message).toBe('the pipe is closed')
    expect(() => writer.tryWrite('x')).toThrow('the pipe is closed')
  })
})

it('another type of socket pair is refused at once', () => {
  // @ts-expect-error: it is not in the types either.
  expect(() => socketPair({ type: 'datagram' })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
})

it('the end of a pipe can be given to a child process, which then has its end', async () => {
  const text = await run(async () => {
    const { reader, writer } = await pipe()
    const child = spawnProcess('sh', ['-c', 'echo from the child; exec cat'], { stdio: ['pipe', writer.fd, 'inherit'] })
    await once(child, 'spawn')
    await writer.close()
    child.stdin?.end('from its input')
    const received = await run(() => drained(reader))
    await reader.close()
    return received.toString()
  })
  expect(text).toBe('from the child\nfrom its input')
})

it.runIf(linux)('hazard 46: the ends are non-blocking from the start, so that reading one needs no second call', async () => {
  await run(function* () {
    const { reader, writer } = yield* pipe()
    const [first, second] = yield* socketPair()
    for (const { fd } of [reader, writer, first, second]) {
      const { stdout } = spawnSync('cat', [`/proc/${process.pid}/fdinfo/${fd}`], { encoding: 'utf8' })
      const flags = parseInt(/^flags:\s+(\d+)$/m.exec(stdout)?.[1] ?? '', 8)
      // O_NONBLOCK and O_CLOEXEC of Linux.
      expect(flags & 0o2004000).toBe(0o2004000)
    }
    for (const stream of [reader, writer, first, second]) yield* stream.close()
  })
})

it('hazard 22: writing to a pipe that nobody reads raises no SIGPIPE, in a program that listens to it or has ceased to', () => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture('sigpipe-pipe.mjs')], { encoding: 'utf8' })
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  const codes = 'EPIPE EPIPE EPIPE EPIPE EPIPE'
  expect(stdout).toBe(`${codes}: 0 signals\n${codes}: alive\n`)
})

it.runIf(linux)('hazard 53: a worker that is terminated leaves none of its pipes, pairs and owned fds open', async () => {
  const worker = new Worker(fixture('descriptor/open-worker.mjs'), { trackUnmanagedFds: false })
  const [mine] = (await once(worker, 'message')) as [string[]]
  expect(mine).toHaveLength(5)
  expect(openFiles()).toEqual(expect.arrayContaining(mine))
  await worker.terminate()
  expect(openFiles().filter((link) => mine.includes(link))).toEqual([])
})
