/** Unix sockets: streams, messages, datagrams, their names, and descriptors that are passed through them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, openSync, closeSync, existsSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { Worker } from 'node:worker_threads'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  connect,
  Connection,
  FdsLostError,
  listen,
  Listener,
  MessageTruncatedError,
  moveOnAfter,
  ReceivedFd,
  run,
  scope,
  SeqpacketConnection,
  serve,
  sleep,
  spawn,
  TimeoutError,
  unixDatagram,
  until,
  UnixConnection,
  UnixDatagramSocket,
  UnixListener,
  type AnyAddress,
  type UnixMessage,
  type Coroutine,
  type Op
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import type { Kernel } from '../lib/kernel/kernel.js'
import { nativeKernel } from '../lib/kernel/native.js'
import { linux, openFds, watchesOftenTheSame } from './here.js'
import { caught, onEveryKernel, pair, pattern, readAll, thrownBy } from './support.js'

let directory: string
let names = 0

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

const somewhere = (): string => join(directory, `${names++}.sock`)

/** Abstract names are the machine's: one for each process and test. */
const abstract = (): string => `\0coreactor-${process.pid}-${names++}`

function* unixPair(path = somewhere()): Coroutine<[client: UnixConnection, server: UnixConnection]> {
  const listener = yield* listen({ path })
  const client = yield* connect({ path })
  const server = yield* listener.accept()
  yield* listener.close()
  return [client, server]
}

function* packetPair(): Coroutine<[client: SeqpacketConnection, server: SeqpacketConnection]> {
  const path = somewhere()
  const listener = yield* listen({ path, type: 'seqpacket' })
  const client = yield* connect({ path, type: 'seqpacket' })
  const server = yield* listener.accept()
  yield* listener.close()
  return [client, server]
}

function* closeAll(...all: { close(): PromiseLike<void> | void }[]): Coroutine<void> {
  for (const each of all) {
    const closing = each.close()
    if (closing !== undefined) yield* closing as Op<void>
  }
}

/** A socket file that a server left behind when it was killed. */
function leaveStale(path: string, type: 'stream' | 'datagram' = 'stream'): void {
  const kernel = nativeKernel()
  const fd = kernel.socket('Unix', type)
  expect(kernel.bind(fd, { family: 'Unix', path })).toBe(0)
  kernel.closeFd(fd)
}

onEveryKernel('Unix streams', (kernel) => {
  it('serve echoes at a path', async () => {
    const path = somewhere()
    const answer = await kernel.run(function* () {
      const server = yield* serve({ path }, function* (connection) {
        for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
      })
      expect(server.address).toEqual({ family: 'Unix', path })
      const client = yield* connect({ path })
      yield* client.write('hello')
      yield* client.closeWrite()
      const answer = yield* readAll(client)
      yield* client.close()
      yield* server.close()
      return String(answer)
    })
    expect(answer).toBe('hello')
  })

  it('both ends know their addresses; the one that connected has no name', async () => {
    const path = somewhere()
    await kernel.run(function* () {
      const [client, server] = yield* unixPair(path)
      expect(client.remoteAddress).toEqual({ family: 'Unix', path })
      expect(client.localAddress).toEqual({ family: 'Unix', path: '' })
      expect(server.localAddress).toEqual({ family: 'Unix', path })
      expect(server.remoteAddress).toEqual({ family: 'Unix', path: '' })
      yield* closeAll(client, server)
      expect(client.remoteAddress).toEqual({ family: 'Unix', path })
    })
  })

  it('a name is free again when its listener has been closed, and nobody listens at it meanwhile', async () => {
    const path = somewhere()
    await kernel.run(function* () {
      for (let i = 0; i < 2; i++) {
        const listener = yield* listen({ path })
        yield* listener.close()
        expect((yield* caught(() => connect({ path }))).code).toMatch(/ENOENT|ECONNREFUSED/)
      }
    })
  })

  it('a second listener at the same name is EADDRINUSE', async () => {
    const path = somewhere()
    await kernel.run(function* () {
      const listener = yield* listen({ path })
      const error = yield* caught(() => listen({ path }))
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', address: path })
      yield* listener.close()
    })
  })

  it('a path and a port together are refused, as are what is no path, no type and no mode', async () => {
    const refused = (call: () => unknown, code: string): void => expect(call).toThrow(expect.objectContaining({ code }))
    refused(() => listen({ path: '/x', port: 1 } as never), 'ERR_INVALID_ARG_VALUE')
    refused(() => connect({ path: '/x', port: 1 } as never), 'ERR_INVALID_ARG_VALUE')
    for (const path of ['', 'a\0b']) {
      refused(() => listen({ path }), 'ERR_INVALID_ARG_VALUE')
      refused(() => connect({ path }), 'ERR_INVALID_ARG_VALUE')
    }
    refused(() => listen({ path: 7 } as never), 'ERR_INVALID_ARG_TYPE')
    refused(() => listen({ path: '/x', type: 'datagram' } as never), 'ERR_INVALID_ARG_VALUE')
    refused(() => serve({ path: '/x', type: 'seqpacket' } as never, function* () {}), 'ERR_INVALID_ARG_VALUE')
    expect(() => serve({ path: '/x', type: 'seqpacket' } as never, function* () {})).toThrow(/listen\(.*'seqpacket'.*\) and spawn/)
    refused(() => listen({ path: '/x', mode: 0o1777 }), 'ERR_OUT_OF_RANGE')
    refused(() => listen({ path: '/x', backlog: 0 }), 'ERR_OUT_OF_RANGE')
    refused(() => listen({ path: '/x', replaceStale: 1 } as never), 'ERR_INVALID_ARG_TYPE')
    await kernel.run(function* () {
      yield* checkpoint()
    })
  })
})

describe('names', () => {
  it.runIf(linux)('hazard 38: 107 bytes are a path, one more is refused and never cut off', async () => {
    const path = (length: number): string => join(directory, 'x'.repeat(length - directory.length - 1))
    await run(function* () {
      const listener = yield* listen({ path: path(107) })
      const client = yield* connect({ path: path(107) })
      expect(client.remoteAddress?.path).toBe(path(107))
      yield* closeAll(client, listener)
    })
    for (const length of [108, 109]) {
      expect(() => listen({ path: path(length) })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
      expect(() => connect({ path: path(length) })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
    }
    expect(() => connect({ path: '/' + 'é'.repeat(54) })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  })

  it.runIf(linux)('hazard 40: an abstract name keeps all its bytes, NULs included, and is in no file system', async () => {
    const path = abstract() + '\0tail\0'
    await run(function* () {
      const listener = yield* listen({ path })
      expect(listener.address.path).toBe(path)
      const client = yield* connect({ path })
      const server = yield* listener.accept()
      expect(server.localAddress?.path).toBe(path)
      expect((yield* caught(() => connect({ path: path.slice(0, -1) }))).code).toBe('ECONNREFUSED')
      expect((yield* caught(() => listen({ path }))).code).toBe('EADDRINUSE')
      yield* closeAll(client, server, listener)
    })
    expect(() => connect({ path: '\0' + 'x'.repeat(108) })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  })

  it('hazard 39: a file that a dead server left behind is replaced', async () => {
    const path = somewhere()
    for (const type of ['stream', 'datagram'] as const) {
      leaveStale(path, type)
      await run(function* () {
        const listener = yield* listen({ path })
        const client = yield* connect({ path })
        yield* closeAll(client, listener)
      })
      expect(existsSync(path)).toBe(false)
    }
  })

  it.runIf(linux)('hazard 39: a server that lives keeps its name, and sees no connection of who asked', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path })
      expect((yield* caught(() => listen({ path }))).code).toBe('EADDRINUSE')
      expect((yield* caught(() => listen({ path, type: 'seqpacket' }))).code).toBe('EADDRINUSE')
      expect((yield* caught(() => unixDatagram({ path }))).code).toBe('EADDRINUSE')
      const client = yield* connect({ path })
      yield* client.write('first')
      const first = yield* listener.accept()
      expect(String(yield* first.readSome())).toBe('first')
      yield* closeAll(client, first, listener)
    })
  })

  it('hazard 39: a socket that is bound and does not listen yet is not stale, nor is a datagram socket', async () => {
    const path = somewhere()
    const kernel = nativeKernel()
    const bound = kernel.socket('Unix', 'stream')
    kernel.bind(bound, { family: 'Unix', path })
    const { ino } = statSync(path)
    expect((await thrownBy(() => run(() => listen({ path })))).code).toBe('EADDRINUSE')
    expect(statSync(path).ino).toBe(ino)
    kernel.closeFd(bound)
    rmSync(path)
    await run(function* () {
      const socket = yield* unixDatagram({ path })
      expect((yield* caught(() => listen({ path }))).code).toBe('EADDRINUSE')
      expect((yield* caught(() => unixDatagram({ path }))).code).toBe('EADDRINUSE')
      yield* socket.close()
    })
  })

  it('hazard 39: what is no socket is left alone, also behind a symbolic link, and so is everything if that was asked', async () => {
    const file = somewhere()
    const link = somewhere()
    const stale = somewhere()
    writeFileSync(file, 'precious')
    leaveStale(stale)
    symlinkSync(stale, link)
    for (const options of [{ path: file }, { path: link }, { path: stale, replaceStale: false }]) {
      expect((await thrownBy(() => run(() => listen(options)))).code).toBe('EADDRINUSE')
    }
    expect(readFileSync(file, 'utf8')).toBe('precious')
    expect(existsSync(stale)).toBe(true)
  })

  it('hazard 39: closing removes the file that was made, and not one that is there by now', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path })
      rmSync(path)
      const server = createServer().listen(path)
      yield* untilListening(server)
      yield* listener.close()
      expect(existsSync(path)).toBe(true)
      const client = yield* connect({ path })
      client.reset()
      server.close()
    })
  })

  it('a listener that is passed on keeps its file, and goes on elsewhere', async () => {
    const path = somewhere()
    await run(function* () {
      const [client, server] = yield* unixPair()
      const listener = yield* listen({ path, removeFile: false })
      const waiting = yield* connect({ path })
      yield* client.sendFds([listener], 'yours')
      yield* listener.close()
      const message = yield* server.receiveFds()
      const received = message?.fds[0] as UnixListener
      const accepted = yield* received.accept()
      const later = yield* connect({ path })
      yield* closeAll(waiting, accepted, later, received, client, server)
    })
    expect(existsSync(path)).toBe(true)
  })

  it('two that start in one directory take turns: the second waits for the first', async () => {
    const path = somewhere()
    leaveStale(path)
    const kernel = nativeKernel()
    const lock = kernel.lockDirectory(directory)
    expect(lock).toBeGreaterThanOrEqual(0)
    await run(function* () {
      const listening = spawn(function* () {
        return yield* listen({ path })
      })
      yield* checkpoint()
      expect(listening.state).toBe('parked')
      kernel.closeFd(lock)
      const listener = yield* listening
      yield* closeAll(listener)
    })
  })

  it('a directory that stays locked keeps nobody from a free name, but from a stale one', async () => {
    const path = somewhere()
    const kernel = nativeKernel()
    const lock = kernel.lockDirectory(directory)
    await run(function* () {
      const listener = yield* listen({ path })
      yield* listener.close()
      leaveStale(path)
      expect((yield* caught(() => listen({ path }))).code).toBe('EADDRINUSE')
    })
    kernel.closeFd(lock)
  })

  it('the mode of the file is the one that was asked for, narrower and wider than the umask', async () => {
    const before = process.umask(0o022)
    try {
      await run(function* () {
        for (const mode of [0o600, 0o666, 0o777, 0o660, 0]) {
          const path = somewhere()
          const listener = yield* listen({ path, mode })
          expect(statSync(path).mode & 0o777).toBe(mode)
          yield* listener.close()
          expect(existsSync(path)).toBe(false)
        }
        process.umask(0)
        const path = somewhere()
        const socket = yield* unixDatagram({ path, mode: 0o620 })
        expect(statSync(path).mode & 0o777).toBe(0o620)
        yield* socket.close()
      })
    } finally {
      process.umask(before)
    }
  })

  it.runIf(linux)('the file is never more open than its mode, not even for a moment', async () => {
    const before = process.umask(0)
    const path = somewhere()
    const kernel = nativeKernel()
    const seen: number[] = []
    const watching: Kernel = Object.assign(Object.create(kernel) as Kernel, {
      bind(fd: number, address: AnyAddress) {
        const result = kernel.bind(fd, address)
        seen.push(statSync(path).mode & 0o777)
        return result
      }
    })
    try {
      await run(
        function* () {
          const listener = yield* listen({ path, mode: 0o600 })
          yield* listener.close()
        },
        { kernel: watching }
      )
    } finally {
      process.umask(before)
    }
    expect(seen).toEqual([0o600])
  })
})

describe('connecting', () => {
  it('hazard 25: waits while the listener has no room, and a cancelled wait leaves nothing', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path, backlog: 1 })
      const connecting = Array.from({ length: 8 }, () =>
        spawn(function* () {
          return yield* connect({ path })
        })
      )
      yield* checkpoint()
      yield* moveOnAfter(5, function* () {
        yield* connect({ path })
      })
      const all: UnixConnection[] = []
      while (all.length < connecting.length) all.push(yield* listener.accept())
      for (const each of connecting) all.push(yield* each)
      yield* closeAll(...all, listener)
    })
  })

  it.runIf(linux)('gives up after its timeout, and when its signal is aborted, while the listener has no room', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path, backlog: 1 })
      const waiting: UnixConnection[] = []
      // Until one does not get in.
      for (let error; error === undefined; ) {
        try {
          waiting.push(yield* connect({ path, timeout: 20 }))
        } catch (thrown) {
          error = thrown
          expect(error).toBeInstanceOf(TimeoutError)
        }
      }
      const controller = new AbortController()
      const aborted = spawn(function* () {
        return yield* caught(() => connect({ path, signal: controller.signal }))
      })
      yield* checkpoint()
      controller.abort(new Error('enough'))
      expect((yield* aborted).message).toBe('enough')
      expect(() => connect({ path, timeout: '5' as never })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      yield* closeAll(...waiting, listener)
    })
  })

  it.runIf(linux)('another type than the one that listens is EPROTOTYPE', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path })
      const error = yield* caught(() => connect({ path, type: 'seqpacket' }))
      expect(error).toMatchObject({ code: 'EPROTOTYPE', address: path })
      yield* listener.close()
    })
  })

  it.runIf(linux)('hazard 42: each side knows who the other is', async () => {
    await run(function* () {
      const me = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() }
      const [client, server] = yield* unixPair()
      expect(server.peerCredentials()).toEqual(me)
      expect(client.peerCredentials()).toEqual(me)
      yield* closeAll(client, server)
      expect(() => client.peerCredentials()).toThrow(ClosedError)
      const [near, far] = yield* packetPair()
      expect(far.peerCredentials()).toEqual(me)
      yield* closeAll(near, far)
    })
  })

  it('talks with node:net in both directions', async () => {
    const path = somewhere()
    const server = createServer((socket) => socket.pipe(socket)).listen(path)
    await once(server, 'listening')
    const answer = await run(function* () {
      const client = yield* connect({ path })
      yield* client.write(pattern(100_000))
      yield* client.closeWrite()
      const answer = yield* readAll(client)
      yield* client.close()
      return answer
    })
    server.close()
    expect(answer.equals(pattern(100_000))).toBe(true)
  })
})

describe('descriptors over a stream', () => {
  it.runIf(linux)('hazard 41: 1 to 253 arrive, close-on-exec, and nothing is left when they are closed', async () => {
    const before = openFds()
    await run(function* () {
      const [client, server] = yield* unixPair()
      const file = openSync('/dev/null', 'r')
      for (const count of [1, 2, 64, 253]) {
        yield* client.sendFds(new Array<number>(count).fill(file), `${count}`)
        const message = yield* server.receiveFds()
        expect(String(message?.data)).toBe(`${count}`)
        expect(message?.fds).toHaveLength(count)
        for (const each of message?.fds ?? []) {
          expect(each).toBeInstanceOf(ReceivedFd)
          expect(readFileSync(`/proc/self/fdinfo/${each.fd}`, 'utf8')).toMatch(/flags:\s+02/)
        }
        yield* closeAll(...(message?.fds ?? []))
      }
      closeSync(file)
      yield* closeAll(client, server)
    })
    expect(openFds()).toBe(before)
  })

  it('more than 253, none, and an empty message are refused before anything is sent', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      expect(() => client.sendFds(new Array<number>(254).fill(0), 'x')).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      expect(() => client.sendFds([], 'x')).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      expect(() => client.sendFds([-1], 'x')).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      expect(() => client.sendFds([0], '')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
      yield* closeAll(client, server)
    })
  })

  it('hazard 41: more than were allowed are closed, and the bytes and the stream are kept', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const before = openFds()
      yield* client.sendFds([client, client, client], 'three')
      const error = yield* caught(() => server.receiveFds({ maxFds: 2 }))
      expect(error).toBeInstanceOf(FdsLostError)
      expect(String((error as FdsLostError).data)).toBe('three')
      expect(openFds()).toBe(before)
      yield* client.sendFds([client], 'one')
      const message = yield* server.receiveFds({ maxFds: 1 })
      expect(message?.fds).toHaveLength(1)
      yield* closeAll(...(message?.fds ?? []), client, server)
    })
  })

  it('bytes that descriptors came with count as received and as sent: a server does not take their sender for silent', async () => {
    await run(function* () {
      const path = somewhere()
      const evicted = { connection: 0, idle: 0, firstByte: 0, minRate: 0 }
      const server = yield* serve({ path, timeouts: { firstByte: 200 } }, function* (connection) {
        const message = yield* connection.receiveFds()
        yield* closeAll(...(message?.fds ?? []))
        yield* connection.read(Buffer.alloc(1))
      })
      const client = yield* connect({ path })
      yield* client.sendFds([client], 'abc')
      yield* sleep(300)
      expect([client.bytesWritten, server.statistics().bytesRead, server.statistics().evicted]).toEqual([3, 3, evicted])
      yield* client.close()
      yield* server.close({ grace: 1000 })
    })
  })

  it.runIf(linux)('hazard 41: where the process may have no more descriptors, none is kept and the error says so', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const before = openFds()
      const file = openSync('/dev/null', 'r')
      yield* client.sendFds(new Array<number>(64).fill(file), 'many')
      const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8')) as unknown as string[]
      const limit = (fds: string): Buffer => execFileSync('prlimit', ['--pid', `${process.pid}`, `--nofile=${fds}:${hard}`])
      // Numbers are given out from the lowest: as many as leave room for some of them.
      const taken = new Set(readdirSync('/proc/self/fd').map(Number))
      let most = 0
      for (let free = 0; free < 30; most++) if (!taken.has(most)) free++
      let error: Error
      limit(`${most}`)
      try {
        error = yield* caught(() => server.receiveFds())
      } finally {
        limit(`${soft}`)
      }
      expect(error).toBeInstanceOf(FdsLostError)
      expect(String((error as FdsLostError).data)).toBe('many')
      closeSync(file)
      expect(openFds()).toBe(before)
      yield* client.write('goes on')
      expect(String(yield* server.readSome())).toBe('goes on')
      yield* closeAll(client, server)
    })
  })

  it('hazard 43: who reads in another way, or allows none, never gets any', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const before = openFds()
      yield* client.sendFds([client], 'a')
      expect(String(yield* server.readSome())).toBe('a')
      yield* client.sendFds([client], 'b')
      const message = yield* server.receiveFds({ maxFds: 0 })
      expect(String(message?.data)).toBe('b')
      expect(message?.fds).toEqual([])
      expect(openFds()).toBe(before)
      yield* closeAll(client, server)
    })
  })

  it('they come with their own bytes, after all that was written before, also when that had to wait for room', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const big = pattern(3_000_000)
      const sending = spawn(function* () {
        yield* client.write('small')
        yield* client.write(big)
        yield* client.write('tail')
        yield* client.sendFds([client], pattern(1_000_000, 7))
        yield* client.write('after')
        yield* client.closeWrite()
      })
      const chunks: Buffer[] = []
      let at = -1
      for (let message; (message = yield* server.receiveFds()) !== null; ) {
        if (message.fds.length > 0) at = chunks.reduce((sum, { length }) => sum + length, 0) + message.data.length
        chunks.push(message.data)
        yield* closeAll(...message.fds)
      }
      yield* sending
      expect(Buffer.concat(chunks).equals(Buffer.concat([Buffer.from('small'), big, Buffer.from('tail'), pattern(1_000_000, 7), Buffer.from('after')]))).toBe(true)
      expect(at).toBeGreaterThan(big.length + 'smalltail'.length)
      yield* closeAll(client, server)
    })
  })

  it('a cancelled sendFds that waited for room has sent nothing', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      let filled = 0
      for (let taken; (taken = client.tryWrite(pattern(65536))) !== null; ) filled += taken
      yield* moveOnAfter(1, function* () {
        yield* client.sendFds([client], 'never')
      })
      yield* client.write('end')
      const reading = spawn(function* () {
        return yield* readAll(server)
      })
      yield* client.closeWrite()
      const all = yield* reading
      expect(all.length).toBe(filled + 3)
      expect(String(all.subarray(-3))).toBe('end')
      yield* closeAll(client, server)
    })
  })

  it('waiting for room, it is woken by the room, and by the close', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      while (client.tryWrite(pattern(65536)) !== null);
      const sending = spawn(function* () {
        yield* client.sendFds([client], 'x')
      })
      yield* allParked()
      expect((yield* caught(() => client.write('y'))).name).toBe('BusyError')
      let fds = 0
      while (fds === 0) {
        const message = yield* server.receiveFds()
        fds += message?.fds.length ?? 0
        yield* closeAll(...(message?.fds ?? []))
      }
      yield* sending
      while (client.tryWrite(pattern(65536)) !== null);
      const closed = spawn(function* () {
        return yield* caught(() => client.sendFds([client], 'x'))
      })
      yield* allParked()
      client.reset()
      expect(yield* closed).toBeInstanceOf(ClosedError)
      yield* closeAll(server)
    })
  })

  it('a descriptor that is none is EBADF, and the stream goes on', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      expect((yield* caught(() => client.sendFds([123_456], 'x'))).code).toBe('EBADF')
      yield* client.write('fine')
      expect(String(yield* server.readSome())).toBe('fine')
      yield* closeAll(server)
      expect((yield* caught(() => client.sendFds([client], 'x'))).code).toBe('EPIPE')
      yield* closeAll(client)
    })
  })

  it('a second reader is refused, and a cancelled one has taken nothing', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const reading = spawn(function* () {
        yield* server.receiveFds()
      })
      yield* allParked()
      expect(yield* caught(() => server.receiveFds())).toBeInstanceOf(BusyError)
      reading.cancel()
      yield* client.sendFds([client], 'x')
      const message = yield* server.receiveFds()
      expect(message?.fds).toHaveLength(1)
      yield* closeAll(...(message?.fds ?? []), client, server)
    })
  })

  it.runIf(linux)('they are the objects that they are', async () => {
    await run(function* () {
      const [client, server] = yield* unixPair()
      const [tcp, tcpPeer] = yield* pair()
      const tcpListener = yield* listen({ port: 0, host: '127.0.0.1' })
      const [unix, unixPeer] = yield* unixPair()
      const [packet, packetPeer] = yield* packetPair()
      const path = somewhere()
      const unixListener = yield* listen({ path })
      const datagram = yield* unixDatagram()
      const file = openSync('/dev/null', 'r')
      const kernel = nativeKernel()
      const fresh = kernel.socket('IPv4')
      const sent = [tcp, tcpListener, unix, packet, unixListener, datagram, file, directoryFd(), fresh]
      yield* client.sendFds(sent as never, 'all')
      const { fds = [] } = (yield* server.receiveFds()) ?? {}
      expect(fds.map((each) => each.constructor)).toEqual([
        Connection,
        Listener,
        UnixConnection,
        SeqpacketConnection,
        UnixListener,
        UnixDatagramSocket,
        ReceivedFd,
        ReceivedFd,
        ReceivedFd
      ])
      expect(fds.slice(-3).map((each) => (each as ReceivedFd).kind)).toEqual(['character device', 'directory', 'socket'])

      // The sender's own are closed, and the received ones work.
      closeSync(file)
      closeSync(sent[7] as number)
      kernel.closeFd(fresh)
      tcp.handle.close()
      yield* closeAll(tcpListener)
      const received = fds[0] as Connection
      yield* received.write('over')
      expect(String(yield* tcpPeer.readSome())).toBe('over')
      expect(received.remoteAddress).toEqual(tcpPeer.localAddress)
      const acceptor = fds[1] as Listener
      const caller = yield* connect({ port: acceptor.address.port })
      const accepted = yield* acceptor.accept()
      yield* closeAll(caller, accepted)
      yield* (fds[3] as SeqpacketConnection).send('packet')
      expect(String(yield* packetPeer.receive())).toBe('packet')
      expect((fds[4] as UnixListener).address.path).toBe(path)

      const taken = (fds[6] as ReceivedFd).take()
      expect(taken).toBeGreaterThan(2)
      expect(() => (fds[6] as ReceivedFd).take()).toThrow(ClosedError)
      ;(fds[6] as ReceivedFd).close()
      closeSync(taken)
      yield* closeAll(...fds, tcpPeer, unix, unixPeer, packet, packetPeer, unixListener, datagram, client, server)
    })
  })

  it('a message that is disposed of closes what is still in it', async () => {
    await run(async () => {
      const path = somewhere()
      const listener = await listen({ path })
      const client = await connect({ path })
      const server = await listener.accept()
      await listener.close()
      const before = openFds()
      await client.sendFds([client, 0], 'two')
      let kept
      {
        await using message = await server.receiveFds()
        kept = message?.fds.shift()
        expect(openFds()).toBe(before + 2)
      }
      expect(openFds()).toBe(before + 1)
      expect(kept).toBeInstanceOf(UnixConnection)
      await (kept as UnixConnection).close()
      await client.close()
      await server.close()
    })
  })
})

describe.runIf(linux)('seqpacket', () => {
  it('keeps messages apart, the empty one too, and tells it from the end', async () => {
    await run(function* () {
      const [client, server] = yield* packetPair()
      for (const message of ['one', '', 'two', '']) yield* client.send(message)
      yield* client.close()
      const all: (string | null)[] = []
      for (let message; (message = yield* server.receive()) !== null; ) all.push(String(message))
      expect(all).toEqual(['one', '', 'two', ''])
      expect(yield* server.receive()).toBe(null)
      yield* server.close()
    })
  })

  it('a message that does not fit is an error with its beginning, and the next one is whole', async () => {
    await run(function* () {
      const [client, server] = yield* packetPair()
      for (const message of ['abcdef', 'abcdef', 'next']) yield* client.send(message)
      const error = yield* caught(() => server.receive(3))
      expect(error).toBeInstanceOf(MessageTruncatedError)
      expect(String((error as MessageTruncatedError).data)).toBe('abc')
      const message = yield* server.receiveMessage({ maxBytes: 5 })
      expect([message?.truncated, String(message?.data)]).toEqual([true, 'abcde'])
      expect(String(yield* server.receive(4))).toBe('next')
      yield* closeAll(client, server)
    })
  })

  it('EMSGSIZE is of the message, and not of the connection; a big one passes', async () => {
    await run(function* () {
      const [client, server] = yield* packetPair()
      expect((yield* caught(() => client.send(Buffer.alloc(16 << 20)))).code).toBe('EMSGSIZE')
      yield* client.send(pattern(100_000))
      expect((yield* server.receive(100_000))?.equals(pattern(100_000))).toBe(true)
      yield* closeAll(client, server)
    })
  })

  it('a sender waits while there is no room, and nothing is lost or in another order', async () => {
    await run(function* () {
      const [client, server] = yield* packetPair()
      const sending = spawn(function* () {
        for (let i = 0; i < 2000; i++) yield* client.send(`${i}`)
        yield* client.closeWrite()
      })
      yield* allParked()
      expect(sending.state).toBe('parked')
      for (let i = 0; i < 2000; i++) expect(String(yield* server.receive())).toBe(`${i}`)
      expect(yield* server.receive()).toBe(null)
      yield* server.send('still')
      expect(String(yield* client.receive())).toBe('still')
      yield* closeAll(client, server)
    })
  })

  it('passes descriptors, to who asks for them', async () => {
    await run(function* () {
      const [client, server] = yield* packetPair()
      const before = openFds()
      yield* client.send('', [client])
      yield* client.send('not asked', [client])
      const message = yield* server.receiveMessage({ maxFds: 1 })
      expect(message?.data).toHaveLength(0)
      expect(message?.fds[0]).toBeInstanceOf(SeqpacketConnection)
      yield* closeAll(...(message?.fds ?? []))
      expect(String(yield* server.receive())).toBe('not asked')
      expect(openFds()).toBe(before)
      yield* closeAll(client, server)
    })
  })
})

describe('datagrams', () => {
  it.runIf(linux)('answer to whoever has a name; empty ones arrive, long ones are marked', async () => {
    const [here, there] = [somewhere(), abstract()]
    await run(function* () {
      const near = yield* unixDatagram({ path: here })
      const far = yield* unixDatagram({ path: there })
      yield* near.send('question', { path: there })
      const { data, address, truncated, fds } = yield* far.recv()
      expect([String(data), address, truncated, fds]).toEqual(['question', { family: 'Unix', path: here }, false, []])
      yield* far.send('', { path: address.path })
      const empty = yield* near.recv()
      expect([empty.data.length, empty.address.path]).toEqual([0, there])
      yield* far.send('too long', { path: here })
      const cut = yield* near.recv({ maxBytes: 3 })
      expect([String(cut.data), cut.truncated]).toEqual(['too', true])
      yield* closeAll(near, far)
    })
    expect(existsSync(here)).toBe(false)
  })

  it('errors of one message do not end the socket', async () => {
    const [nobody, here] = [somewhere(), somewhere()]
    leaveStale(nobody, 'datagram')
    await run(function* () {
      const receiver = yield* unixDatagram({ path: here })
      const socket = yield* unixDatagram()
      expect((yield* caught(() => socket.send('x', { path: nobody }))).code).toBe('ECONNREFUSED')
      expect((yield* caught(() => socket.send('x', { path: nobody + '?' }))).code).toBe('ENOENT')
      expect((yield* caught(() => socket.send('x'))).code).toBe('ENOTCONN')
      expect((yield* caught(() => socket.send(Buffer.alloc(16 << 20), { path: here }))).code).toBe('EMSGSIZE')
      yield* socket.send('fine', { path: here })
      const { data, address } = yield* receiver.recv()
      expect([String(data), address.path]).toEqual(['fine', ''])
      yield* closeAll(receiver, socket)
      expect(yield* caught(() => socket.recv())).toBeInstanceOf(ClosedError)
    })
  })

  for (const connected of [true, false]) {
    it(`a ${connected ? 'connected' : 'free'} sender waits while the receiver has no room, and nothing is lost`, async () => {
      const path = somewhere()
      await run(function* () {
        const receiver = yield* unixDatagram({ path })
        const sender = yield* unixDatagram()
        if (connected) yield* sender.connect(path)
        const sending = spawn(function* () {
          for (let i = 0; i < 500; i++) yield* sender.send(`${i}`, connected ? {} : { path })
        })
        yield* allParked()
        expect(sending.state).toBe('parked')
        for (let i = 0; i < 500; i++) expect(String((yield* receiver.recv()).data)).toBe(`${i}`)
        yield* sending
        yield* closeAll(sender, receiver)
      })
    })
  }

  it('carry descriptors', async () => {
    const path = somewhere()
    await run(function* () {
      const receiver = yield* unixDatagram({ path })
      const sender = yield* unixDatagram()
      const before = openFds()
      yield* sender.send('dropped', { path, fds: [sender] })
      yield* sender.send('taken', { path, fds: [sender] })
      expect((yield* receiver.recv()).fds).toEqual([])
      expect(openFds()).toBe(before)
      const { fds } = yield* receiver.recv({ maxFds: 1 })
      expect(fds[0]).toBeInstanceOf(UnixDatagramSocket)
      yield* closeAll(...fds, sender, receiver)
    })
  })

  it('in a cancelled scope closing frees the fd and the name', async () => {
    const path = somewhere()
    await run(function* () {
      yield* scope(function* (inner) {
        const socket = yield* unixDatagram({ path })
        const listener = yield* listen({ path: path + '2' })
        inner.cancel()
        expect(yield* caught(() => socket.close())).toBeInstanceOf(Cancelled)
        expect(yield* caught(() => listener.close())).toBeInstanceOf(Cancelled)
      })
    })
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('cancelled at every step', () => {
  /** Starts `body` again and again, and cancels it after 0, 1, 2 … turns, in a circle, until it says that all is done. */
  function* hounded(body: () => Coroutine<boolean>): Coroutine<void> {
    for (let steps = 0, done = false; !done; steps = (steps + 1) % 7) {
      yield* scope(function* (inner) {
        inner.spawn(function* () {
          for (let i = 0; i < steps; i++) yield* checkpoint()
          inner.cancel()
        })
        done = yield* body()
      })
    }
  }

  it.runIf(linux)('hazards 32 and 33: no message, no byte and no descriptor is lost or comes twice, over any kind of socket', async () => {
    const COUNT = 200
    const path = somewhere()
    await run(function* () {
      const [stream, streamPeer] = yield* unixPair()
      const [packet, packetPeer] = yield* packetPair()
      const receiver = yield* unixDatagram({ path })
      const sender = yield* unixDatagram()
      const file = openSync('/dev/null', 'r')
      const before = openFds()
      const channels: [send: (i: number) => Op<void>, receive: () => Op<UnixMessage | null>][] = [
        [(i) => stream.sendFds([file], `${i % 10}`), () => streamPeer.receiveFds({ maxBytes: 1 })],
        [(i) => packet.send(`${i % 10}`, [file]), () => packetPeer.receiveMessage({ maxFds: 1 })],
        [(i) => sender.send(`${i % 10}`, { path, fds: [file] }), () => receiver.recv({ maxFds: 1 })]
      ]
      for (const [send, receive] of channels) {
        let sent = 0
        let received = 0
        const sending = spawn(function* () {
          yield* hounded(function* () {
            for (; sent < COUNT; sent++) yield* send(sent)
            return true
          })
        })
        yield* hounded(function* () {
          while (received < COUNT) {
            const message = yield* receive()
            expect([String(message?.data), message?.fds.length]).toEqual([`${received % 10}`, 1])
            received++
            for (const each of message?.fds ?? []) (each as ReceivedFd).close()
          }
          return true
        })
        yield* sending
        expect(openFds()).toBe(before)
      }
      closeSync(file)
      yield* closeAll(stream, streamPeer, packet, packetPeer, receiver, sender)
    })
  })

  it('hazard 33: a connection that is given up leaves nothing on this side', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path, backlog: 1 })
      const accepting = spawn(function* () {
        for (;;) yield* (yield* listener.accept()).close()
      })
      let connected = 0
      yield* hounded(function* () {
        while (connected < 50) {
          const client = yield* connect({ path })
          connected++
          client.reset()
        }
        return true
      })
      accepting.cancel()
      yield* listener.close()
    })
  })
})

describe('workers', () => {
  const start = (workerData: object): Worker => new Worker(new URL('fixtures/unix-worker.mjs', import.meta.url), { workerData })

  it('hazard 39: of several that replace the same stale file at once, one gets the name', async () => {
    const path = somewhere()
    const workers = Array.from({ length: 4 }, () => start({ path }))
    const all = async (what?: string): Promise<unknown[]> => {
      const said = Promise.all(workers.map((worker) => once(worker, 'message')))
      if (what !== undefined) for (const worker of workers) worker.postMessage(what)
      return (await said).flat().sort()
    }
    await all()
    leaveStale(path)
    for (let round = 0; round < 50; round++) {
      expect(await all('listen')).toEqual(['EADDRINUSE', 'EADDRINUSE', 'EADDRINUSE', 'listening'])
      await run(function* () {
        const client = yield* connect({ path })
        yield* client.close()
      })
      // Which leaves the file behind.
      await all('close')
    }
    const exits = workers.map((worker) => once(worker, 'exit'))
    for (const worker of workers) worker.postMessage('end')
    await Promise.all(exits)
  })

  it.runIf(watchesOftenTheSame)('hazard 41: descriptors that a worker has received do not outlive it', async () => {
    const path = somewhere()
    await run(function* () {
      const listener = yield* listen({ path })
      const worker = start({ path, keep: true })
      const connection = yield* listener.accept()
      const held = openFds()
      const receiving = once(worker, 'message')
      yield* connection.sendFds(new Array<UnixConnection>(50).fill(connection), 'x')
      expect(yield* until(receiving)).toEqual([50])
      expect(openFds()).toBe(held + 50)
      yield* until(worker.terminate())
      expect(openFds()).toBeLessThan(held)
      yield* closeAll(connection, listener)
    })
  })
})

function directoryFd(): number {
  return openSync(tmpdir(), 'r')
}

function* untilListening(server: ReturnType<typeof createServer>): Coroutine<void> {
  while (!server.listening) yield* checkpoint()
}
