/** How a socket comes by its connection: events, errors, lookups, several addresses, paths, signals, buffers of the user's. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { LookupFunction, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, it } from 'vitest'
import { ownRuntime } from '../../lib/runtime/current.js'
import { atTestEnd, closeAtEnd, closeOf, connecting, everything, listening, noted, onBoth, pairOf, portOf, thrown } from './both.js'

const EVENTS = ['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout', 'connect', 'ready', 'error', 'close']

/** A lookup of names that nobody else knows. */
function lookupOf(addresses: { address: string; family: number }[]): LookupFunction {
  return ((_host: string, options: { all?: boolean }, callback: (...args: unknown[]) => void) => {
    const [first] = addresses
    process.nextTick(() => (options.all === true ? callback(null, addresses) : callback(null, first?.address, first?.family)))
  }) as LookupFunction
}

/** Listens on 127.0.0.3 and accepts nobody; who else connects gets no answer, because its queue is full. */
function silentListener(port: number): void {
  const { kernel } = ownRuntime()
  const address = { family: 'IPv4', address: '127.0.0.3', port } as const
  const fds = [kernel.socket('IPv4'), kernel.socket('IPv4'), kernel.socket('IPv4')] as const
  kernel.bind(fds[0], address)
  kernel.listen(fds[0], 0)
  for (const fd of fds.slice(1)) kernel.connect(fd, address)
  atTestEnd(() => {
    for (const fd of fds) kernel.closeFd(fd)
  })
}

onBoth((net) => {
  /** A port on which nobody listens. */
  async function freePort(): Promise<number> {
    const server = await listening(net)
    const port = portOf(server)
    server.close()
    await once(server, 'close')
    return port
  }

  it('states and events on the way to a connection', async () => {
    const server = await listening(net)
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    expect([socket.connecting, socket.pending, socket.readyState]).toEqual([true, true, 'opening'])
    const events = noted(socket, ...EVENTS)
    await once(socket, 'ready')
    expect([socket.connecting, socket.pending, socket.readyState]).toEqual([false, false, 'open'])
    expect(events).toEqual(['connectionAttempt', 'connect', 'ready'])
  })

  it.each([
    ['(port, host, callback)', (port: number, done: () => void) => net.connect(port, '127.0.0.1', done)],
    ['(port as text, host, callback)', (port: number, done: () => void) => net.connect(String(port) as unknown as number, '127.0.0.1', done)],
    ['(options, callback)', (port: number, done: () => void) => net.createConnection({ port, host: '127.0.0.1' }, done)],
    ['(port, callback)', (port: number, done: () => void) => (net.connect as unknown as (port: number, done: () => void) => Socket)(port, done)],
    ['new Socket().connect(port, host, callback)', (port: number, done: () => void) => new net.Socket().connect(port, '127.0.0.1', done)]
  ])('connect%s calls back once it is connected', async (_form, connect) => {
    const server = await listening(net)
    const socket = await new Promise<Socket>((resolve) => {
      const made: Socket = connect(portOf(server), () => resolve(made))
    })
    atTestEnd(() => socket.destroy())
    expect(socket.remotePort).toBe(portOf(server))
  })

  it('a refused connection is ECONNREFUSED, with the address, and then it closes', async () => {
    const port = await freePort()
    const socket = net.connect({ port, host: '127.0.0.1' })
    const events = noted(socket, ...EVENTS)
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.on('error', resolve))
    expect(error).toMatchObject({
      code: 'ECONNREFUSED', errno: -111, syscall: 'connect', address: '127.0.0.1', port,
      message: `connect ECONNREFUSED 127.0.0.1:${port}`
    })
    await closeOf(socket)
    expect(events).toEqual(['connectionAttempt', 'connectionAttemptFailed', 'error ECONNREFUSED', 'close true'])
    expect([socket.connecting, socket.destroyed, socket.readyState]).toEqual([false, true, 'closed'])
  })

  it('from an address and a port of one\'s own choice, which an error tells, too', async () => {
    const server = await listening(net)
    const localPort = await freePort()
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1', localAddress: '127.0.0.2', localPort })
    await once(socket, 'connect')
    expect([socket.localAddress, socket.localPort]).toEqual(['127.0.0.2', localPort])
    const port = await freePort()
    const refused = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2', localPort: await freePort() })
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => refused.on('error', resolve))
    expect(error.message).toMatch(/^connect ECONNREFUSED 127\.0\.0\.1:\d+ - Local \(127\.0\.0\.2:\d+\)$/)
  })

  it('a local address that is not of this machine is an error of bind', async () => {
    const socket = net.connect({ port: 9, host: '127.0.0.1', localAddress: '192.0.2.1' })
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.on('error', resolve))
    expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind', address: '192.0.2.1' })
  })

  it('what is written, ended and asked for before the connection is there happens when it is', async () => {
    const server = await listening(net, {}, (socket) => socket.end('served'))
    const peer = once(server, 'connection') as Promise<[Socket]>
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    expect(socket.write('early ')).toBe(true)
    expect(socket.bytesWritten).toBe(6)
    socket.setNoDelay(true).setKeepAlive(true, 1000)
    socket.end('bird')
    const [answer, question] = await Promise.all([everything(socket), peer.then(([each]) => everything(each))])
    expect([answer, question]).toEqual(['served', 'early bird'])
  })

  it('a socket that was paused while it connected receives nothing before it is resumed', async () => {
    const server = await listening(net, {}, (socket) => socket.write('hello'))
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    const chunks: string[] = []
    socket.on('data', (chunk) => chunks.push(String(chunk)))
    socket.pause()
    await once(socket, 'connect')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect([chunks, socket.isPaused()]).toEqual([[], true])
    socket.resume()
    await once(socket, 'data')
    expect(chunks).toEqual(['hello'])
  })

  it('destroy while it connects: no connection, no error', async () => {
    const server = await listening(net)
    const socket = net.connect({ port: portOf(server), host: '127.0.0.1' })
    const events = noted(socket, ...EVENTS)
    socket.destroy()
    await closeOf(socket)
    expect(events).toEqual(['close false'])
  })

  it('a write that waits for a connection which is given up fails', async () => {
    const server = await listening(net)
    const socket = net.connect({ port: portOf(server), host: '127.0.0.1' })
    const told = new Promise<NodeJS.ErrnoException>((resolve) => socket.write('x', (error) => resolve(error as NodeJS.ErrnoException)))
    socket.destroy()
    expect((await told).code).toMatch(/ERR_SOCKET_CLOSED_BEFORE_CONNECTION|ERR_STREAM_DESTROYED/)
  })

  it('can connect again after it was closed', async () => {
    const server = await listening(net, {}, (socket) => socket.end(String(socket.remotePort)))
    const socket = new net.Socket()
    const answers: string[] = []
    socket.on('data', (chunk) => answers.push(String(chunk)))
    for (let i = 0; i < 2; i++) {
      const closed = closeOf(socket)
      const connected = once(socket, 'connect')
      socket.connect(portOf(server), '127.0.0.1')
      await connected
      await closed
    }
    expect(answers).toHaveLength(2)
    expect(answers[0]).not.toBe(answers[1])
  })

  it('a name is looked up, with the options that were given', async () => {
    const server = await listening(net)
    const seen: unknown[] = []
    const lookup = ((host: string, options: { family: unknown; hints: unknown; all?: boolean }, callback: (...args: unknown[]) => void) => {
      seen.push([host, options.family, options.hints, options.all])
      process.nextTick(callback, null, '127.0.0.1', 4)
    }) as LookupFunction
    const socket = connecting(net, { port: portOf(server), host: 'somewhere', family: 4, hints: 0, lookup })
    const found = once(socket, 'lookup')
    expect(await found).toEqual([null, '127.0.0.1', 4, 'somewhere'])
    await once(socket, 'connect')
    expect(seen).toEqual([['somewhere', 4, 0, undefined]])
  })

  it.each([
    ['nothing that is an address', 'nonsense', 4, 'ERR_INVALID_IP_ADDRESS'],
    ['an address of no family', '127.0.0.1', 5, 'ERR_INVALID_ADDRESS_FAMILY'],
    ['undefined', undefined, undefined, 'ERR_INVALID_IP_ADDRESS']
  ])('a lookup that gives %s', async (_what, address, family, code) => {
    const lookup = ((_host: string, _options: object, callback: (...args: unknown[]) => void) => callback(null, address, family)) as LookupFunction
    const socket = net.connect({ port: 1, host: 'somewhere', family: 4, lookup })
    const events = noted(socket, 'error', 'close')
    await closeOf(socket)
    expect(events).toEqual([`error ${code}`, 'close true'])
  })

  it('a lookup that fails, at once or later, is the socket\'s error', async () => {
    for (const autoSelectFamily of [false, true]) {
      for (const later of [setImmediate, (call: () => void) => call()]) {
        const failure = Object.assign(new Error('no such host'), { code: 'ENOTFOUND' })
        const lookup = ((_host: string, _options: object, callback: (...args: unknown[]) => void) => later(() => callback(failure))) as LookupFunction
        const socket = net.connect({ port: 1, host: 'somewhere', lookup, autoSelectFamily })
        const error = await new Promise((resolve) => socket.on('error', resolve))
        expect(error).toBe(failure)
      }
    }
  })

  it('the system\'s own lookup is used for a name, and fails as Node\'s does', async () => {
    const server = await listening(net)
    const socket = connecting(net, { port: portOf(server), host: 'localhost', family: 4 })
    const [, address] = await once(socket, 'lookup')
    expect(address).toBe('127.0.0.1')
    await once(socket, 'connect')
    const lost = net.connect({ port: 1, host: 'name.invalid' })
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => lost.on('error', resolve))
    expect(error).toMatchObject({ syscall: 'getaddrinfo', hostname: 'name.invalid', code: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) })
  })

  it('of several addresses the first that answers is taken', async () => {
    const server = await listening(net)
    const lookup = lookupOf([
      { address: '127.0.0.2', family: 4 },
      { address: '127.0.0.1', family: 4 }
    ])
    const port = portOf(server)
    const socket = connecting(net, { port, host: 'somewhere', lookup, autoSelectFamily: true })
    const events = noted(socket, ...EVENTS)
    await once(socket, 'ready')
    expect(events).toEqual([
      'lookup', 'lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttempt', 'connect', 'ready'
    ])
    expect(socket.autoSelectFamilyAttemptedAddresses).toEqual([`127.0.0.2:${port}`, `127.0.0.1:${port}`])
    expect(socket.remoteAddress).toBe('127.0.0.1')
  })

  it('families take turns, beginning with the first', async () => {
    const port = await freePort()
    const lookup = lookupOf([
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 }
    ])
    const socket = net.connect({ port, host: 'somewhere', lookup, autoSelectFamily: true })
    const error = await new Promise<AggregateError & NodeJS.ErrnoException>((resolve) => socket.on('error', resolve as (error: Error) => void))
    expect(socket.autoSelectFamilyAttemptedAddresses).toEqual([`127.0.0.1:${port}`, `::1:${port}`, `127.0.0.2:${port}`])
    expect(error).toBeInstanceOf(AggregateError)
    expect(error.code).toBe('ECONNREFUSED')
    expect(error.errors.map((each: NodeJS.ErrnoException & { address: string }) => each.address)).toEqual(['127.0.0.1', '::1', '127.0.0.2'])
  })

  it('an address that does not answer in time gives way to the next', async () => {
    const server = await listening(net)
    const port = portOf(server)
    silentListener(port)
    const lookup = lookupOf([
      { address: '127.0.0.3', family: 4 },
      { address: '127.0.0.1', family: 4 }
    ])
    const socket = connecting(net, { port, host: 'somewhere', lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 20 })
    const events = noted(socket, 'connectionAttemptTimeout', 'connect')
    await once(socket, 'connect')
    expect(events).toEqual(['connectionAttemptTimeout', 'connect'])
    expect(socket.remoteAddress).toBe('127.0.0.1')
    expect(socket.autoSelectFamilyAttemptedAddresses).toHaveLength(2)
  })

  it('a Unix socket: connected, without addresses, and ENOENT where there is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coreactor-net-'))
    atTestEnd(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'socket')
    const server = net.createServer((socket) => socket.end('by path')).listen(path)
    await once(server, 'listening')
    closeAtEnd(server)
    expect(server.address()).toBe(path)
    const socket = net.connect(path)
    expect(await everything(socket)).toBe('by path')
    expect([socket.remoteAddress, socket.remotePort, socket.address()]).toEqual([undefined, undefined, {}])
    const missing = net.connect({ path: join(folder, 'none') })
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => missing.on('error', resolve))
    expect(error).toMatchObject({ code: 'ENOENT', syscall: 'connect', address: join(folder, 'none') })
    expect(error.message).toBe(`connect ENOENT ${join(folder, 'none')}`)
    expect(thrown(() => (connecting(net, { path }) as Socket).resetAndDestroy())).toBe('ERR_INVALID_HANDLE_TYPE')
  })

  it('an abstract name reaches its server', async () => {
    const name = `\0coreactor-net-${process.pid}`
    const server = net.createServer((socket) => socket.end('abstract')).listen(name)
    await once(server, 'listening')
    closeAtEnd(server)
    expect(await everything(net.connect(name))).toBe('abstract')
  })

  it('a signal that is aborted destroys the socket with AbortError', async () => {
    const { client } = await pairOf(net)
    client.destroy()
    const server = await listening(net)
    const controller = new AbortController()
    const socket = net.connect({ port: portOf(server), host: '127.0.0.1', signal: controller.signal } as never)
    const events = noted(socket, 'error', 'close')
    await once(socket, 'connect')
    controller.abort()
    await closeOf(socket)
    expect(events).toEqual(['error ABORT_ERR', 'close true'])
    const late = net.connect({ port: portOf(server), host: '127.0.0.1', signal: AbortSignal.abort() } as never)
    const lateEvents = noted(late, 'connect', 'error', 'close')
    await closeOf(late)
    expect(lateEvents[0]).toBe('error ABORT_ERR')
    expect(lateEvents[1]).toMatch(/^close/)
  })

  it('onread receives into the user\'s memory, stops when it is told to, and goes on', async () => {
    const server = await listening(net, {}, (socket) => socket.write('0123456789'))
    const buffer = Buffer.alloc(4)
    const parts: string[] = []
    let socket: Socket | undefined
    await new Promise<void>((resolve) => {
      socket = net.connect({
        port: portOf(server),
        host: '127.0.0.1',
        onread: {
          buffer,
          callback: (count: number, into: Uint8Array) => {
            expect(into).toBe(buffer)
            parts.push(buffer.toString('latin1', 0, count))
            if (parts.length === 1) {
              setImmediate(() => {
                parts.push('resumed')
                socket?.resume()
              })
              return false
            }
            if (parts.join('').endsWith('9')) resolve()
            return true
          }
        }
      })
      socket.on('data', () => parts.push('never'))
    })
    expect(parts).toEqual(['0123', 'resumed', '4567', '89'])
    expect(socket?.bytesRead).toBe(10)
    socket?.destroy()
  })

  it('onread may give another memory each time, and the end is told all the same', async () => {
    const server = await listening(net, {}, (socket) => socket.end('abcd'))
    const given: Uint8Array[] = []
    let text = ''
    const socket = net.connect({
      port: portOf(server),
      host: '127.0.0.1',
      onread: {
        buffer: () => {
          given.push(new Uint8Array(2))
          return given.at(-1) as Uint8Array
        },
        callback: (count: number, into: Uint8Array) => {
          text += Buffer.from(into.subarray(0, count)).toString()
          return true
        }
      }
    })
    await closeOf(socket)
    expect(text).toBe('abcd')
    expect(given.length).toBeGreaterThanOrEqual(2)
  })

  it('the timeout option counts from the beginning', async () => {
    const server = await listening(net)
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1', timeout: 15 })
    expect(socket.timeout).toBe(15)
    await once(socket, 'timeout')
    expect(socket.destroyed).toBe(false)
  })

  it('net.client.socket tells of each socket that connects', async () => {
    const server = await listening(net)
    const sockets: unknown[] = []
    const tell = (message: unknown): void => void sockets.push((message as { socket: unknown }).socket)
    subscribe('net.client.socket', tell)
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    unsubscribe('net.client.socket', tell)
    await once(socket, 'connect')
    expect(sockets).toEqual([socket])
  })
})
