/** A server: all the ways to listen, what it does with connections, and how it ends. */
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, it } from 'vitest'
import { ownRuntime } from '../../lib/runtime/current.js'
import { atTestEnd, closeAtEnd, closeOf, connecting, destroyQuietly, everything, listening, MODULES, nextTurn, noted, onBoth, pairOf, portOf } from './both.js'

/** An fd that is bound to a port, and listens or not. */
function boundFd(listens: boolean): number {
  const { kernel } = ownRuntime()
  const fd = kernel.socket('IPv4')
  kernel.bind(fd, { family: 'IPv4', address: '127.0.0.1', port: 0 })
  if (listens) kernel.listen(fd, 10)
  return fd
}

onBoth((net) => {
  async function served(server: Server): Promise<string> {
    const socket = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    return everything(socket)
  }
  const hello = (): Server => net.createServer((socket) => socket.end('hello'))
  async function ready(server: Server): Promise<Server> {
    closeAtEnd(server)
    await once(server, 'listening')
    return server
  }

  it.each<[string, (server: Server) => Server]>([
    ['()', (server) => server.listen()],
    ['(0)', (server) => server.listen(0)],
    ['("0")', (server) => server.listen('0' as unknown as number)],
    ['(null)', (server) => server.listen(null as unknown as number)],
    ['(callback)', (server) => server.listen(() => {})],
    ['(0, host)', (server) => server.listen(0, '127.0.0.1')],
    ['(0, host, backlog)', (server) => server.listen(0, '127.0.0.1', 5)],
    ['(0, backlog)', (server) => server.listen(0, 5)],
    ['(0, backlog, callback)', (server) => server.listen(0, 5, () => {})],
    ['({ port })', (server) => server.listen({ port: 0 })],
    ['({ port: undefined })', (server) => server.listen({ port: undefined } as object)],
    ['({ port, host, backlog, exclusive })', (server) => server.listen({ port: 0, host: '127.0.0.1', backlog: 5, exclusive: true })],
    ['({ port, host: a name })', (server) => server.listen({ port: 0, host: 'localhost' })]
  ])('listen%s', async (_form, listen) => {
    const server = hello()
    expect([server.listening, server.address()]).toEqual([false, null])
    expect(listen(server)).toBe(server)
    await ready(server)
    expect(server.listening).toBe(true)
    expect(portOf(server)).toBeGreaterThan(0)
    expect(await served(server)).toBe('hello')
  })

  it('says where it listens: everywhere, where a host is named, and IPv6 only if that is wanted', async () => {
    const where = async (options: object): Promise<AddressInfo> => (await ready(hello().listen(options))).address() as AddressInfo
    expect(await where({ port: 0 })).toMatchObject({ address: '::', family: 'IPv6' })
    expect(await where({ port: 0, host: '127.0.0.1' })).toMatchObject({ address: '127.0.0.1', family: 'IPv4' })
    expect(await where({ port: 0, host: '::1' })).toMatchObject({ address: '::1', family: 'IPv6' })
    const { port } = await where({ port: 0, host: '::', ipv6Only: true })
    expect(await where({ port, host: '0.0.0.0' })).toMatchObject({ port, family: 'IPv4' })
  })

  it('everywhere takes IPv4 too, and shows it as a mapped address', async () => {
    const server = await ready(hello().listen(0))
    const accepted = once(server, 'connection') as Promise<[Socket]>
    connecting(net, { port: portOf(server), host: '127.0.0.1' }).resume()
    const [socket] = await accepted
    expect([socket.remoteAddress, socket.remoteFamily, socket.localFamily]).toEqual(['::ffff:127.0.0.1', 'IPv6', 'IPv6'])
  })

  it('a port that is taken is EADDRINUSE, and nothing else happens', async () => {
    const first = await listening(net)
    const port = portOf(first)
    const second = net.createServer()
    const events = noted(second, 'listening', 'error', 'close')
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => second.on('error', resolve).listen(port, '127.0.0.1'))
    expect(error).toMatchObject({
      code: 'EADDRINUSE', errno: -98, syscall: 'listen', address: '127.0.0.1', port,
      message: `listen EADDRINUSE: address already in use 127.0.0.1:${port}`
    })
    await nextTurn()
    expect(events).toEqual(['error EADDRINUSE'])
    expect(second.listening).toBe(false)
    first.close()
    await once(first, 'close')
    await ready(second.listen(port, '127.0.0.1'))
  })

  it('an address that is not of this machine is EADDRNOTAVAIL, a name that nobody knows the lookup\'s error', async () => {
    const refused = async (host: string): Promise<unknown> => {
      const server = net.createServer()
      return new Promise((resolve) => server.on('error', resolve).listen(0, host))
    }
    expect(await refused('192.0.2.1')).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'listen', address: '192.0.2.1' })
    expect(await refused('name.invalid')).toMatchObject({ syscall: 'getaddrinfo', hostname: 'name.invalid' })
  })

  it.each([['that listens', true], ['that is bound only', false]])('listens on an fd %s', async (_what, listens) => {
    const server = hello()
    server.listen({ fd: boundFd(listens) })
    await ready(server)
    expect(server.address()).toMatchObject({ address: '127.0.0.1', family: 'IPv4' })
    expect(await served(server)).toBe('hello')
  })

  it('an fd on which nobody can listen is an error', async () => {
    const server = net.createServer()
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => server.on('error', resolve).listen({ fd: 900_000 }))
    expect(error).toMatchObject({ code: expect.stringMatching(/EINVAL|EBADF/), syscall: 'listen' })
  })

  it('a path: the file is there, with the permissions asked for, and gone afterwards', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coreactor-net-'))
    atTestEnd(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'socket')
    const server = await ready(hello().listen({ path, readableAll: true, writableAll: true }))
    expect([server.address(), statSync(path).isSocket(), (statSync(path).mode & 0o666).toString(8)]).toEqual([path, true, '666'])
    const taken = net.createServer()
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => taken.on('error', resolve).listen(path))
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', address: path })
    expect(error.message).toBe(`listen EADDRINUSE: address already in use ${path}`)
    server.close()
    await once(server, 'close')
    expect(() => statSync(path)).toThrow('ENOENT')
  })

  it('connections come in order, each with its server', async () => {
    const server = await listening(net)
    const accepted: Socket[] = []
    server.on('connection', (socket) => accepted.push(socket))
    const clients = Array.from({ length: 5 }, () => connecting(net, { port: portOf(server), host: '127.0.0.1' }))
    await Promise.all(clients.map((client) => once(client, 'connect')))
    while (accepted.length < clients.length) await nextTurn()
    expect(accepted.map(({ remotePort }) => remotePort)).toEqual(clients.map(({ localPort }) => localPort))
    expect(accepted.every((socket) => (socket as Socket & { server: unknown }).server === server)).toBe(true)
    expect(accepted.every((socket) => socket instanceof net.Socket)).toBe(true)
  })

  it('counts its connections, and closes when the last has gone', async () => {
    const { server, client, peer } = await pairOf(net)
    const count = (): Promise<number> => new Promise((resolve, reject) => server.getConnections((error, n) => (error ? reject(error) : resolve(n))))
    expect(await count()).toBe(1)
    const events = noted(server, 'close')
    peer.resume()
    server.close()
    await nextTurn()
    expect([events, server.listening]).toEqual([[], false])
    client.write('goes on')
    await once(peer, 'data')
    client.destroy()
    await once(server, 'close')
    expect(await count()).toBe(0)
    await nextTurn()
    expect(events).toEqual(['close'])
  })

  it('a closed server refuses, and can listen again', async () => {
    const server = await listening(net)
    const port = portOf(server)
    server.close()
    await once(server, 'close')
    const refused = net.connect(port, '127.0.0.1')
    expect(await new Promise((resolve) => refused.on('error', resolve))).toMatchObject({ code: 'ECONNREFUSED' })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    expect(portOf(server)).toBe(port)
  })

  it('close before listen has finished: it never listens', async () => {
    const server = net.createServer()
    const events = noted(server, 'listening', 'close', 'error')
    server.listen(0, 'localhost')
    server.close()
    await nextTurn()
    await nextTurn()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(events).toEqual(['close'])
    expect(server.listening).toBe(false)
  })

  it('await using closes it', async () => {
    const server = await listening(net)
    const events = noted(server, 'close')
    await server[Symbol.asyncDispose]()
    expect([events, server.listening]).toEqual([['close'], false])
    await server[Symbol.asyncDispose]()
  })

  it('a signal closes it', async () => {
    const controller = new AbortController()
    const server = net.createServer().listen({ port: 0, host: '127.0.0.1', signal: controller.signal })
    await ready(server)
    const closed = closeOf(server)
    controller.abort()
    await closed
    const late = net.createServer()
    const lateClosed = closeOf(late)
    late.listen({ port: 0, host: '127.0.0.1', signal: AbortSignal.abort() })
    await lateClosed
    expect(late.listening).toBe(false)
  })

  it('more connections than it may have are dropped, and told of', async () => {
    const server = await listening(net)
    server.maxConnections = 1
    const first = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    await once(server, 'connection')
    const dropped = once(server, 'drop')
    const second = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    second.resume()
    const closed = closeOf(second)
    const [data] = (await dropped) as [Record<string, unknown>]
    expect({ ...data }).toEqual({
      localAddress: '127.0.0.1', localPort: portOf(server), localFamily: 'IPv4',
      remoteAddress: '127.0.0.1', remotePort: expect.any(Number), remoteFamily: 'IPv4'
    })
    await closed
    expect(first.destroyed).toBe(false)
  })

  it('its options reach its connections', async () => {
    const { peer, server } = await pairOf(net, { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true, highWaterMark: 5000 } as object)
    expect([peer.allowHalfOpen, peer.isPaused(), peer.readableHighWaterMark, peer.writableHighWaterMark]).toEqual([true, true, 5000, 5000])
    expect(server).toMatchObject({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true, highWaterMark: 5000 })
  })

  it('pauseOnConnect: nothing is read until it is resumed', async () => {
    const { client, peer } = await pairOf(net, { pauseOnConnect: true })
    client.write('x')
    await nextTurn()
    await nextTurn()
    expect(peer.bytesRead).toBe(0)
    const data = once(peer, 'data')
    peer.resume()
    expect(String((await data)[0])).toBe('x')
  })

  it('a listener that throws is an uncaught exception, and the server goes on', async () => {
    const server = await listening(net)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const uncaught = once(process, 'uncaughtException') as Promise<[Error]>
    try {
      server.once('connection', () => {
        throw new Error('thrown by a listener')
      })
      connecting(net, { port: portOf(server), host: '127.0.0.1' })
      expect((await uncaught)[0].message).toBe('thrown by a listener')
    } finally {
      for (const other of others) process.on('uncaughtException', other)
    }
    const next = once(server, 'connection')
    connecting(net, { port: portOf(server), host: '127.0.0.1' })
    await next
  })

  it('a listener that throws at each of many connections hinders none of them', async () => {
    const server = await listening(net)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const thrown: string[] = []
    const note = ({ message }: Error): void => void thrown.push(message)
    process.on('uncaughtException', note)
    try {
      server.on('connection', () => {
        throw new Error(`thrown by a listener, ${thrown.length}`)
      })
      const clients = Array.from({ length: 5 }, () => connecting(net, { port: portOf(server), host: '127.0.0.1' }))
      await Promise.all(clients.map((client) => once(client, 'connect')))
      while (thrown.length < clients.length) await nextTurn()
    } finally {
      process.off('uncaughtException', note)
      for (const other of others) process.on('uncaughtException', other)
    }
  })

  it('an async listener that fails destroys its connection, if rejections are captured', async () => {
    const { captureRejections } = EventEmitter
    EventEmitter.captureRejections = true
    try {
      const server = await listening(net)
      server.on('connection', async (socket) => {
        socket.on('error', (error) => errors.push(error.message))
        throw new Error('rejected')
      })
      const errors: string[] = []
      const client = connecting(net, { port: portOf(server), host: '127.0.0.1' })
      client.resume()
      await closeOf(client)
      expect(errors).toEqual(['rejected'])
    } finally {
      EventEmitter.captureRejections = captureRejections
    }
  })

  it('net.server.socket tells of each connection, and net.server.listen of the beginning', async () => {
    const sockets: unknown[] = []
    const tell = (message: unknown): void => void sockets.push((message as { socket: unknown }).socket)
    const steps: string[] = []
    const listen = tracingChannel('net.server.listen')
    const subscribers = {
      asyncStart: () => steps.push('asyncStart'),
      asyncEnd: () => steps.push('asyncEnd'),
      error: () => steps.push('error'),
      start: () => {},
      end: () => {}
    }
    subscribe('net.server.socket', tell)
    listen.subscribe(subscribers as never)
    const { peer, server } = await pairOf(net)
    const taken = net.createServer()
    await new Promise((resolve) => taken.on('error', resolve).listen(portOf(server), '127.0.0.1'))
    unsubscribe('net.server.socket', tell)
    listen.unsubscribe(subscribers as never)
    expect(sockets).toEqual([peer])
    expect(steps).toEqual(['asyncStart', 'asyncEnd', 'asyncStart', 'error'])
  })

  it('listeners run in the async context in which listening or connecting began', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const server = net.createServer((socket) => {
      seen.push(['connection', storage.getStore()])
      // What it is in here differs between versions of Node.
      socket.on('data', () => socket.end('bye'))
    })
    storage.run('listen', () => server.listen(0, '127.0.0.1'))
    await ready(server)
    const client = storage.run('connect', () => connecting(net, { port: portOf(server), host: '127.0.0.1' }))
    client.on('connect', () => {
      seen.push(['connect', storage.getStore()])
      client.write('hi')
    })
    client.on('data', () => seen.push(['client data', storage.getStore()]))
    await closeOf(client)
    expect(Object.fromEntries(seen as [string, unknown][])).toEqual({
      connection: 'listen', connect: 'connect', 'client data': 'connect'
    })
  })

  it('a hundred peers that reset, end, send nothing or never read leave nothing behind', async () => {
    const server = await listening(net, {}, (socket) => {
      socket.on('error', () => {})
      socket.write(Buffer.alloc(256 * 1024))
      socket.resume()
    })
    const clients = Array.from({ length: 100 }, () => net.connect(portOf(server), '127.0.0.1'))
    await Promise.all(clients.map((client) => once(client, 'connect')))
    const closed = clients.map((client) => closeOf(client))
    for (const [i, client] of clients.entries()) {
      client.on('error', () => {})
      if (i % 4 === 0) client.resetAndDestroy()
      else if (i % 4 === 1) client.resume().end()
      else if (i % 4 === 2) client.pause()
      else client.end('never reads')
    }
    server.close()
    for (const [i, client] of clients.entries()) if (i % 4 >= 2) destroyQuietly(client)
    for (const each of closed) await each
  })
})

it.each(MODULES)('%s speaks with the other', async (_name, net) => {
  for (const [, other] of MODULES) {
    const server = await listening(net, {}, (socket) => void socket.pipe(socket))
    const client = connecting(other, { port: portOf(server), host: '127.0.0.1' })
    client.end('across')
    expect(await everything(client)).toBe('across')
  }
})
