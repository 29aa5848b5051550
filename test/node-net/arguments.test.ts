/** What is refused, and with which code: bad arguments of every function. */
import { once } from 'node:events'
import type { Server } from 'node:net'
import { expect, it } from 'vitest'
import { closeAtEnd, closeOf, destroyQuietly, noted, onBoth, thrown } from './both.js'

onBoth((net) => {
  /** What a call throws; what it gives instead is closed again. */
  const refusal = (call: () => unknown): unknown => {
    const result = thrown(call)
    if (typeof result === 'string') return result
    if (result instanceof net.Socket) destroyQuietly(result)
    else if (result instanceof net.Server) result.close()
    return result === null || typeof result !== 'object' ? result : 'accepted'
  }
  const connect = net.connect as unknown as (...args: unknown[]) => unknown
  const listen = (...args: unknown[]): unknown => (net.createServer().on('error', () => {}).listen as (...args: unknown[]) => unknown)(...args)
  const Socket = net.Socket as unknown as new (options?: unknown) => unknown
  const createServer = net.createServer as unknown as (...args: unknown[]) => unknown

  it.each([
    [[], 'ERR_MISSING_ARGS'],
    [[{}], 'ERR_MISSING_ARGS'],
    [[{ host: 'localhost' }], 'ERR_MISSING_ARGS'],
    [[undefined], 'ERR_MISSING_ARGS'],
    [[{ port: null }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: {} }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: true }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: -1 }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: 65536 }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: '' }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: ' ' }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: '0x' }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: NaN }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: 1.5 }], 'ERR_SOCKET_BAD_PORT'],
    [[-1], 'ERR_SOCKET_BAD_PORT'],
    [[65536, '127.0.0.1'], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: 1, localAddress: 'nowhere' }], 'ERR_INVALID_IP_ADDRESS'],
    [[{ port: 1, localPort: '1' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, lookup: 'no' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, lookup: true }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, autoSelectFamily: 'yes' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 0 }], 'ERR_OUT_OF_RANGE'],
    [[{ port: 1, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: -1 }], 'ERR_OUT_OF_RANGE'],
    [[{ path: {} }], 'ERR_INVALID_ARG_TYPE'],
    [[{ path: 5 }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, timeout: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, keepAliveInitialDelay: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, signal: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ port: 1, objectMode: true }], 'ERR_INVALID_ARG_VALUE'],
    [[{ port: 1, readableObjectMode: true }], 'ERR_INVALID_ARG_VALUE'],
    [[{ port: 1, writableObjectMode: true }], 'ERR_INVALID_ARG_VALUE']
  ])('connect(...%j) is %s', (args, code) => {
    expect(refusal(() => connect(...args))).toBe(code)
  })

  it.each([
    [[{ fd: -1 }], 'ERR_OUT_OF_RANGE'],
    [[{ fd: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ fd: 1.5 }], 'ERR_OUT_OF_RANGE'],
    [[{ fd: 900_000 }], 'ERR_INVALID_FD_TYPE'],
    [[{ objectMode: true }], 'ERR_INVALID_ARG_VALUE'],
    [[{ highWaterMark: -1 }], 'ERR_INVALID_ARG_VALUE'],
    [[{ signal: {} }], 'ERR_INVALID_ARG_TYPE'],
    [[{ keepAliveInitialDelay: '1' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ keepAliveInitialDelay: -1 }], 'accepted'],
    [[null], 'accepted'],
    [[{ onread: 'ignored' }], 'accepted'],
    [[{ onread: {} }], 'accepted']
  ])('new Socket(...%j) is %s', (args, code) => {
    expect(refusal(() => new Socket(...args))).toBe(code)
  })

  it.each([
    [['nonsense'], 'ERR_INVALID_ARG_TYPE'],
    [[5], 'ERR_INVALID_ARG_TYPE'],
    [[true], 'ERR_INVALID_ARG_TYPE'],
    [[null], 'accepted'],
    [[{ highWaterMark: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ keepAliveInitialDelay: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ highWaterMark: -1 }], 'accepted']
  ])('createServer(...%j) is %s', (args, code) => {
    expect(refusal(() => createServer(...args))).toBe(code)
  })

  it.each([
    [[-1], 'ERR_SOCKET_BAD_PORT'],
    [[65536], 'ERR_SOCKET_BAD_PORT'],
    [[NaN], 'ERR_SOCKET_BAD_PORT'],
    [[1.5], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: -1 }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: '65536' }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: ' ' }], 'ERR_SOCKET_BAD_PORT'],
    [[{ port: false }], 'ERR_INVALID_ARG_VALUE'],
    [[{ port: {} }], 'ERR_INVALID_ARG_VALUE'],
    [[{}], 'ERR_INVALID_ARG_VALUE'],
    [[{ host: 'localhost' }], 'ERR_INVALID_ARG_VALUE'],
    [[{ path: '' }], 'ERR_INVALID_ARG_VALUE'],
    [[{ path: 5 }], 'ERR_INVALID_ARG_VALUE'],
    [[{ path: null }], 'ERR_INVALID_ARG_VALUE'],
    [[{ fd: -1 }], 'ERR_INVALID_ARG_VALUE'],
    [[{ port: 0, signal: 'x' }], 'ERR_INVALID_ARG_TYPE'],
    [[{ path: '\0abstract', readableAll: true }], 'ERR_INVALID_ARG_VALUE'],
    [[true], 'ERR_INVALID_ARG_VALUE']
  ])('listen(...%j) is %s', (args, code) => {
    expect(refusal(() => listen(...args))).toBe(code)
  })

  it('an error names the argument, what is wrong with it, and has a code', () => {
    const caught = ((): Error => {
      try {
        connect({ port: 70_000 })
      } catch (error) {
        return error as Error
      }
      throw new Error('not refused')
    })()
    expect(caught).toBeInstanceOf(RangeError)
    expect(caught.name).toBe('RangeError')
    expect(caught.message).toMatch(/(Port|options\.port) should be >= 0 and < 65536\. Received type number \(70000\)\./)
    expect((caught as NodeJS.ErrnoException).code).toBe('ERR_SOCKET_BAD_PORT')
  })

  it('listen twice is ERR_SERVER_ALREADY_LISTEN, close twice ERR_SERVER_NOT_RUNNING', async () => {
    const server: Server = net.createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closeAtEnd(server)
    expect(thrown(() => server.listen(0))).toBe('ERR_SERVER_ALREADY_LISTEN')
    const told = (): Promise<string | undefined> => new Promise((resolve) => server.close((error) => resolve((error as NodeJS.ErrnoException)?.code)))
    expect(await told()).toBe(undefined)
    expect(await told()).toBe('ERR_SERVER_NOT_RUNNING')
    expect([server.listening, server.address()]).toEqual([false, null])
  })

  it('the functions of the module are there, and say what Node says', () => {
    expect([net.isIP('127.0.0.1'), net.isIP('::1'), net.isIP('x'), net.isIPv4('1.2.3.4'), net.isIPv6('::')]).toEqual([4, 6, 0, true, true])
    expect(new net.SocketAddress({ address: '::1', port: 5, family: 'ipv6' }).port).toBe(5)
    const list = new net.BlockList()
    list.addSubnet('10.0.0.0', 8)
    expect([list.check('10.1.2.3'), list.check('11.1.2.3')]).toEqual([true, false])
    expect(net.createConnection).toBe(net.connect)
    expect((net as unknown as { Stream: unknown }).Stream).toBe(net.Socket)
  })

  it('the defaults of address selection can be set, within bounds', () => {
    const [on, ms] = [net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()]
    try {
      net.setDefaultAutoSelectFamily(!on)
      net.setDefaultAutoSelectFamilyAttemptTimeout(1)
      expect([net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()]).toEqual([!on, 10])
      expect(thrown(() => net.setDefaultAutoSelectFamily(1 as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(thrown(() => net.setDefaultAutoSelectFamilyAttemptTimeout(0))).toBe('ERR_OUT_OF_RANGE')
      expect(thrown(() => net.setDefaultAutoSelectFamilyAttemptTimeout('1' as never))).toBe('ERR_INVALID_ARG_TYPE')
    } finally {
      net.setDefaultAutoSelectFamily(on)
      net.setDefaultAutoSelectFamilyAttemptTimeout(ms)
    }
  })

  it('Socket and Server can be called without new, on objects of old classes, and extended', async () => {
    const call = net.Socket as unknown as { (): object; call(self: object, options?: object): void; prototype: object }
    expect(call()).toBeInstanceOf(net.Socket)
    expect((net.Server as unknown as () => object)()).toBeInstanceOf(net.Server)
    const Old = function (this: object): void {
      call.call(this, { allowHalfOpen: true })
    } as unknown as new () => InstanceType<Net['Socket']>
    Object.setPrototypeOf(Old.prototype, call.prototype)
    const old = new Old()
    expect([old instanceof net.Socket, old.allowHalfOpen]).toEqual([true, true])
    class New extends net.Socket {}
    const extended = new New()
    expect(extended).toBeInstanceOf(net.Socket)
    const events = noted(old, 'close')
    const closed = Promise.all([closeOf(old), closeOf(extended)])
    old.destroy()
    extended.destroy()
    await closed
    expect(events).toEqual(['close'])
  })
})

type Net = typeof import('node:net')
