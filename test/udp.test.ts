/** UDP: datagrams one at a time and in batches, and what the network says of them, on both kernels. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  BusyError,
  checkpoint,
  ClosedError,
  DatagramSlab,
  datagramSocket,
  HostNotNumericError,
  run,
  sleep,
  spawn,
  spawnBackground,
  SystemError,
  TaskCancelledError,
  timeout,
  TimeoutError,
  udp,
  type Coroutine,
  type DatagramSocket,
  type UdpOptions
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINVAL, ENETUNREACH, ENOBUFS } from '../lib/kernel/errno.js'
import { linux, makesNetworks, runInNetwork } from './here.js'
import { caught, onEveryKernel, pattern } from './support.js'

const LOCAL = { host: '127.0.0.1' }

function* opened(...options: UdpOptions[]): Coroutine<DatagramSocket[]> {
  const sockets: DatagramSocket[] = []
  for (const each of options) sockets.push(yield* udp(each))
  return sockets
}

function* closed(...sockets: (DatagramSocket | undefined)[]): Coroutine<void> {
  for (const socket of sockets) yield* (socket as DatagramSocket).close()
}

const portOf = (socket: DatagramSocket): number => socket.localAddress?.port as number
const to = (socket: DatagramSocket): { address: string; port: number } => ({ address: '127.0.0.1', port: portOf(socket) })

/** Runs `body` with two sockets on 127.0.0.1. */
function* withTwo(body: (here: DatagramSocket, there: DatagramSocket) => Coroutine<void>, options: UdpOptions = {}): Coroutine<void> {
  const [here, there] = (yield* opened({ ...LOCAL, ...options }, { ...LOCAL, ...options })) as [DatagramSocket, DatagramSocket]
  yield* body(here, there)
  yield* closed(here, there)
}

/** A port that nobody has any more. */
function* nobody(): Coroutine<number> {
  const socket = yield* udp(LOCAL)
  const port = portOf(socket)
  yield* socket.close()
  return port
}

function* receivedBy(socket: DatagramSocket, count: number): Coroutine<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push(`${(yield* socket.recv()).data}`)
  return texts
}

onEveryKernel('A UDP socket', (kernel) => {
  it('receives what another sends, with its address, and can answer', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.send('hello', to(there))
        const { data, address, truncated } = yield* there.recv()
        expect([`${data}`, address, truncated]).toEqual(['hello', { family: 'IPv4', ...to(here) }, false])
        yield* there.send(Buffer.from('and you'), address)
        expect(`${(yield* here.recv()).data}`).toBe('and you')
      })
    }))

  it('waits for a datagram that is sent later', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        const receiving = spawn(function* () {
          return yield* there.recv()
        })
        yield* allParked()
        yield* here.send('late', { host: 'localhost', port: portOf(there) })
        expect(`${(yield* receiving).data}`).toBe('late')
      })
    }))

  it('speaks IPv4 and IPv6 on every address of the machine, and writes an IPv4 address as one', () =>
    kernel.run(function* () {
      const [everywhere, v4, v6] = (yield* opened({}, LOCAL, { host: '::1' })) as [DatagramSocket, DatagramSocket, DatagramSocket]
      const port = portOf(everywhere)
      yield* v4.send('four', { host: '127.0.0.1', port })
      expect((yield* everywhere.recv()).address).toEqual({ family: 'IPv4', ...to(v4) })
      yield* v6.send('six', { host: '::1', port })
      expect((yield* everywhere.recv()).address).toEqual({ family: 'IPv6', address: '::1', port: portOf(v6) })
      yield* everywhere.send('back', to(v4))
      expect((yield* v4.recv()).address).toEqual({ family: 'IPv4', address: '127.0.0.1', port })
      expect((yield* caught(() => v4.send('x', { host: '::1', port }))).code).toMatch(/^(EAFNOSUPPORT|EINVAL)$/)
      yield* closed(everywhere, v4, v6)
    }))

  it('hazard 35: receives any size whole, and what is too long to send is EMSGSIZE', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        for (const size of [0, 1, 65507]) {
          const data = pattern(size)
          yield* here.send(data, to(there))
          const received = yield* there.recv()
          expect([received.data.equals(data), received.truncated]).toEqual([true, false])
        }
        const error = (yield* caught(() => here.send(pattern(65508), to(there)))) as SystemError
        expect([error.code, error.syscall, error.port]).toEqual(['EMSGSIZE', 'send', portOf(there)])
        yield* here.send('usable', to(there))
        expect(yield* receivedBy(there, 1)).toEqual(['usable'])
      })
    }))

  it('hazard 35: an empty datagram is not the end', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        for (const text of ['', '', 'x', '']) yield* here.send(text, to(there))
        expect(yield* receivedBy(there, 4)).toEqual(['', '', 'x', ''])
      })
    }))

  it('hazard 35: receives into the memory of the caller, and says what was cut off', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.send('12345678', to(there))
        yield* here.send('abcd', to(there))
        const into = Buffer.alloc(8, '.')
        const cut = yield* there.recvInto(into.subarray(2, 6))
        expect([`${cut.data}`, cut.truncated, `${into}`]).toEqual(['1234', true, '..1234..'])
        const whole = yield* there.recvInto(into)
        expect([`${whole.data}`, whole.truncated, whole.data.buffer]).toEqual(['abcd', false, into.buffer])
      })
    }))

  it('keeps what it has received, whatever comes later', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.send('first', to(there))
        const { data } = yield* there.recv()
        yield* here.send('other', to(there))
        yield* there.recv()
        expect(`${data}`).toBe('first')
      })
    }))

  it('that is cancelled while it waits has received nothing', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        const receiving = spawn(function* () {
          yield* there.recv()
        })
        yield* allParked()
        // The datagram is there, and the wake-up perhaps on its way, when the task is cancelled.
        yield* here.send('kept', to(there))
        receiving.cancel()
        expect(yield* caught(() => receiving)).toBeInstanceOf(TaskCancelledError)
        expect(yield* receivedBy(there, 1)).toEqual(['kept'])
      })
    }))

  it('has one receiver and, while it waits, one sender', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here) {
        const receiving = spawn(function* () {
          return yield* caught(() => here.recv())
        })
        yield* allParked()
        expect(yield* caught(() => here.recv())).toBeInstanceOf(BusyError)
        expect(yield* caught(() => here.recvBatch(new DatagramSlab()))).toBeInstanceOf(BusyError)
        yield* here.close()
        expect(yield* receiving).toBeInstanceOf(ClosedError)
      })
    }))

  it('that is closed says so, to who waits and to who comes', () =>
    kernel.run(function* () {
      const socket = yield* udp(LOCAL)
      const { localAddress } = socket
      yield* socket.close()
      yield* socket.close()
      expect([socket.closed, socket.fd, socket.localAddress, socket.remoteAddress]).toEqual([true, -1, localAddress, undefined])
      expect(yield* caught(() => socket.recv())).toBeInstanceOf(ClosedError)
      expect(yield* caught(() => socket.send('x', { host: '127.0.0.1', port: 1 }))).toBeInstanceOf(ClosedError)
      expect(yield* caught(() => socket.connect({ host: '127.0.0.1', port: 1 }))).toBeInstanceOf(ClosedError)
      expect(yield* caught(() => socket.disconnect())).toBeInstanceOf(ClosedError)
      expect(() => socket.joinGroup('239.0.0.1')).toThrow(ClosedError)
      expect(() => socket.setTtl(1)).toThrow(ClosedError)
    }))

  it('iterates over what comes until it is closed', () =>
    kernel.run(async () => {
      const socket = await udp(LOCAL)
      const texts: string[] = []
      for (const text of ['one', 'two', 'three']) await socket.send(text, to(socket))
      for await (const { data } of socket) {
        texts.push(`${data}`)
        if (texts.length === 3) await socket.close()
      }
      expect(texts).toEqual(['one', 'two', 'three'])
    }))

  it('has a port of its own, or shares it if all allow it', () =>
    kernel.run(function* () {
      const first = yield* udp(LOCAL)
      const error = (yield* caught(() => udp({ ...LOCAL, port: portOf(first) }))) as SystemError
      expect([error.code, error.syscall, error.port]).toEqual(['EADDRINUSE', 'bind', portOf(first)])
      for (const reuse of [{ reuseAddress: true }, { reusePort: true }]) {
        const one = yield* udp({ ...LOCAL, ...reuse })
        const other = yield* udp({ ...LOCAL, ...reuse, port: portOf(one) })
        expect(portOf(other)).toBe(portOf(one))
        yield* closed(one, other)
      }
      yield* closed(first)
    }))

  it('refuses what makes no sense before it does anything', () =>
    kernel.run(function* () {
      const socket = yield* udp(LOCAL)
      const code = (action: () => unknown): string => {
        try {
          action()
        } catch (error) {
          return (error as { code: string }).code
        }
        return 'nothing'
      }
      expect(code(() => udp({ port: 65536 }))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => udp({ receiveBuffer: 0 }))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => udp({ sendBuffer: '1' as never }))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => udp({ host: '' }))).toBe('ERR_INVALID_ARG_VALUE')
      expect(code(() => udp(null as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.send(5 as never, to(socket)))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.send('x', { host: '127.0.0.1' }))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.send('x', { port: 1 }))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.send('x', { host: '127.0.0.1', port: 0 }))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => socket.send('x', { ...to(socket), tos: 256 }))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => socket.send('x', { ...to(socket), host: '127.0.0.2' }))).toBe('ERR_INVALID_ARG_VALUE')
      expect(() => socket.send('x', { host: 'example.org', port: 1 })).toThrow(HostNotNumericError)
      expect(code(() => socket.connect({ port: 1 }))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.recvInto([] as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.recvBatch({} as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.sendBatch(new DatagramSlab({ packets: 2 }), 3))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => new DatagramSlab({ packets: 257 }))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => new DatagramSlab({ size: 4 }).set(0, '12345'))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => new DatagramSlab({ packets: 2 }).view(2))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => socket.joinGroup('nowhere'))).toBe('ERR_INVALID_ARG_VALUE')
      expect((yield* caught(() => socket.send('x'))).code).toBe('EDESTADDRREQ')
      yield* socket.close()
    }))
})

onEveryKernel('A connected UDP socket', (kernel) => {
  it('sends to its peer and hears nobody else', () =>
    kernel.run(function* () {
      const [here, there, other] = (yield* opened(LOCAL, LOCAL, LOCAL)) as [DatagramSocket, DatagramSocket, DatagramSocket]
      yield* here.connect(to(there))
      expect(here.remoteAddress).toEqual({ family: 'IPv4', ...to(there) })
      yield* other.send('not heard', to(here))
      yield* here.send('to the peer')
      const { data, address } = yield* there.recv()
      expect(`${data}`).toBe('to the peer')
      yield* there.send('heard', address)
      expect(yield* receivedBy(here, 1)).toEqual(['heard'])
      yield* here.send('elsewhere', to(other))
      expect(yield* receivedBy(other, 1)).toEqual(['elsewhere'])
      yield* closed(here, there, other)
    }))

  it('that is disconnected hears everybody again, on the same port', () =>
    kernel.run(function* () {
      for (const options of [LOCAL, {}]) {
        const [here, there, other] = (yield* opened(options, LOCAL, LOCAL)) as [DatagramSocket, DatagramSocket, DatagramSocket]
        const before = here.localAddress
        yield* here.connect(to(there))
        expect(portOf(here)).toBe(before?.port)
        yield* here.disconnect()
        yield* here.disconnect()
        expect([here.localAddress, here.remoteAddress]).toEqual([before, undefined])
        yield* other.send('heard', to(here))
        expect(yield* receivedBy(here, 1)).toEqual(['heard'])
        expect((yield* caught(() => here.send('x'))).code).toBe('EDESTADDRREQ')
        yield* closed(here, there, other)
      }
    }))

  it('hazard 36: is told once that nobody is there, and goes on', () =>
    kernel.run(function* () {
      const here = yield* udp(LOCAL)
      const port = yield* nobody()
      yield* here.connect({ host: '127.0.0.1', port })
      const receiving = spawn(function* () {
        return yield* caught(() => here.recv())
      })
      yield* allParked()
      yield* here.send('anybody?')
      expect((yield* receiving).code).toBe('ECONNREFUSED')
      yield* here.send('anybody?')
      // Told by whatever comes next, in its place.
      expect((yield* caught(() => here.send('not sent'))).code).toBe('ECONNREFUSED')
      const there = yield* udp({ ...LOCAL, port })
      yield* here.send('now there is')
      const { data, address } = yield* there.recv()
      yield* there.send(data, address)
      expect(yield* receivedBy(here, 1)).toEqual(['now there is'])
      yield* closed(here, there)
    }))

  it('hazard 36: an unconnected socket is not told, and goes on', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        const port = yield* nobody()
        const receiving = spawn(function* () {
          return yield* receivedBy(here, 1)
        })
        yield* allParked()
        for (let i = 0; i < 3; i++) yield* here.send('anybody?', { host: '127.0.0.1', port })
        yield* here.send('you', to(there))
        const { data, address } = yield* there.recv()
        yield* there.send(data, address)
        expect(yield* receiving).toEqual(['you'])
      })
    }))

  it('hazard 36: what is left of a connection does not disturb who sends to others after it', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        for (const next of ['send', 'sendBatch'] as const) {
          yield* here.connect({ host: '127.0.0.1', port: yield* nobody() })
          yield* here.send('anybody?')
          yield* here.disconnect()
          if (next === 'send') yield* here.send('sent', to(there))
          else expect(yield* here.sendBatch(new DatagramSlab().set(0, 'sent', to(there)), 1)).toBe(1)
          expect(yield* receivedBy(there, 1)).toEqual(['sent'])
        }
      })
    }))
})

onEveryKernel('A slab', (kernel) => {
  it('echoes what came without a copy or an address being looked at', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        const texts = ['', 'a', 'bb', 'ccc']
        const out = new DatagramSlab({ packets: 4, size: 16 })
        texts.forEach((text, i) => out.set(i, text, to(there)))
        expect(yield* here.sendBatch(out, 4)).toBe(4)
        const slab = new DatagramSlab({ packets: 8, size: 16 })
        const count = yield* there.recvBatch(slab)
        expect([count, slab.count]).toEqual([4, 4])
        expect(texts.map((_, i) => [`${slab.view(i)}`, slab.length(i), slab.truncated(i)])).toEqual(texts.map((text) => [text, text.length, false]))
        expect(slab.address(3)).toEqual({ family: 'IPv4', ...to(here) })
        expect(slab.address(3)).toBe(slab.address(0))
        expect(yield* there.sendBatch(slab)).toBe(4)
        expect(yield* receivedBy(here, 4)).toEqual(texts)
      })
    }))

  it('takes as many as it has places for, and the rest with the next call', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        for (let i = 0; i < 5; i++) yield* here.send(`${i}`, to(there))
        const slab = new DatagramSlab({ packets: 2, size: 4 })
        const seen: string[][] = []
        for (let i = 0; i < 3; i++) {
          const count = yield* there.recvBatch(slab)
          seen.push(Array.from({ length: count }, (_, at) => `${slab.view(at)}`))
        }
        expect(seen).toEqual([['0', '1'], ['2', '3'], ['4']])
        const waiting = spawn(function* () {
          return yield* there.recvBatch(slab)
        })
        yield* allParked()
        yield* here.send('later', to(there))
        expect([yield* waiting, slab.truncated(0), `${slab.view(0)}`]).toEqual([1, true, 'late'])
      })
    }))

  it('sends what was changed in its place to where it came from, and what was set elsewhere', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.send('one', to(there))
        yield* here.send('two', to(there))
        const slab = new DatagramSlab({ packets: 2, size: 8 })
        yield* there.recvBatch(slab)
        slab.resize(0, 5).write('three')
        slab.set(1, 'mine', to(there))
        expect(slab.address(1)).toEqual({ family: 'IPv4', ...to(there) })
        yield* there.sendBatch(slab)
        expect([yield* receivedBy(here, 1), yield* receivedBy(there, 1)]).toEqual([['three'], ['mine']])
        // What comes then has the sender's address again.
        yield* here.send('four', to(there))
        yield* here.send('five', to(there))
        yield* there.recvBatch(slab)
        yield* there.sendBatch(slab)
        expect(yield* receivedBy(here, 2)).toEqual(['four', 'five'])
      })
    }))

  it('goes to the connected peer where no address is set', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.connect(to(there))
        yield* here.sendBatch(new DatagramSlab().set(0, 'a').set(1, 'b'), 2)
        expect(yield* receivedBy(there, 2)).toEqual(['a', 'b'])
        yield* there.send('back', to(here))
        const slab = new DatagramSlab()
        expect(yield* here.recvBatch(slab)).toBe(1)
        expect(slab.address(0)).toEqual({ family: 'IPv4', ...to(there) })
      })
    }))

  it('hazard 37: a packet that cannot be sent is named, and those after it are sent', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        const slab = new DatagramSlab({ packets: 5, size: 65535 })
        for (let i = 0; i < 5; i++) slab.set(i, `${i}`, to(there))
        slab.set(1, pattern(65508), to(there))
        slab.set(4, pattern(65508), to(there))
        expect([yield* here.sendBatch(slab, 5), slab.sent]).toEqual([3, 3])
        expect([0, 1, 2, 3, 4].map((i) => slab.error(i)?.code)).toEqual([undefined, 'EMSGSIZE', undefined, undefined, 'EMSGSIZE'])
        expect(slab.error(1)?.port).toBe(portOf(there))
        expect(yield* receivedBy(there, 3)).toEqual(['0', '2', '3'])
        slab.resize(1, 1)
        slab.resize(4, 1)
        expect([yield* here.sendBatch(slab, 5), slab.error(1), slab.error(4)]).toEqual([5, null, null])
      })
    }))

  it('hazard 37: an error that the network tells a connected socket ends no batch', () =>
    kernel.run(function* () {
      const here = yield* udp(LOCAL)
      const port = yield* nobody()
      yield* here.connect({ host: '127.0.0.1', port })
      yield* here.send('anybody?')
      const there = yield* udp({ ...LOCAL, port })
      const slab = new DatagramSlab().set(0, 'a').set(1, 'b').set(2, 'c')
      expect([yield* here.sendBatch(slab, 3), slab.error(0)?.code, slab.error(1)]).toEqual([2, 'ECONNREFUSED', null])
      expect(yield* receivedBy(there, 2)).toEqual(['b', 'c'])
      yield* closed(here, there)
    }))
})

onEveryKernel('The information about a datagram', (kernel) => {
  it('says where it was sent to, by which way it came, and when', () =>
    kernel.run(function* () {
      for (const options of [{}, LOCAL, { host: '::1' }]) {
        const socket = yield* udp({ ...options, info: true })
        const address = (options as UdpOptions).host ?? '127.0.0.1'
        yield* socket.send('x', { address, port: portOf(socket), tos: 0x28 })
        const { localAddress, interface: by, receivedAt, tos, dropped } = yield* socket.recv()
        expect([localAddress, typeof by, typeof receivedAt, tos, dropped]).toEqual([address, 'number', 'number', 0x28, 0])
        yield* socket.close()
      }
    }))

  it('is there only if it was asked for', () =>
    kernel.run(function* () {
      const socket = yield* udp(LOCAL)
      yield* socket.send('x', to(socket))
      expect(Object.keys(yield* socket.recv())).toEqual(['data', 'address', 'truncated'])
      yield* socket.close()
    }))

  it('counts what found no room, one at a time and in batches', () =>
    kernel.run(function* () {
      const [here, there] = (yield* opened(LOCAL, { ...LOCAL, info: true })) as [DatagramSocket, DatagramSocket]
      const slab = new DatagramSlab({ packets: 256, size: 60_000 })
      for (let i = 0; i < 40; i++) yield* here.send(pattern(60_000), to(there))
      const arrived = yield* there.recvBatch(slab)
      expect(arrived).toBeLessThan(40)
      yield* here.send('after', to(there))
      expect((yield* there.recv()).dropped).toBe(40 - arrived)
      yield* here.send('after', to(there))
      yield* there.recvBatch(slab)
      expect(slab.dropped(0)).toBe(40 - arrived)
      expect(slab.receivedAt(0)).toBeGreaterThanOrEqual(0)
      yield* closed(here, there)
    }))
})

onEveryKernel('Segments', (kernel) => {
  it('one piece goes out as several datagrams', () =>
    kernel.run(function* () {
      yield* withTwo(function* (here, there) {
        yield* here.send('aaaabbbbcc', { ...to(there), segment: 4 })
        expect(yield* receivedBy(there, 3)).toEqual(['aaaa', 'bbbb', 'cc'])
        yield* here.sendBatch(new DatagramSlab().set(0, 'ddde', { ...to(there), segment: 3 }), 1)
        expect(yield* receivedBy(there, 2)).toEqual(['ddd', 'e'])
      })
    }))
})

onEveryKernel('A multicast group', (kernel) => {
  const GROUP = '239.1.2.3'

  it('gives what is sent to it to its members, until they leave', () =>
    kernel.run(function* () {
      const lo = { interface: 'lo' }
      for (const host of ['0.0.0.0', '::']) {
        const first = yield* udp({ host, reuseAddress: true })
        const second = yield* udp({ host, reuseAddress: true, port: portOf(first) })
        const sender = yield* udp({ host })
        sender.setMulticast({ ...lo, ttl: 1, loop: true }).setTtl(8)
        first.joinGroup(GROUP, lo)
        second.joinGroup(GROUP, lo)
        const target = { address: GROUP, port: portOf(first) }
        yield* sender.send('both', target)
        expect([yield* receivedBy(first, 1), yield* receivedBy(second, 1)]).toEqual([['both'], ['both']])
        first.leaveGroup(GROUP, lo)
        yield* sender.send('one', target)
        expect(yield* receivedBy(second, 1)).toEqual(['one'])
        // Although another on this machine is a member, it gets no more. Whose peer it is, is the first of the two.
        yield* first.connect({ host: '127.0.0.1', port: portOf(sender) })
        yield* sender.send('to it alone', { host: '127.0.0.1', port: portOf(first) })
        expect(yield* receivedBy(first, 1)).toEqual(['to it alone'])
        yield* first.disconnect()
        sender.setMulticast({ loop: false })
        // The loopback interface itself brings everything back, so that only a kernel without one can show it.
        if (kernel.name === 'memory') {
          yield* sender.send('none', target)
          expect(yield* caught(() => timeout(20, () => second.recv()))).toBeInstanceOf(TimeoutError)
        }
        expect(() => first.leaveGroup(GROUP, lo)).toThrow(expect.objectContaining({ code: 'EADDRNOTAVAIL' }))
        yield* closed(first, second, sender)
      }
    }))

  it('gives only what comes from a source that was asked for', () =>
    kernel.run(function* () {
      const lo = { interface: 'lo' }
      const member = yield* udp({ host: '0.0.0.0' })
      const [wanted, other] = (yield* opened({ host: '127.0.0.1' }, { host: '127.0.0.2' })) as [DatagramSocket, DatagramSocket]
      member.joinGroup(GROUP, { ...lo, source: '127.0.0.1' })
      for (const socket of [other, wanted]) {
        socket.setMulticast(lo)
        yield* socket.send(socket === wanted ? 'wanted' : 'other', { address: GROUP, port: portOf(member) })
      }
      expect(yield* receivedBy(member, 1)).toEqual(['wanted'])
      member.leaveGroup(GROUP, { ...lo, source: '127.0.0.1' })
      yield* closed(member, wanted, other)
    }))

  it('of IPv6 is one of an interface: by that it is joined, sent to and left', () =>
    kernel.run(function* () {
      const group = 'ff02::1234'
      const member = yield* udp({ host: '::' })
      member.joinGroup(group, { interface: 'lo' })
      expect(() => member.joinGroup(group, { interface: 'lo' })).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }))
      member.setMulticast({ interface: 'lo', ttl: 5, loop: true })
      member.leaveGroup(group, { interface: 'lo' })
      expect(() => member.leaveGroup(group, { interface: 'lo' })).toThrow(expect.objectContaining({ code: 'EADDRNOTAVAIL' }))
      expect(() => member.joinGroup('fe80::1')).toThrow(expect.objectContaining({ code: 'EINVAL' }))
      yield* member.close()
    }))

  const privately = kernel.name === 'native' ? it.runIf(makesNetworks) : null
  privately?.('of IPv6 gets what goes by its interface, with its scope or without', () => {
    const wired = `ip link set lo up
      ip link add v0 type veth peer name v1
      ip link set v0 up
      ip link set v1 up
      ip -6 addr add fd00::1/64 dev v0 nodad
      ip -6 addr add fe80::1/64 dev v0 nodad`
    expect(JSON.parse(runInNetwork(wired, 'multicast-v6.mjs'))).toEqual({
      hops: 3,
      looped: [['looped', 'ff02::1234', true]],
      scoped: [['scoped', 'ff02::1234', true]],
      unlooped: [],
      wire: 'wire',
      left: [],
      again: 'EADDRNOTAVAIL'
    })
  })

  it('is refused if it is none, or by an interface that is not there', () =>
    kernel.run(function* () {
      const socket = yield* udp({ host: '0.0.0.0' })
      expect(() => socket.joinGroup('127.0.0.1')).toThrow(expect.objectContaining({ code: 'EINVAL' }))
      expect(() => socket.joinGroup(GROUP, { interface: 'nowhere0' })).toThrow(expect.objectContaining({ code: 'ENODEV' }))
      yield* socket.close()
    }))

  it('broadcast has to be allowed', () =>
    kernel.run(function* () {
      const socket = yield* udp({ host: '0.0.0.0' })
      expect((yield* caught(() => socket.send('x', { address: '255.255.255.255', port: 9 }))).code).toBe('EACCES')
      yield* socket.close()
      const allowed = yield* udp({ host: '0.0.0.0', broadcast: true })
      yield* allowed.close()
    }))
})

describe('A UDP socket of the operating system', () => {
  it('gets the datagrams of one sender in one piece, if it wants, and sends them back as they came', () =>
    run(function* () {
      yield* withTwo(
        function* (here, there) {
          yield* here.send('aaaabbbbcc', { ...to(there), segment: 4 })
          const { data, segment, address } = yield* there.recv()
          expect([`${data}`, segment]).toEqual(['aaaabbbbcc', 4])
          yield* here.send('aaaabbbbcc', { ...to(there), segment: 4 })
          const slab = new DatagramSlab({ packets: 1, size: 65535 })
          yield* there.recvBatch(slab)
          expect([`${slab.view(0)}`, slab.segment(0), slab.address(0)]).toEqual(['aaaabbbbcc', 4, address])
          const plain = yield* udp(LOCAL)
          yield* there.sendBatch(slab.set(0, slab.view(0), { ...to(plain), segment: slab.segment(0) }))
          expect(yield* receivedBy(plain, 3)).toEqual(['aaaa', 'bbbb', 'cc'])
          yield* plain.close()
        },
        { gro: true }
      )
    }))

  it('talks to node:dgram', () =>
    run(async () => {
      const socket = await udp(LOCAL)
      const peer = createSocket('udp4')
      const answer = once(peer, 'message')
      peer.send('hello', portOf(socket), '127.0.0.1')
      const { data, address } = await socket.recv()
      await socket.send(`${data} you`, address)
      expect(`${(await answer)[0]}`).toBe('hello you')
      peer.close()
      await socket.close()
    }))

  it('has as much room as it was given', () =>
    run(function* () {
      const arrived: number[] = []
      for (const receiveBuffer of [4_000, 100_000]) {
        const [here, there] = (yield* opened({ ...LOCAL, sendBuffer: 100_000 }, { ...LOCAL, receiveBuffer })) as [DatagramSocket, DatagramSocket]
        for (let i = 0; i < 100; i++) yield* here.send('x', to(there))
        arrived.push(yield* there.recvBatch(new DatagramSlab({ packets: 256 })))
        yield* closed(here, there)
      }
      expect(arrived[0]).toBeLessThan(100)
      expect(arrived[1]).toBe(100)
    }))

  it('knows when a datagram came, by the clock of the day', () =>
    run(function* () {
      const socket = yield* udp({ ...LOCAL, info: true })
      const before = Date.now()
      yield* socket.send('x', to(socket))
      const { receivedAt } = yield* socket.recv()
      // Its clock has finer ticks than Date's.
      expect(receivedAt).toBeGreaterThan(before - 1)
      expect(receivedAt).toBeLessThan(Date.now() + 1)
      yield* socket.close()
    }))

  it('passes on 50,000 datagrams through batches without losing a wake-up', () =>
    run(function* () {
      const [echo, client] = (yield* opened(LOCAL, LOCAL)) as [DatagramSocket, DatagramSocket]
      spawnBackground(function* () {
        const slab = new DatagramSlab({ packets: 32, size: 64 })
        try {
          for (;;) yield* echo.sendBatch(slab, yield* echo.recvBatch(slab))
        } catch (error) {
          if (!(error instanceof ClosedError)) throw error
        }
      })
      const out = new DatagramSlab({ packets: 64, size: 64 })
      for (let i = 0; i < 64; i++) out.set(i, `${i}`, to(echo))
      const back = new DatagramSlab({ packets: 64, size: 64 })
      for (let round = 0; round < 50_000 / 64; round++) {
        yield* client.sendBatch(out, 64)
        for (let got = 0; got < 64; ) got += yield* client.recvBatch(back)
      }
      yield* closed(echo, client)
    }))
})

describe.runIf(linux)('Netlink', () => {
  const AF_NETLINK = 16
  const NETLINK_ROUTE = 0
  const RTM_NEWLINK = 16
  const RTM_GETLINK = 18
  const NLM_F_REQUEST = 1
  const NLM_F_DUMP = 0x300
  const NLMSG_DONE = 3
  const IFLA_IFNAME = 3
  const NLMSG_HDR = 16
  const IFINFOMSG = 16

  /** The names of the interfaces in one answer; `done` when it is the last. */
  function interfacesIn(data: Buffer): { names: string[]; done: boolean } {
    const names: string[] = []
    for (let at = 0; at + NLMSG_HDR <= data.length; at += (data.readUInt32LE(at) + 3) & ~3) {
      const end = at + data.readUInt32LE(at)
      const type = data.readUInt16LE(at + 4)
      if (type === NLMSG_DONE) return { names, done: true }
      expect(type).toBe(RTM_NEWLINK)
      for (let attribute = at + NLMSG_HDR + IFINFOMSG; attribute + 4 <= end; ) {
        const length = data.readUInt16LE(attribute)
        if (data.readUInt16LE(attribute + 2) === IFLA_IFNAME) names.push(data.toString('utf8', attribute + 4, attribute + length - 1))
        attribute += (length + 3) & ~3
      }
    }
    return { names, done: false }
  }

  it('tells the interfaces of the machine', () =>
    run(function* () {
      const nobodysAddress = Buffer.alloc(12)
      nobodysAddress.writeUInt16LE(AF_NETLINK)
      const socket = yield* datagramSocket({ family: AF_NETLINK, type: 'raw', protocol: NETLINK_ROUTE, address: nobodysAddress })
      const request = Buffer.alloc(NLMSG_HDR + IFINFOMSG)
      request.writeUInt32LE(request.length)
      request.writeUInt16LE(RTM_GETLINK, 4)
      request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6)
      yield* socket.send(request, nobodysAddress)
      const found: string[] = []
      for (let done = false; !done; ) {
        const { data, address } = yield* socket.recv()
        // From the kernel, whose number is 0.
        expect([address.readUInt16LE(), address.readUInt32LE(4)]).toEqual([AF_NETLINK, 0])
        const answer = interfacesIn(data)
        found.push(...answer.names)
        done = answer.done
      }
      expect(found).toContain('lo')
      const receiving = spawn(function* () {
        return yield* caught(() => socket.recv())
      })
      yield* allParked()
      yield* socket.close()
      expect(yield* receiving).toBeInstanceOf(ClosedError)
    }))

  it('a family that is not there is an error, and bad arguments are thrown at once', () =>
    run(function* () {
      expect((yield* caught(() => datagramSocket({ family: 250 }))).code).toBe('EAFNOSUPPORT')
      expect(() => datagramSocket({ family: -1 })).toThrow(RangeError)
      expect(() => datagramSocket({ family: 'IPv4', address: new Uint8Array(1) })).toThrow(RangeError)
      expect(() => datagramSocket({ family: 'IPv4', address: 'here' as never })).toThrow(TypeError)
    }))
})

describe('A kernel without room', () => {
  /** Answers the calls in turn as told, `null` as it is; when there is nothing left to tell, as it is. */
  class Reluctant extends MemoryKernel {
    readonly sending: (number | null)[] = []
    readonly receiving: (number | null)[] = []
    calls = 0

    override sendDatagrams(...args: Parameters<MemoryKernel['sendDatagrams']>): number {
      this.calls++
      return told(this.sending.shift()) ?? super.sendDatagrams(...args)
    }

    override receiveDatagrams(...args: Parameters<MemoryKernel['receiveDatagrams']>): number {
      return told(this.receiving.shift()) ?? super.receiveDatagrams(...args)
    }
  }

  const told = (answer: number | null | undefined): number | null => answer ?? null

  function inMemory(body: (kernel: Reluctant, here: DatagramSocket, there: DatagramSocket) => Coroutine<void>): Promise<void> {
    const kernel = new Reluctant()
    return run(() => withTwo((here, there) => body(kernel, here, there)), { kernel }).then(() => expect(kernel.openSockets).toBe(0))
  }

  it('hazard 18: ENOBUFS is tried again after a while, which grows', () =>
    inMemory(function* (kernel, here, there) {
      // The event that a new socket has room ends a pause, too: let it pass.
      yield* sleep(1)
      kernel.sending.push(ENOBUFS, ENOBUFS, ENOBUFS)
      yield* here.send('patient', to(there))
      expect(kernel.now()).toBe(1 + 1 + 2 + 4)
      expect(yield* receivedBy(there, 1)).toEqual(['patient'])
      kernel.sending.push(...Array<number>(10).fill(ENOBUFS))
      const begun = kernel.now()
      yield* here.sendBatch(new DatagramSlab().set(0, 'a', to(there)), 1)
      expect(kernel.now() - begun).toBe(1 + 2 + 4 + 8 + 16 + 32 + 64 * 4)
    }))

  it('hazard 18: who waits for room has sent nothing when it is cancelled, and the clock is stopped', () =>
    inMemory(function* (kernel, here, there) {
      for (const error of [ENOBUFS, EAGAIN]) {
        kernel.sending.push(error)
        const sending = spawn(function* () {
          yield* here.send('never', to(there))
        })
        yield* checkpoint()
        expect(yield* caught(() => here.send('x', to(there)))).toBeInstanceOf(BusyError)
        sending.cancel()
        expect(yield* caught(() => sending)).toBeInstanceOf(TaskCancelledError)
        kernel.sending.length = 0
        if (error === EAGAIN) continue
        yield* here.send('next', to(there))
        expect(yield* receivedBy(there, 1)).toEqual(['next'])
      }
      expect(kernel.now()).toBe(0)
    }))

  it('hazard 18: who waits for a device gets ClosedError when the socket is closed', () =>
    inMemory(function* (kernel, here, there) {
      kernel.sending.push(ENOBUFS)
      const sending = spawn(function* () {
        return yield* caught(() => here.send('never', to(there)))
      })
      yield* checkpoint()
      yield* here.close()
      expect([yield* sending, kernel.now()]).toEqual([expect.any(ClosedError), 0])
    }))

  it('hazard 37: a batch goes on where the kernel has stopped', () =>
    inMemory(function* (kernel, here, there) {
      const slab = new DatagramSlab({ packets: 3 })
      for (let i = 0; i < 3; i++) slab.set(i, `${i}`, to(there))
      // One of three; no room for a while; one that fails; the rest.
      const send = kernel.sendDatagrams.bind(kernel)
      let calls = 0
      kernel.sendDatagrams = (fd, records, data, size, first, count) =>
        [() => send(fd, records, data, size, first, 1), () => ENOBUFS, () => EINVAL][calls++]?.() ?? send(fd, records, data, size, first, count)
      expect([yield* here.sendBatch(slab, 3), slab.error(1)?.code]).toEqual([2, 'EINVAL'])
      expect(yield* receivedBy(there, 2)).toEqual(['0', '2'])
    }))

  it('hazard 37: a batch that is cancelled says how much of it was sent', () =>
    inMemory(function* (kernel, here, there) {
      const slab = new DatagramSlab({ packets: 3 })
      for (let i = 0; i < 3; i++) slab.set(i, `${i}`, to(there))
      const send = kernel.sendDatagrams.bind(kernel)
      let calls = 0
      kernel.sendDatagrams = (fd, records, data, size, first) => (calls++ === 0 ? send(fd, records, data, size, first, 2) : ENOBUFS)
      const sending = spawn(function* () {
        yield* here.sendBatch(slab, 3)
      })
      yield* checkpoint()
      sending.cancel()
      expect(yield* caught(() => sending)).toBeInstanceOf(TaskCancelledError)
      expect(slab.sent).toBe(2)
    }))

  it('hazard 37: an error that a batch of a connected socket has hidden is told by the next', () =>
    inMemory(function* (kernel, here, there) {
      yield* here.connect(to(there))
      yield* there.send('first', to(here))
      const slab = new DatagramSlab()
      // The kernel has stopped after one, and keeps the error: no event comes for it.
      expect(yield* here.recvBatch(slab)).toBe(1)
      kernel.receiving.push(ECONNREFUSED)
      expect((yield* caught(() => here.recvBatch(slab))).code).toBe('ECONNREFUSED')
      yield* there.send('second', to(here))
      expect(yield* here.recvBatch(slab)).toBe(1)
    }))

  it('hazard 36: what the network says to an unconnected socket is passed over', () =>
    inMemory(function* (kernel, here, there) {
      kernel.receiving.push(ECONNREFUSED, EHOSTUNREACH)
      yield* there.send('x', to(here))
      expect(yield* receivedBy(here, 1)).toEqual(['x'])
    }))
})

describe('A UDP socket that is connected by name', () => {
  const names = { 'host.test': ['2001:db8::1', '127.0.0.1'], 'six.test': ['2001:db8::1'] }

  /** Without a route for IPv6. */
  const withoutIPv6 = (): MemoryKernel => {
    const kernel = new MemoryKernel({ names })
    const connect = kernel.connect.bind(kernel)
    kernel.connect = (fd, address) => (String(Buffer.from(address as Uint8Array)).includes('2001:db8') ? ENETUNREACH : connect(fd, address))
    return kernel
  }

  it('takes the first address that it can send to', () =>
    run(
      function* () {
        const there = yield* udp(LOCAL)
        for (const options of [{}, LOCAL]) {
          const here = yield* udp(options)
          yield* here.connect({ host: 'host.test', port: portOf(there) })
          expect(here.remoteAddress).toEqual({ family: 'IPv4', ...to(there) })
          yield* here.send('by name')
          expect(yield* receivedBy(there, 1)).toEqual(['by name'])
          yield* here.close()
        }
        yield* there.close()
      },
      { kernel: withoutIPv6() }
    ))

  it('says why it could not be, and is not connected then', () =>
    run(
      function* () {
        const here = yield* udp()
        const unreachable = yield* caught(() => here.connect({ host: 'six.test', port: 1 }))
        expect(unreachable).toMatchObject({ code: 'ENETUNREACH', syscall: 'connect', address: '2001:db8::1', port: 1 })
        expect((yield* caught(() => here.connect({ host: 'nowhere.test', port: 1 }))).code).toBe('ENOTFOUND')
        expect(here.remoteAddress).toBeUndefined()
        expect(() => here.send('x', { host: 'six.test', port: 1 })).toThrow(/blocking\.lookup\(\) first/)
        yield* here.close()
        expect(yield* caught(() => here.connect({ host: 'host.test', port: 1 }))).toBeInstanceOf(ClosedError)
      },
      { kernel: withoutIPv6() }
    ))
})

describe('The network in memory', () => {
  it('brings datagrams late, never, or says that there is no way', () => {
    const kernel = new MemoryKernel({
      network: { '10.0.0.1': { delay: 50 }, '10.0.0.2': { delay: Infinity }, '10.0.0.3': { unreachable: true }, '10.0.0.4': { refuses: true } }
    })
    return run(
      function* () {
        const [here, there] = (yield* opened({ host: '0.0.0.0' }, { host: '0.0.0.0' })) as [DatagramSocket, DatagramSocket]
        const port = portOf(there)
        yield* here.send('lost', { host: '10.0.0.2', port })
        yield* here.send('late', { host: '10.0.0.1', port })
        expect([yield* receivedBy(there, 1), kernel.now()]).toEqual([['late'], 50])
        expect((yield* caught(() => here.send('x', { host: '10.0.0.3', port }))).code).toBe('EHOSTUNREACH')
        yield* here.connect({ host: '10.0.0.4', port })
        yield* here.send('x')
        expect((yield* caught(() => here.recv())).code).toBe('ECONNREFUSED')
        yield* closed(here, there)
      },
      { kernel }
    )
  })

  it('joins no datagrams, and says so', () =>
    run(
      function* () {
        expect((yield* caught(() => udp({ gro: true }))).code).toMatch(/^(EOPNOTSUPP|ENOTSUP)$/)
      },
      { kernel: new MemoryKernel() }
    ))
})
