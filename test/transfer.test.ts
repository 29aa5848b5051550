/** Moving bytes from one stream to another, and from a file: nothing lost, nothing twice, nothing mixed, whatever ends it. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  all,
  blocking,
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  pipe,
  run,
  sleep,
  socketPair,
  spawn,
  SystemError,
  type Connection,
  type Coroutine,
  type Task
} from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { EMFILE, ENOSYS } from '../lib/kernel/errno.js'
import { SocketOption } from '../lib/kernel/layout.js'
import { currentRuntime } from '../lib/runtime/current.js'
import { untilParked } from './conformance/check-stream.js'
import { openFiles } from './here.js'
import { caught, onEveryKernel, pair, pattern, randomFrom, readAll } from './support.js'

const MEGABYTE = 1024 * 1024

/** The way from `input` to `output`, and what lies between the two. */
interface Route {
  readonly input: Connection
  readonly source: Connection
  readonly target: Connection
  readonly output: Connection
}

function* route(): Coroutine<Route> {
  const [input, source] = yield* pair()
  const [target, output] = yield* pair()
  return { input, source, target, output }
}

/** Of pipes: an end of one has all that is used here. */
function* asConnections(): Coroutine<[writer: Connection, reader: Connection]> {
  const { reader, writer } = yield* pipe()
  return [writer as Connection, reader as Connection]
}

const makers = { 'a connection': pair, 'a pipe': asConnections, 'a socket pair': socketPair }
const routes = Object.entries(makers).flatMap(([from, makeSource]) =>
  Object.entries(makers).map(([to, makeTarget]) => [from, to, makeSource, makeTarget] as const)
)

/** A small buffer of the system, so that most calls move a part only. */
function shrink({ fd }: Connection): void {
  currentRuntime().kernel.setOption(fd, SocketOption.SEND_BUFFER, 8 * 1024)
}

function* closeAll(...ends: { close(): unknown }[]): Coroutine<void> {
  for (const end of ends as Connection[]) yield* end.close()
}

/** Writes all of it, and the end. */
function sending(end: Connection, bytes: Buffer): Task<void> {
  return spawn(function* () {
    yield* end.write(bytes)
    yield* end.closeWrite()
  })
}

/** How it ends, as a value, also when it is cancelled. */
function recorded(body: () => Iterable<unknown>): { task: Task<unknown>; error: () => (Error & { bytesWritten?: number }) | undefined } {
  let error: (Error & { bytesWritten?: number }) | undefined
  const task = spawn(function* () {
    try {
      return yield* body() as Coroutine<unknown>
    } catch (thrown) {
      error = thrown as Error
      if (thrown instanceof Cancelled) throw thrown
      return undefined
    }
  })
  return { task, error: () => error }
}

function* untilEnded(task: { readonly state: string }): Coroutine<void> {
  while (task.state !== 'ended') yield* checkpoint()
}

function openPipes(): string[] {
  return openFiles().filter((link) => link.startsWith('pipe:'))
}

onEveryKernel('pipeTo', (kernel) => {
  it.each(routes)('from %s to %s: everything, in order, and then the end', async (_from, _to, makeSource, makeTarget) => {
    for (const size of [0, 1, 1000, 70_000, 3 * MEGABYTE]) {
      const bytes = pattern(size, size + 1)
      await kernel.run(function* () {
        const [input, source] = yield* makeSource()
        const [target, output] = yield* makeTarget()
        const writing = sending(input, bytes)
        const moving = spawn(() => source.pipeTo(target))
        const received = yield* readAll(output)
        expect(received.equals(bytes)).toBe(true)
        expect(yield* moving).toBe(size)
        yield* writing
        yield* closeAll(input, source, target, output)
      })
    }
  })

  it('ten megabytes arrive whole through a small buffer and a reader that pauses', async () => {
    const bytes = pattern(10 * MEGABYTE)
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      shrink(target)
      const random = randomFrom(7)
      const writing = sending(input, bytes)
      const moving = spawn(() => source.pipeTo(target))
      const chunks: Buffer[] = []
      for (let chunk; (chunk = yield* output.readSome(1 + Math.floor(random() * 60_000))) !== null; ) {
        chunks.push(chunk)
        if (random() < 0.02) yield* sleep(random())
      }
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
      expect(yield* moving).toBe(bytes.length)
      yield* writing
      yield* closeAll(input, source, target, output)
    })
  })

  it('what is buffered goes first, and what was written to the target before it', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      yield* input.write('first line\nsecond')
      expect(yield* source.readLine()).toBe('first line')
      source.unread(Buffer.from('unread, '))
      yield* target.write('before, ')
      const writing = sending(input, Buffer.from(', third'))
      expect(yield* source.pipeTo(target)).toBe('unread, second, third'.length)
      expect(String(yield* readAll(output))).toBe('before, unread, second, third')
      yield* writing
      yield* closeAll(input, source, target, output)
    })
  })

  it('with end: false the target stays open, and goes on after the last byte', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      yield* input.write('one')
      yield* input.close()
      expect(yield* source.pipeTo(target, { end: false })).toBe(3)
      yield* target.write(' two')
      yield* target.close()
      expect(String(yield* readAll(output))).toBe('one two')
      yield* closeAll(source, output)
    })
  })

  it('a stream to itself is an echo', async () => {
    const bytes = pattern(2 * MEGABYTE)
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const echoing = spawn(() => server.pipeTo(server))
      const writing = sending(client, bytes)
      expect((yield* readAll(client)).equals(bytes)).toBe(true)
      expect(yield* echoing).toBe(bytes.length)
      yield* writing
      yield* closeAll(client, server)
    })
  })

  it('both directions at once: each ends on its own', async () => {
    const [up, down] = [pattern(2 * MEGABYTE, 1), pattern(MEGABYTE, 2)]
    await kernel.run(function* () {
      const { input: client, source: near, target: far, output: server } = yield* route()
      const proxy = spawn(function* () {
        return yield* all([near.pipeTo(far), far.pipeTo(near)])
      })
      const writing = sending(client, up)
      // The server has the whole of it, and its end, before it begins to answer.
      expect((yield* readAll(server)).equals(up)).toBe(true)
      const answering = sending(server, down)
      expect((yield* readAll(client)).equals(down)).toBe(true)
      expect(yield* proxy).toEqual([up.length, down.length])
      yield* writing
      yield* answering
      yield* closeAll(client, near, far, server)
    })
  })

  it('hazard 27: while nobody reads, what is on its way stays bounded, and the writer waits', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      let written = 0
      const writing = spawn(function* () {
        for (; written < 64; written++) yield* input.write(pattern(MEGABYTE, written + 1))
        yield* input.closeWrite()
      })
      const moving = spawn(() => source.pipeTo(target))
      yield* untilParked(writing)
      expect(written).toBeLessThan(64)
      expect(source.bufferedInput).toBeLessThanOrEqual(64 * 1024)
      expect(target.bufferedBytes).toBe(0)
      let total = 0
      for (let chunk; (chunk = yield* output.readSome()) !== null; ) total += chunk.length
      expect(total).toBe(64 * MEGABYTE)
      expect(yield* moving).toBe(total)
      yield* writing
      yield* closeAll(input, source, target, output)
    })
  })

  it('hazard 32: cancelled at any point, nothing is lost and nothing comes twice', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const small = seed % 4 === 0
      const bytes = pattern(small ? MEGABYTE / 4 : 8 * MEGABYTE, seed)
      await kernel.run(function* () {
        const random = randomFrom(seed * 7919)
        const { input, source, target, output } = yield* route()
        if (small) shrink(target)
        const writing = sending(input, bytes)
        const reading = spawn(function* () {
          const chunks: Buffer[] = []
          for (let chunk; (chunk = yield* output.readSome(100_000)) !== null; chunks.push(chunk)) yield* checkpoint()
          return Buffer.concat(chunks)
        })
        let moved = 0
        for (let ended = false; !ended; ) {
          const moving = recorded(() => source.pipeTo(target, { end: false }))
          for (let steps = Math.floor(random() * 12); steps > 0; steps--) yield* checkpoint()
          moving.task.cancel()
          yield* untilEnded(moving.task)
          const error = moving.error()
          if (error === undefined) ended = true
          else moved += error.bytesWritten as number
          if (ended) moved += (yield* moving.task) as number
          // By hand in between.
          const chunk = Buffer.alloc(1 + Math.floor(random() * 300_000))
          const count = ended || random() < 0.5 ? null : source.tryRead(chunk)
          if (count !== null && count > 0) {
            expect(chunk.subarray(0, count).equals(bytes.subarray(moved, moved + count))).toBe(true)
            source.unread(chunk.subarray(0, count))
          }
        }
        expect(moved).toBe(bytes.length)
        yield* target.closeWrite()
        expect((yield* reading).equals(bytes)).toBe(true)
        yield* writing
        yield* closeAll(input, source, target, output)
      })
    }
  })

  it('hazard 32: cancelled while the target takes nothing, what it has not taken is read next', async () => {
    const bytes = pattern(8 * MEGABYTE, 3)
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      const writing = sending(input, bytes)
      const moving = recorded(() => source.pipeTo(target))
      yield* untilParked(moving.task)
      moving.task.cancel()
      yield* untilEnded(moving.task)
      const { bytesWritten } = moving.error() as { bytesWritten: number }
      const rest = spawn(readAll, source)
      yield* target.closeWrite()
      expect((yield* readAll(output)).equals(bytes.subarray(0, bytesWritten))).toBe(true)
      expect((yield* rest).equals(bytes.subarray(bytesWritten))).toBe(true)
      yield* writing
      yield* closeAll(input, source, target, output)
    })
  })

  it('a signal that is aborted cancels it, and its reason is thrown', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      const controller = new AbortController()
      const moving = spawn(() => caught(() => source.pipeTo(target, { signal: controller.signal })))
      yield* checkpoint()
      const reason = new Error('enough')
      controller.abort(reason)
      expect(yield* moving).toBe(reason)
      yield* input.write('still here')
      expect(String(yield* source.readSome())).toBe('still here')
      yield* closeAll(input, source, target, output)
    })
  })

  it('hazard 14: it is the one reader of the source and the one writer of the target', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      const moving = spawn(() => source.pipeTo(target))
      yield* checkpoint()
      expect(yield* caught(() => source.readSome())).toBeInstanceOf(BusyError)
      expect(yield* caught(() => target.write('x'))).toBeInstanceOf(BusyError)
      expect(() => source.unread(Buffer.from('x'))).toThrow(BusyError)
      expect(() => target.tryWrite('x')).toThrow(BusyError)
      expect(yield* caught(() => source.pipeTo(target))).toBeInstanceOf(BusyError)
      // One that is refused leaves the other side alone.
      const [others, other] = yield* pair()
      expect(yield* caught(() => other.pipeTo(target))).toBeInstanceOf(BusyError)
      expect(other.tryRead(Buffer.alloc(1))).toBeNull()
      yield* closeAll(others, other)
      yield* input.write('goes on')
      yield* input.close()
      expect(yield* moving).toBe(7)
      expect(String(yield* readAll(output))).toBe('goes on')
      yield* closeAll(source, target, output)
    })
  })

  it('errors tell the sides apart: read is the source, write is the target', async () => {
    const bytes = pattern(16 * MEGABYTE)
    await kernel.run(function* () {
      const first = yield* route()
      const broken = spawn(() => caught(() => first.source.pipeTo(first.target)))
      yield* first.input.write('x')
      expect(String(yield* first.output.readExactly(1))).toBe('x')
      first.input.reset()
      expect(yield* broken).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
      yield* first.target.write('the target is as it was')
      yield* closeAll(first.source, first.target)
      expect(String(yield* readAll(first.output))).toBe('the target is as it was')
      yield* first.output.close()

      const second = yield* route()
      const writing = recorded(() => second.input.write(bytes))
      const failing = spawn(() => caught(() => second.source.pipeTo(second.target)))
      const head = yield* second.output.readExactly(MEGABYTE)
      expect(head.equals(bytes.subarray(0, MEGABYTE))).toBe(true)
      second.output.reset()
      const error = (yield* failing) as SystemError
      expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
      expect(error.syscall).toBe('write')
      // Nothing that the target's kernel has not taken is lost.
      const rest = spawn(readAll, second.source)
      yield* writing.task
      yield* second.input.closeWrite()
      const left = yield* rest
      expect(left.equals(bytes.subarray(bytes.length - left.length))).toBe(true)
      yield* closeAll(second.input, second.source)
      second.target.reset()
    })
  })

  it('a reset of the source is found although the target takes nothing', async () => {
    await kernel.run(function* () {
      const { input, source, target, output } = yield* route()
      const chunk = pattern(16 * MEGABYTE)
      // Far more than the system keeps on the way: it grows its buffers, and has been seen to take 32 MB.
      const writing = recorded(function* () {
        for (let i = 0; i < 8; i++) yield* input.write(chunk)
      })
      const moving = spawn(() => caught(() => source.pipeTo(target)))
      yield* untilParked(writing.task)
      input.reset()
      const draining = spawn(() => caught(() => readAll(output)))
      expect(yield* moving).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
      yield* source.close()
      target.reset()
      expect((yield* draining).message).toMatch(/ECONNRESET/)
      yield* output.close()
    })
  })

  it('closing either side ends it with ClosedError, which says which', async () => {
    await kernel.run(function* () {
      for (const closed of ['source', 'target'] as const) {
        const ends = yield* route()
        const moving = spawn(() => caught(() => ends.source.pipeTo(ends.target)))
        yield* checkpoint()
        yield* ends[closed].close()
        const error = yield* moving
        expect(error).toBeInstanceOf(ClosedError)
        expect(error.message).toBe(`the ${closed} is closed`)
        yield* closeAll(ends.input, ends.source, ends.target, ends.output)
      }
    })
  })

  it('bad arguments are refused at once', async () => {
    await kernel.run(function* () {
      const [first, second] = yield* pair()
      expect(() => first.pipeTo({} as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => first.pipeTo(second, { end: 1 as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => first.pipeTo(second, { signal: {} as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      yield* closeAll(first, second)
    })
  })
})

it('a flood goes through the kernel, a trickle does not, and no pipe is left open', async () => {
  const before = openPipes()
  await run(function* () {
    const { kernel } = currentRuntime()
    const own = kernel.splice
    let spliced = 0
    kernel.splice = (from, to, length) => {
      const count = own(from, to, length)
      if (count > 0) spliced += count
      return count
    }
    try {
      const { input, source, target, output } = yield* route()
      const moving = spawn(() => source.pipeTo(target))
      for (let i = 0; i < 100; i++) {
        yield* input.write('ping')
        expect(String(yield* output.readExactly(4))).toBe('ping')
      }
      expect(spliced).toBe(0)
      expect(openPipes()).toEqual(before)
      const bytes = pattern(16 * MEGABYTE)
      const writing = sending(input, bytes)
      expect((yield* readAll(output)).equals(bytes)).toBe(true)
      yield* moving
      yield* writing
      // It came in by one call and went out by another.
      expect(spliced).toBeGreaterThan(bytes.length)
      // Whichever way they go, they count.
      expect([source.bytesRead, target.bytesWritten]).toEqual([bytes.length + 400, bytes.length + 400])
      yield* closeAll(input, source, target, output)
    } finally {
      kernel.splice = own
    }
  })
  expect(openPipes()).toEqual(before)
})

it('without splice, and without an fd for a pipe, it is copied', async () => {
  const bytes = pattern(4 * MEGABYTE)
  for (const spoil of ['splice', 'transferPipe'] as const) {
    await run(function* () {
      const { kernel } = currentRuntime()
      const own = kernel[spoil]
      let asked = 0
      kernel[spoil] = () => {
        asked++
        return spoil === 'splice' ? ENOSYS : EMFILE
      }
      try {
        const { input, source, target, output } = yield* route()
        const moving = spawn(() => source.pipeTo(target))
        const writing = sending(input, bytes)
        expect((yield* readAll(output)).equals(bytes)).toBe(true)
        yield* moving
        yield* writing
        expect(asked).toBe(1)
        yield* closeAll(input, source, target, output)
      } finally {
        kernel[spoil] = own as never
      }
    })
  }
})

const folder = mkdtempSync(join(tmpdir(), 'coreactor-'))
const content = pattern(10 * MEGABYTE, 11)
const path = join(folder, 'file')
writeFileSync(path, content)
afterAll(() => rmSync(folder, { recursive: true }))

/** A kernel on which no file is in memory before a job has read it. */
class ColdKernel extends MemoryKernel {
  readonly fetched: [position: number, length: number][] = []
  stuck = false

  override isCached(): number {
    return 0
  }

  override submit(...args: Parameters<MemoryKernel['submit']>): number {
    const [job, ...slot] = args
    if (job.kind !== 'read') return super.submit(...args)
    this.fetched.push([job.position, job.length])
    return super.submit(this.stuck ? { kind: 'lookup', host: 'stuck.test', family: 0, flags: 0 } : job, ...slot)
  }
}

describe('sendFile of a file that is not in memory', () => {
  it('has a thread read each piece first', async () => {
    const kernel = new ColdKernel({ files: { '/file': content } })
    await run(function* () {
      const [client, server] = yield* pair()
      const file = yield* blocking.open('/file')
      const reading = spawn(readAll, client)
      expect(yield* server.sendFile(file, 10, 700_000)).toBe(700_000)
      yield* server.close()
      expect((yield* reading).equals(content.subarray(10, 700_010))).toBe(true)
      yield* all([client.close(), file.close()])
    }, { kernel })
    expect(kernel.fetched).toEqual([[10, 262_144], [262_154, 262_144], [524_298, 175_712]])
    expect([kernel.openJobs, kernel.openFiles]).toEqual([0, 0])
  })

  it('sends nothing, and leaves no job behind, when it is cancelled while the thread reads', async () => {
    const kernel = new ColdKernel({ files: { '/file': content }, names: { 'stuck.test': { delay: Infinity } } })
    kernel.stuck = true
    await run(function* () {
      const [client, server] = yield* pair()
      const file = yield* blocking.open('/file')
      const sending = spawn(() => server.sendFile(file))
      yield* checkpoint()
      expect(kernel.fetched.length).toBe(1)
      sending.cancel()
      expect(yield* caught(() => sending)).toMatchObject({ code: 'ERR_COREACTOR_TASK_CANCELLED' })
      yield* server.write('next')
      yield* server.close()
      expect(String(yield* readAll(client))).toBe('next')
      yield* all([client.close(), file.close()])
    }, { kernel })
    expect([kernel.openJobs, kernel.openFiles]).toEqual([0, 0])
  })
})

onEveryKernel('sendFile', (kernel) => {
  it('sends any part of a file, after what was written and before what is, wherever the file is read', async () => {
    const file = openSync(path, 'r')
    await kernel.run(function* () {
      for (const [offset, length, expected] of [
        [0, undefined, content],
        [3, 10, content.subarray(3, 13)],
        [content.length - 5, undefined, content.subarray(-5)],
        [content.length - 5, 100, content.subarray(-5)],
        [content.length + 5, 100, Buffer.alloc(0)],
        [7, 0, Buffer.alloc(0)],
        [1, 3 * MEGABYTE, content.subarray(1, 3 * MEGABYTE + 1)]
      ] as const) {
        const [client, server] = yield* pair()
        shrink(server)
        const reading = spawn(readAll, client)
        yield* server.write('before ')
        expect(yield* server.sendFile(file, offset, length)).toBe(expected.length)
        yield* server.write(' after')
        yield* server.close()
        const received = yield* reading
        expect(received.equals(Buffer.concat([Buffer.from('before '), expected, Buffer.from(' after')]))).toBe(true)
        yield* client.close()
      }
    })
    closeSync(file)
  })

  it('takes a FileHandle, which stays open', async () => {
    const file = await open(path)
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      expect(yield* server.sendFile(file, 2, 4)).toBe(4)
      yield* server.close()
      expect((yield* readAll(client)).equals(content.subarray(2, 6))).toBe(true)
      yield* client.close()
    })
    expect((await file.read(Buffer.alloc(4))).bytesRead).toBe(4)
    await file.close()
  })

  it('hazard 32: cancelled in the middle it says how much has gone, closes the write side, and closing resets', async () => {
    const file = openSync(path, 'r')
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const sending = recorded(() => server.sendFile(file))
      yield* untilParked(sending.task)
      // The one writer meanwhile.
      expect(yield* caught(() => server.write('x'))).toBeInstanceOf(BusyError)
      sending.task.cancel()
      yield* untilEnded(sending.task)
      const gone = sending.error()?.bytesWritten as number
      expect(gone).toBeGreaterThan(0)
      expect(gone).toBeLessThan(content.length)
      expect((yield* client.readExactly(Math.min(gone, 1000))).equals(content.subarray(0, Math.min(gone, 1000)))).toBe(true)
      expect(yield* caught(() => server.write('x'))).toBeInstanceOf(ClosedError)
      yield* server.close()
      expect((yield* caught(() => readAll(client))).code).toBe('ECONNRESET')
      yield* client.close()
    })
    closeSync(file)
  })

  it('hazard 32: cancelled while it waits for what was written before, nothing of it has gone', async () => {
    const file = openSync(path, 'r')
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      while (server.tryWrite(pattern(100_000)) !== null);
      yield* server.write('and the last')
      const sending = recorded(() => server.sendFile(file))
      yield* untilParked(sending.task)
      sending.task.cancel()
      yield* untilEnded(sending.task)
      expect(sending.error()?.bytesWritten).toBeUndefined()
      const reading = spawn(readAll, client)
      yield* server.write(' word')
      yield* server.close()
      expect(String((yield* reading).subarray(-17))).toBe('and the last word')
      yield* client.close()
    })
    closeSync(file)
  })

  it('what is wrong with the file leaves the connection as it was; a peer that is gone is EPIPE or ECONNRESET', async () => {
    const file = openSync(path, 'r')
    const bad = openSync(path, 'r')
    closeSync(bad)
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      expect(yield* caught(() => server.sendFile(bad))).toMatchObject({ code: 'EBADF', syscall: 'sendfile' })
      yield* server.write('still fine')
      yield* server.flush()
      expect(String(yield* client.readExactly(10))).toBe('still fine')
      const sending = spawn(() => caught(() => server.sendFile(file)))
      yield* client.readExactly(MEGABYTE)
      client.reset()
      const error = (yield* sending) as SystemError
      expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
      expect(error.syscall).toBe('write')
      server.reset()
      expect(yield* caught(() => server.sendFile(file))).toBeInstanceOf(ClosedError)
    })
    closeSync(file)
  })

  it('bad arguments are refused at once', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      for (const [use, code] of [
        [() => server.sendFile('path' as never), 'ERR_INVALID_ARG_TYPE'],
        [() => server.sendFile(null as never), 'ERR_INVALID_ARG_TYPE'],
        [() => server.sendFile(-1), 'ERR_OUT_OF_RANGE'],
        [() => server.sendFile(0, 0.5), 'ERR_OUT_OF_RANGE'],
        [() => server.sendFile(0, 0, -1), 'ERR_OUT_OF_RANGE'],
        [() => server.sendFile(0, 0, NaN), 'ERR_OUT_OF_RANGE']
      ] as const) {
        expect(use).toThrow(expect.objectContaining({ code }))
      }
      yield* closeAll(client, server)
    })
  })
})
