/**
 * Readiness as the user of a connection, a socket or a pipe sees it: the situations in which epoll and kqueue report
 * something different, and nobody must notice. The same rows as in `native/test/readiness_test.cc`; a name in brackets says
 * on which system the row was first known to be different.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect, fd, listen, NotPollableError, pipe, run, spawn, udp, type Coroutine } from 'coreactor'
import { allParked } from 'coreactor/testing'
import { caught, onEveryKernel, pair, pattern, readAll } from './support.js'

onEveryKernel('a connection', (kernel) => {
  it('that is refused says so to who connects (kqueue: EV_EOF and fflags)', async () => {
    await kernel.run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const { port } = listener.address
      yield* listener.close()
      expect((yield* caught(() => connect({ port, host: '127.0.0.1' }))).code).toBe('ECONNREFUSED')
    })
  })

  it('whose peer has finished gives its data first, then the end, and still takes data (kqueue: EV_EOF with data)', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.write('last words')
      yield* client.closeWrite()
      expect(String(yield* readAll(server))).toBe('last words')
      yield* server.write('heard')
      yield* server.close()
      expect(String(yield* readAll(client))).toBe('heard')
      yield* client.close()
    })
  })

  it('that is reset wakes who reads, with ECONNRESET', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const reading = spawn(function* () {
        return yield* caught(() => server.readSome())
      })
      yield* allParked()
      client.reset()
      expect((yield* reading).code).toBe('ECONNRESET')
      yield* server.close()
    })
  })

  it('that is reset wakes who waits for room to write', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const writing = spawn(function* () {
        return yield* caught(function* (): Coroutine<void> {
          for (;;) {
            yield* server.write(pattern(100_000))
            yield* server.flush()
          }
        })
      })
      yield* allParked()
      expect(writing.state).toBe('parked')
      client.reset()
      expect(['ECONNRESET', 'EPIPE']).toContain((yield* writing).code)
      yield* caught(function* () {
        yield* server.close()
        throw new Error('closed')
      })
    })
  })

  it('whose own write side is closed goes on reading (kqueue: WRITE is EV_EOF from then on)', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      yield* client.closeWrite()
      const reading = spawn(() => client.readSome() as unknown as Coroutine<Buffer | null>)
      yield* allParked()
      expect(reading.state).toBe('parked')
      yield* server.write('after that')
      expect(String(yield* reading)).toBe('after that')
      yield* server.close()
      yield* client.close()
    })
  })

  it('that has more than was read gives the rest without another word from the system', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      const sent = pattern(300_000)
      const sending = spawn(function* () {
        yield* client.write(sent)
        yield* client.closeWrite()
      })
      const into = Buffer.alloc(7001)
      const got: Buffer[] = []
      for (let count; (count = yield* server.read(into)) > 0; ) got.push(Buffer.from(into.subarray(0, count)))
      yield* sending
      expect(Buffer.concat(got).equals(sent)).toBe(true)
      yield* server.close()
      yield* client.close()
    })
  })
})

it('a datagram that nobody takes is ECONNREFUSED for the connected sender (kqueue: neither EV_EOF nor fflags)', async () => {
  await run(function* () {
    const socket = yield* udp({ port: 0, host: '127.0.0.1' })
    const other = yield* udp({ port: 0, host: '127.0.0.1' })
    yield* socket.connect({ port: other.localAddress?.port as number, host: '127.0.0.1' })
    yield* other.close()
    const receiving = spawn(function* () {
      return yield* caught(() => socket.recv())
    })
    yield* allParked()
    yield* socket.send('is anybody there')
    expect((yield* receiving).code).toBe('ECONNREFUSED')
    yield* socket.close()
  })
})

it('a pipe whose writer is gone gives its data, and then the end', async () => {
  await run(function* () {
    const { reader, writer } = yield* pipe()
    const reading = spawn(() => readAll(reader))
    yield* allParked()
    yield* writer.write('last words')
    yield* writer.close()
    expect(String(yield* reading)).toBe('last words')
    yield* reader.close()
  })
})

it('a pipe whose reader goes is EPIPE for who waits for room (FreeBSD: the filter is refused)', async () => {
  await run(function* () {
    const { reader, writer } = yield* pipe()
    const writing = spawn(function* () {
      return yield* caught(function* () {
        yield* writer.write(Buffer.alloc(1_000_000))
        yield* writer.flush()
      })
    })
    yield* allParked()
    yield* reader.close()
    expect((yield* writing).code).toBe('EPIPE')
    yield* caught(function* () {
      yield* writer.close()
      throw new Error('closed')
    })
  })
})

it('a file and a directory cannot be waited for (kqueue: they could, and would mean something else)', async () => {
  await run(function* () {
    for (const path of [import.meta.filename, tmpdir(), '/dev/null']) {
      const opened = openSync(path, 'r')
      const descriptor = fd(opened)
      expect(yield* caught(() => descriptor.readable())).toBeInstanceOf(NotPollableError)
      yield* descriptor.close()
      closeSync(opened)
    }
  })
})

it('the end of a FIFO that has a name is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'fifo')
  execFileSync('mkfifo', [path])
  const near = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const far = openSync(path, constants.O_WRONLY)
  rmSync(directory, { recursive: true })
  await run(function* () {
    const descriptor = fd(near, { own: true })
    const reading = spawn(function* () {
      return yield* descriptor.readSome()
    })
    yield* allParked()
    closeSync(far)
    expect(yield* reading).toBe(null)
    yield* descriptor.close()
  })
})

it('an fd whose number was given again is another fd, and its reader hears of nothing that was before', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const { fd: number } = server
    yield* client.write('never read')
    yield* server.close()
    yield* client.close()
    const [next, peer] = yield* pair()
    expect([next.fd, peer.fd]).toContain(number)
    const reading = spawn(() => (next.fd === number ? next : peer).readSome() as unknown as Coroutine<Buffer>)
    yield* allParked()
    expect(reading.state).toBe('parked')
    yield* (next.fd === number ? peer : next).write('new')
    expect(String(yield* reading)).toBe('new')
    yield* next.close()
    yield* peer.close()
  })
})
