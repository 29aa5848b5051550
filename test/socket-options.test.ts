/** Socket options by name and by number, on every object that is a socket. */
import { describe, expect, it } from 'vitest'
import { ClosedError, connect, listen, run, udp, unixDatagram, type SettableOptionName, type SocketOptionNumber, type TcpInfo } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { nativeKernel } from '../lib/kernel/native.js'
import { decodeTcpInfo } from '../lib/net/tcp-info.js'
import { caught, onEveryKernel, pair } from './support.js'

const thrown = (code: string): unknown => expect.objectContaining({ code })

onEveryKernel('options by name', (kernel) => {
  it('have the type that their name says', async () => {
    await kernel.run(function* () {
      const [client, server] = yield* pair()
      expect(client.getOption('TCP_NODELAY')).toBe(true)
      expect(client.setOption('TCP_NODELAY', false).getOption('TCP_NODELAY')).toBe(false)
      client.setKeepAlive(true, { idle: 77 })
      expect(client.getOption('TCP_KEEPIDLE')).toBe(77)
      expect(client.getOption('SO_ERROR')).toBe(0)
      yield* client.close()
      expect(() => client.getOption('TCP_NODELAY')).toThrow(ClosedError)
      expect(() => client.setOption('TCP_NODELAY', true)).toThrow(ClosedError)
      yield* server.close()
    })
  })

  it('what is no option, no value of it, or cannot be set is refused before any effect', async () => {
    await kernel.run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      expect(() => listener.getOption('SO_NONSENSE' as never)).toThrow(thrown('ERR_INVALID_ARG_VALUE'))
      expect(() => listener.getOption('toString' as never)).toThrow(thrown('ERR_INVALID_ARG_VALUE'))
      expect(() => listener.getOption(7 as never)).toThrow(thrown('ERR_INVALID_ARG_TYPE'))
      expect(() => listener.getOption({ level: 1, name: 2.5 })).toThrow(thrown('ERR_OUT_OF_RANGE'))
      expect(() => listener.setOption('TCP_INFO' as never, {} as never)).toThrow(thrown('ERR_INVALID_ARG_VALUE'))
      expect(() => listener.setOption('SO_KEEPALIVE', 1 as never)).toThrow(thrown('ERR_INVALID_ARG_TYPE'))
      expect(() => listener.setOption('SO_RCVBUF', '1' as never)).toThrow(thrown('ERR_INVALID_ARG_TYPE'))
      expect(() => listener.setOption('SO_RCVBUF', 2 ** 31)).toThrow(thrown('ERR_OUT_OF_RANGE'))
      expect(() => listener.setOption('SO_LINGER', -1)).toThrow(thrown('ERR_OUT_OF_RANGE'))
      expect(() => listener.setOption('TCP_CONGESTION', 'a\0b')).toThrow(thrown('ERR_INVALID_ARG_VALUE'))
      expect(() => listener.setOption({ level: 1, name: 8 }, '1' as never)).toThrow(thrown('ERR_INVALID_ARG_TYPE'))
      yield* listener.close()
    })
  })
})

describe('options of the system', () => {
  it('numbers, strings, structures and TCP_INFO', async () => {
    await run(function* () {
      const [client, server] = yield* pair()
      // Linux keeps twice as much.
      expect(client.setOption('SO_RCVBUF', 50_000).getOption('SO_RCVBUF')).toBe(100_000)
      expect(client.setOption('TCP_USER_TIMEOUT', 1234).getOption('TCP_USER_TIMEOUT')).toBe(1234)
      expect(client.setOption('TCP_QUICKACK', true).getOption('TCP_QUICKACK')).toBe(true)
      expect(client.setOption('IP_TOS', 0x10).getOption('IP_TOS')).toBe(0x10)
      const congestion = client.getOption('TCP_CONGESTION')
      expect(congestion).toMatch(/^[a-z_]+$/)
      expect(client.setOption('TCP_CONGESTION', 'reno').getOption('TCP_CONGESTION')).toBe('reno')
      expect(client.getOption('SO_LINGER')).toBe(null)
      expect(client.setOption('SO_LINGER', 0).getOption('SO_LINGER')).toBe(0)
      expect(client.setOption('SO_LINGER', 7).getOption('SO_LINGER')).toBe(7)
      expect(client.setOption('SO_LINGER', null).getOption('SO_LINGER')).toBe(null)
      expect(client.getOption('SO_COOKIE')).toBeTypeOf('bigint')
      expect(client.getOption('SO_COOKIE')).not.toBe(server.getOption('SO_COOKIE'))
      expect(client.setOption('SO_BINDTODEVICE', 'lo').getOption('SO_BINDTODEVICE')).toBe('lo')

      const datagrams = yield* udp({ port: 0, host: '127.0.0.1' })
      expect(datagrams.setOption('SO_RCVBUF', 50_000).getOption('SO_RCVBUF')).toBe(100_000)
      expect(datagrams.setOption('IP_TTL', 7).getOption('IP_TTL')).toBe(7)
      yield* datagrams.close()
      expect(() => datagrams.getOption('IP_TTL')).toThrow(ClosedError)

      yield* client.write('x'.repeat(5000))
      yield* client.flush()
      yield* server.readSome()
      const info: TcpInfo = client.getOption('TCP_INFO')
      expect(info).toMatchObject({ state: 'ESTABLISHED', lost: 0, totalRetrans: 0, bytesSent: 5000n })
      expect(info.sndMss).toBeGreaterThan(500)
      expect(info.rto).toBeGreaterThan(0)
      expect(server.getOption('TCP_INFO')).toMatchObject({ bytesReceived: 5000n, rcvWscale: info.sndWscale })
      yield* server.closeWrite()
      yield* client.readSome()
      expect(client.getOption('TCP_INFO').state).toBe('CLOSE_WAIT')
      client.reset()
      server.reset()
    })
  })

  it('by number: bytes come out, bytes and integers go in', async () => {
    const { SO_RCVBUF, SO_KEEPALIVE } = nativeKernel().optionTables().options as Record<string, SocketOptionNumber> & {
      SO_RCVBUF: SocketOptionNumber
      SO_KEEPALIVE: SocketOptionNumber
    }
    await run(function* () {
      const socket = yield* unixDatagram()
      socket.setOption(SO_RCVBUF, 50_000)
      expect(socket.getOption('SO_RCVBUF')).toBe(100_000)
      socket.setOption(SO_RCVBUF, Buffer.from(Int32Array.of(60_000).buffer))
      expect(new Int32Array(Uint8Array.from(socket.getOption(SO_RCVBUF)).buffer)[0]).toBe(120_000)
      socket.setOption(SO_KEEPALIVE, true)
      expect(socket.getOption('SO_KEEPALIVE')).toBe(true)
      yield* socket.close()
    })
  })

  it('one that this socket or system does not know is ENOPROTOOPT, and says which', async () => {
    await run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const unknown = yield* caught(function* () {
        listener.getOption({ level: 1, name: 9999 })
        yield* listener.close()
      })
      expect(unknown).toMatchObject({ code: 'ENOPROTOOPT', syscall: 'getsockopt' })
      expect(unknown.message).toContain('level 1, name 9999')
      yield* listener.close()
    })
    const kernel = new MemoryKernel()
    await run(
      function* () {
        const listener = yield* listen({ port: 0, host: '127.0.0.1' })
        expect(() => listener.getOption('TCP_INFO')).toThrow(thrown('ENOPROTOOPT'))
        expect(() => listener.setOption('SO_MARK', 1)).toThrow(thrown('ENOPROTOOPT'))
        yield* listener.close()
      },
      { kernel }
    )
  })

  it('every kind of socket has them', async () => {
    const path = `\0options-${process.pid}`
    await run(function* () {
      const listener = yield* listen({ path, type: 'seqpacket' })
      const client = yield* connect({ path, type: 'seqpacket' })
      expect(listener.getOption('SO_ACCEPTCONN')).toBe(true)
      expect(client.getOption('SO_ACCEPTCONN')).toBe(false)
      expect(client.getOption('SO_PEERCRED')).toEqual(client.peerCredentials())
      yield* client.close()
      yield* listener.close()
      const stream = yield* listen({ path })
      const connection = yield* connect({ path })
      expect(connection.getOption('SO_PEERCRED').pid).toBe(process.pid)
      expect(connection.setOption('SO_SNDBUF', 20_000).getOption('SO_SNDBUF')).toBe(40_000)
      yield* connection.close()
      yield* stream.close()
    })
  })

  it('every name in the table is one of the headers, but for what later ones have', () => {
    const { options } = nativeKernel().optionTables()
    const common: SettableOptionName[] = ['SO_BUSY_POLL', 'SO_MARK', 'IP_FREEBIND', 'IPV6_V6ONLY', 'TCP_DEFER_ACCEPT', 'UDP_GRO']
    for (const name of common) expect(options).toHaveProperty(name)
    for (const { level, name } of Object.values(options)) expect([Number.isInteger(level), Number.isInteger(name)]).toEqual([true, true])
  })

  it('TCP_INFO of an older kernel, which is shorter, has fewer fields and no wrong ones', () => {
    const tables = nativeKernel().optionTables()
    const bytes = Buffer.alloc(104, 1)
    const info = decodeTcpInfo(tables, bytes)
    expect(info).toMatchObject({ state: 'ESTABLISHED', rtt: 0x01010101, totalRetrans: 0x01010101, sndWscale: 1, rcvWscale: 0 })
    expect(info).not.toHaveProperty('pacingRate')
    expect(decodeTcpInfo(tables, Buffer.alloc(112, 1))).toMatchObject({ pacingRate: 0x0101010101010101n })
  })
})
