/** What the network says of datagrams that were sent: whoever wants to know hears of each, and the socket goes on. */
import { describe, expect, it } from 'vitest'
import { BusyError, ClosedError, run, spawn, TaskCancelledError, udp, type Coroutine, type DatagramSocket } from 'coreactor'
import { allParked, FaultyKernel, MemoryKernel } from 'coreactor/testing'
import { epoll, linux, makesNetworks, runInNetwork } from './here.js'
import { caught, onEveryKernel } from './support.js'

const HOST = '127.0.0.1'

const portOf = (socket: DatagramSocket): number => socket.localAddress?.port as number

/** A port that nobody has any more. */
function* nobody(host = HOST): Coroutine<number> {
  const socket = yield* udp({ host })
  const port = portOf(socket)
  yield* socket.close()
  return port
}

/** The memory kernel has it everywhere. */
const suite = (kernel: { name: string; run: typeof run }): void => {
  it('hazard 36: an unconnected socket hears which datagram has met nobody, and goes on', () =>
    kernel.run(function* () {
      for (const [host, origin, type, code] of [[HOST, 'ICMP', 3, 3], ['::1', 'ICMPv6', 1, 4]] as const) {
        const here = yield* udp({ host, errors: true })
        const ports = [yield* nobody(host), yield* nobody(host)] as const
        const there = yield* udp({ host })
        for (const port of ports) yield* here.send(`to ${port}`, { host, port })
        yield* here.send('to somebody', { host, port: portOf(there) })
        expect(String((yield* there.recv()).data)).toBe('to somebody')
        for (const port of ports) {
          const { error, data, ...rest } = yield* here.recvError()
          expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'send', address: host, port })
          expect(String(data)).toBe(`to ${port}`)
          expect(rest).toEqual({
            address: expect.objectContaining({ address: host, port }),
            origin,
            type,
            code,
            reporter: host
          })
        }
        yield* there.send('back', { host, port: portOf(here) })
        expect(String((yield* here.recv()).data)).toBe('back')
        yield* there.close()
        yield* here.close()
      }
    }))

  it('an IPv4 address is told as one by a socket that speaks both', () =>
    kernel.run(function* () {
      const here = yield* udp({ errors: true })
      const port = yield* nobody()
      yield* here.send('x', { host: HOST, port })
      const { address, origin, reporter } = yield* here.recvError()
      expect([address, origin, reporter]).toEqual([{ family: 'IPv4', address: HOST, port }, 'ICMP', HOST])
      yield* here.close()
    }))

  it('waits for an error that comes later, while others send and receive', () =>
    kernel.run(function* () {
      const here = yield* udp({ host: HOST, errors: true })
      const hearing = spawn(() => here.recvError())
      const receiving = spawn(() => here.recv())
      yield* allParked()
      const port = yield* nobody()
      yield* here.send('to nobody', { host: HOST, port })
      expect((yield* hearing).address.port).toBe(port)
      yield* here.send('to myself', { host: HOST, port: portOf(here) })
      expect(String((yield* receiving).data)).toBe('to myself')
      yield* here.close()
    }))

  it('a connected socket hears of it in both ways', () =>
    kernel.run(function* () {
      const here = yield* udp({ host: HOST, errors: true })
      const port = yield* nobody()
      yield* here.connect({ host: HOST, port })
      yield* here.send('x')
      expect((yield* caught(() => here.recv())).code).toBe('ECONNREFUSED')
      expect((yield* here.recvError()).error).toMatchObject({ code: 'ECONNREFUSED', port })
      yield* here.close()
    }))

  it('a cancelled wait has taken none: the next one gets it', () =>
    kernel.run(function* () {
      const here = yield* udp({ host: HOST, errors: true })
      const port = yield* nobody()
      const hearing = spawn(() => here.recvError())
      yield* allParked()
      yield* here.send('x', { host: HOST, port })
      hearing.cancel()
      expect(yield* caught(() => hearing)).toBeInstanceOf(TaskCancelledError)
      expect((yield* here.recvError()).address.port).toBe(port)
      yield* here.close()
    }))

  it('one task waits at a time, and is told that the socket is closed', () =>
    kernel.run(function* () {
      const here = yield* udp({ host: HOST, errors: true })
      const hearing = spawn(() => caught(() => here.recvError()))
      yield* allParked()
      expect(yield* caught(() => here.recvError())).toBeInstanceOf(BusyError)
      yield* here.close()
      expect(yield* hearing).toBeInstanceOf(ClosedError)
      expect(yield* caught(() => here.recvError())).toBeInstanceOf(ClosedError)
    }))

  it('a socket that keeps none says so at once', () =>
    kernel.run(function* () {
      const here = yield* udp({ host: HOST })
      expect(() => here.recvError()).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_NO_ERRORS' }))
      yield* here.close()
    }))
}

describe('The errors of datagrams', () => {
  // The queue is told of by EPOLLERR.
  if (epoll) return onEveryKernel('are kept', suite)
  suite({ name: 'memory', run: (main) => run(main, { kernel: new MemoryKernel() }) })

  it.runIf(!linux)('are kept by Linux only', () =>
    run(function* () {
      expect((yield* caught(() => udp({ errors: true }))).code).toBe('ENOPROTOOPT')
    }))
})

it.runIf(epoll && makesNetworks)('what is longer than one packet may be says how long that is', () => {
  const told = JSON.parse(runInNetwork('ip link set lo mtu 1400 up', 'small-mtu.mjs')) as unknown
  expect(told).toEqual({ thrown: 'EMSGSIZE', code: 'EMSGSIZE', address: HOST, origin: 'local', mtu: 1400 })
})

it('an error is told although the call was interrupted, or said that there was none', async () => {
  for (const fault of ['EINTR', 'EAGAIN']) {
    const kernel = new FaultyKernel({ over: new MemoryKernel(), faults: { receiveDatagramError: { fault, nth: 1 } } })
    await run(
      function* () {
        const here = yield* udp({ host: HOST, errors: true })
        yield* here.send('x', { host: HOST, port: yield* nobody() })
        expect((yield* here.recvError()).error.code).toBe('ECONNREFUSED')
        yield* here.close()
      },
      { kernel }
    )
    expect(kernel.injected()).toBe(1)
  }
})
