/** What buffered reading costs: memory for what is left over, work for what comes in pieces, system calls, turns. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it, vi } from 'vitest'
import { checkpoint, LimitError, run, spawn, type Connection, type Coroutine, type Op } from 'coreactor'
import { MemoryKernel, memoryPair } from 'coreactor/testing'
import { caught, onEveryKernel, pair, pattern } from './support.js'

const MEGABYTE = 1024 * 1024
/** Once, for all streams: the slab, the outbox, and the frame that was read last. Fifty slabs would be five times as much. */
const SHARED = 600 * 1024

/** Counts the system calls that `kernel` is asked for to read. */
function countReceives(kernel: MemoryKernel): () => number {
  let calls = 0
  const receive = kernel.receive.bind(kernel)
  kernel.receive = (...args) => {
    calls++
    return receive(...args)
  }
  return () => calls
}

/** Sends all of `bytes` in parts of `size`, each in a turn of its own. */
function* sendInPieces(connection: Connection, bytes: Buffer, size: number): Coroutine<void> {
  for (let at = 0; at < bytes.length; at += size) {
    yield* connection.write(bytes.subarray(at, at + size))
    yield* connection.flush()
    yield* checkpoint()
  }
}

it('a batch of frames costs one system call and one copy of each, however many there are', async () => {
  const kernel = new MemoryKernel()
  const calls = countReceives(kernel)
  await run(
    function* () {
      const { client, server } = memoryPair()
      yield* client.write('GET key:000001\r\n'.repeat(1000))
      yield* client.flush()
      const copied = bytesCopied()
      for (let i = 0; i < 1000; i++) expect(yield* server.readLine()).toBe('GET key:000001')
      expect(calls()).toBe(1)
      expect(copied.stop()).toBe(0)
      yield* client.close()
      yield* server.close()
    },
    { kernel }
  )
})

it.each([
  ['a line', (server, size) => server.readLine({ limit: size })],
  ['a part up to a delimiter of two bytes', (server, size) => server.readUntil('\r\n', { limit: size })],
  ['a frame', (server, size) => server.readExactly(size)],
  ['a look ahead', (server, size) => server.peek(size)]
] as [string, (server: Connection, size: number) => Op<string | Buffer | null>][])('%s of 4 MB in pieces of 1 KB is searched once and copied a few times, not once for each piece', async (_, read) => {
  const size = 4 * MEGABYTE
  const bytes = Buffer.alloc(size, 'x')
  bytes.write('\r\n', size - 2)
  await run(
    function* () {
      const { client, server } = memoryPair()
      const { client: other, server: otherServer } = memoryPair()
      // Another stream that needs the slab all the time.
      const rival = spawn(function* () {
        while ((yield* otherServer.readSome()) !== null);
      })
      const copied = bytesCopied()
      const searched = bytesSearched()
      const reading = spawn(() => read(server, size))
      for (let at = 0; at < size; at += 1024) {
        yield* client.write(bytes.subarray(at, at + 1024))
        yield* other.write('x')
        yield* checkpoint()
      }
      expect((yield* reading)?.length).toBeGreaterThanOrEqual(size - 2)
      // Twice the size while it grows; and what each system call may move, 8 KiB at the beginning.
      expect(copied.stop()).toBeLessThan(4 * size)
      expect(searched.stop()).toBeLessThan(1.1 * size)
      yield* other.close()
      yield* rival
      yield* otherServer.close()
      yield* client.close()
      yield* server.close()
    },
    { kernel: new MemoryKernel() }
  )
})

it('hazard 32: a search that is cancelled again and again goes on where it was', async () => {
  await run(
    function* () {
      const { client, server } = memoryPair()
      const line = 'x'.repeat(500_000)
      const sending = spawn(() => sendInPieces(client, Buffer.from(`${line}\n`), 1000))
      const searched = bytesSearched()
      let result: string | null = null
      while (result === null) {
        const attempt = spawn(function* () {
          result = yield* server.readLine({ limit: Infinity })
        })
        for (let i = 0; i < 2; i++) yield* checkpoint()
        attempt.cancel()
        yield* checkpoint()
      }
      expect(result).toBe(line)
      expect(searched.stop()).toBeLessThan(2 * line.length)
      yield* sending
      yield* client.close()
      yield* server.close()
    },
    { kernel: new MemoryKernel() }
  )
})

onEveryKernel('memory of buffered reading', (kernel) => {
  it('a few bytes that are left over keep only a few bytes', async () => {
    await kernel.run(function* () {
      const pairs: [Connection, Connection][] = []
      for (let i = 0; i < 50; i++) pairs.push(yield* pair())
      const before = arrayBufferBytes()
      for (const [client, server] of pairs) {
        // A frame that fills the slab, a line that has to grow, and the beginning of the next.
        const sending = spawn(() => client.write([pattern(60_000), Buffer.alloc(300_000, 'x'), Buffer.from('\nleft over')]))
        yield* server.readExactly(60_000)
        yield* server.readLine({ limit: MEGABYTE })
        yield* sending
        expect(String(yield* server.peek(9))).toBe('left over')
      }
      expect(arrayBufferBytes() - before).toBeLessThan(SHARED)
      for (const [client, server] of pairs) {
        expect(String(yield* server.readExactly(9))).toBe('left over')
        yield* client.close()
        yield* server.close()
      }
    })
  })

  it('a connection that waits for a frame with nothing buffered owns no buffer', async () => {
    await kernel.run(function* () {
      const pairs: [Connection, Connection][] = []
      for (let i = 0; i < 50; i++) pairs.push(yield* pair())
      const before = arrayBufferBytes()
      const waiting = pairs.map(([, server], i) =>
        spawn((): Op<unknown> => (i % 2 === 0 ? server.readLine({ limit: MEGABYTE }) : server.readExactly(MEGABYTE)))
      )
      yield* checkpoint()
      yield* checkpoint()
      expect(arrayBufferBytes() - before).toBeLessThan(SHARED)
      for (const task of waiting) task.cancel()
      yield* checkpoint()
      for (const [client, server] of pairs) {
        yield* client.close()
        yield* server.close()
      }
    })
  })
})

/** Makes whatever is read from `connection` a flood: each system call fills what it is given, so often as `calls` says. */
function flood(kernel: MemoryKernel, connection: Connection, calls: number): void {
  const receive = kernel.receive.bind(kernel)
  kernel.receive = (fd, into, offset, length) => {
    if (fd !== connection.fd || calls <= 0) return receive(fd, into, offset, length)
    calls--
    into.fill(120, offset, offset + length)
    return length
  }
}

it('hazard 11: a flood without a delimiter lets the others run', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      const { client, server } = memoryPair()
      flood(kernel, server, 1000)
      yield* client.write('\n')
      const reading = spawn(() => server.skipUntil('\n'))
      let turns = 0
      for (; reading.state !== 'ended'; turns++) yield* checkpoint()
      // A task has 128 operations a turn, and each system call is one.
      expect(turns).toBeGreaterThan(1000 / 128)
      yield* client.close()
      yield* server.close()
    },
    { kernel }
  )
})

it('hazard 32: a read that is cancelled while it lets the others run is no reader any more', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      const { client, server } = memoryPair()
      flood(kernel, server, 10_000)
      yield* client.write('x')
      const reading = spawn(() => server.skipUntil('\n'))
      for (let i = 0; i < 3; i++) yield* checkpoint()
      expect(reading.state).toBe('ready')
      reading.cancel()
      yield* checkpoint()
      expect(reading.state).toBe('ended')
      expect((yield* server.readSome(5))?.toString()).toBe('xxxxx')
      server.reset()
      yield* client.close()
    },
    { kernel }
  )
})

it('a line without end holds no more than its limit and what one system call gives', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const part = Buffer.alloc(MEGABYTE, 'x')
    const flooding = spawn(function* () {
      for (;;) yield* client.write(part)
    })
    for (let i = 0; i < 20; i++) {
      expect(yield* caught(() => server.readLine({ limit: MEGABYTE }))).toBeInstanceOf(LimitError)
      expect(server.bufferedInput).toBeLessThan(MEGABYTE + 2 * 64 * 1024)
      for (let left = MEGABYTE; left > 0; ) left -= ((yield* server.readSome(left)) as Buffer).length
    }
    flooding.cancel()
    yield* checkpoint()
    client.reset()
    server.reset()
  })
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of buffers that something still holds. */
function arrayBufferBytes(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

/** How many bytes Buffers copy from now on, by any of the ways that the library uses. */
function bytesCopied(): { stop(): number } {
  let bytes = 0
  const spies = [
    vi.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...args: unknown[]) {
      const [target, at, from, to] = args as [Uint8Array, number, number, number]
      bytes += to - from
      target.set(this.subarray(from, to), at)
      return to - from
    }),
    vi.spyOn(Uint8Array.prototype, 'copyWithin').mockImplementation(function (this: Uint8Array, ...args: unknown[]) {
      const [at, from, to] = args as [number, number, number]
      bytes += to - from
      this.set(this.slice(from, to), at)
      return this
    })
  ]
  return {
    stop() {
      for (const spy of spies) spy.mockRestore()
      return bytes
    }
  }
}

/** How many bytes searches have been through from now on. */
function bytesSearched(): { stop(): number } {
  let bytes = 0
  const indexOf = Buffer.prototype.indexOf
  const spy = vi.spyOn(Buffer.prototype, 'indexOf').mockImplementation(function (this: Buffer, value, from) {
    const at = indexOf.call(this, value as never, from as never)
    bytes += (at < 0 ? this.length : at) - (from as number)
    return at
  })
  return {
    stop() {
      spy.mockRestore()
      return bytes
    }
  }
}
