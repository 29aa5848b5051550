/** `coreactor/dgram` beside `node:dgram`: every test runs on both. What differs is in docs/node-dgram.md, and tested at the end. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import nodeDgram from 'node:dgram'
import { once, on } from 'node:events'
import { BlockList } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inherits } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import coreactorDgram, { type RemoteInfo, type Socket, type SocketOptions } from 'coreactor/dgram'
import { ENOBUFS } from '../lib/kernel/errno.js'
import { ENDS_MS } from './patience.js'
import { kernel } from './raw-fd.js'

type Module = typeof coreactorDgram

const HOST = '127.0.0.1'
const GROUP = '239.7.7.7'
const [major = 0] = process.versions.node.split('.').map(Number)

const opened: Socket[] = []

afterEach(async () => {
  for (const socket of opened.splice(0)) await socket[Symbol.asyncDispose]()
})

function code(action: () => unknown): string | undefined {
  try {
    action()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).name
  }
  return undefined
}

const names: [string, Module][] = [
  ['node:dgram', nodeDgram as unknown as Module],
  ['coreactor/dgram', coreactorDgram]
]

function socketsOf(dgram: Module) {
  const create = (options: 'udp4' | 'udp6' | SocketOptions = 'udp4', listener?: (message: Buffer, from: RemoteInfo) => void): Socket => {
    const socket = dgram.createSocket(options, listener)
    opened.push(socket)
    return socket
  }
  const bound = async (options?: 'udp4' | 'udp6' | SocketOptions, host = HOST): Promise<Socket> => {
    const socket = create(options)
    socket.bind(0, host)
    await once(socket, 'listening')
    return socket
  }
  return { create, bound }
}

/** While `body` runs, the system has no room for any datagram. */
async function withoutRoom(body: () => Promise<void>): Promise<void> {
  const { sendDatagrams } = kernel
  kernel.sendDatagrams = () => ENOBUFS
  try {
    await body()
  } finally {
    kernel.sendDatagrams = sendDatagrams
  }
}

/** The next datagram of a socket. */
async function message(socket: Socket): Promise<[text: string, from: RemoteInfo]> {
  const [data, from] = (await once(socket, 'message')) as [Buffer, RemoteInfo]
  return [data.toString(), from]
}

/** What `send` tells its callback. */
function sent(begin: (callback: (error: Error | null, bytes?: number) => void) => void): Promise<{ error: NodeJS.ErrnoException | null; bytes?: number | undefined }> {
  return new Promise((resolve) => begin((error, bytes) => resolve({ error, bytes })))
}

describe.each(names)('%s', (_name, dgram) => {
  const { create, bound } = socketsOf(dgram)

  describe('making a socket', () => {
    it('takes a type, or options that have one', () => {
      expect(create('udp4').type).toBe('udp4')
      expect(create({ type: 'udp6' }).type).toBe('udp6')
      expect(create()).toBeInstanceOf(dgram.Socket)
    })

    it.each([[undefined], [null], ['udp5'], [{}], [{ type: 4 }]])('refuses the type %o', (type) => {
      expect(code(() => dgram.createSocket(type as never))).toBe('ERR_SOCKET_BAD_TYPE')
    })

    it('refuses options of the wrong type', () => {
      const refused = (options: object): unknown => code(() => dgram.createSocket({ type: 'udp4', ...options } as never))
      expect(refused({ lookup: 'dns' })).toBe('ERR_INVALID_ARG_TYPE')
      expect(refused({ recvBufferSize: '1' })).toBe('ERR_INVALID_ARG_TYPE')
      expect(refused({ recvBufferSize: -1 })).toBe('ERR_OUT_OF_RANGE')
      expect(refused({ sendBufferSize: 2 ** 32 })).toBe('ERR_OUT_OF_RANGE')
    })

    it('refuses a signal that is none', () => {
      expect(code(() => dgram.createSocket({ type: 'udp4', signal: {} as AbortSignal }))).toBe('ERR_INVALID_ARG_TYPE')
    })

    it('takes a listener for messages', async () => {
      const received: string[] = []
      const socket = create('udp4', (data) => received.push(data.toString()))
      socket.bind(0, HOST)
      await once(socket, 'listening')
      socket.send('hello', socket.address().port, HOST)
      await once(socket, 'message')
      expect(received).toEqual(['hello'])
    })

    it('is a constructor that can be called on an object of another class', () => {
      function Old(this: object): void {
        ;(dgram.Socket as unknown as (this: object, type: string) => void).call(this, 'udp4')
      }
      inherits(Old, dgram.Socket)
      const socket = new (Old as unknown as new () => Socket)()
      opened.push(socket)
      expect(socket.type).toBe('udp4')
      expect(socket).toBeInstanceOf(dgram.Socket)
    })

    it('is told to diagnostics_channel', () => {
      const published: unknown[] = []
      const subscriber = (told: unknown): number => published.push((told as { socket: Socket }).socket)
      subscribe('udp.socket', subscriber)
      const socket = create()
      unsubscribe('udp.socket', subscriber)
      expect(published).toEqual([socket])
    })
  })

  describe('bind', () => {
    it('says where it receives', async () => {
      const socket = await bound()
      const { port, ...rest } = socket.address()
      expect(port).toBeGreaterThan(0)
      expect(rest).toEqual({ address: HOST, family: 'IPv4' })
    })

    it('takes port, address and callback, the latter with the socket as `this`', async () => {
      const socket = create()
      const self = await new Promise((resolve) => {
        socket.bind(0, HOST, function (this: unknown) {
          resolve(this)
        })
      })
      expect(self).toBe(socket)
    })

    it('takes a callback alone, options, or nothing', async () => {
      const first = create()
      await new Promise<void>((resolve) => first.bind(resolve))
      expect(first.address().address).toBe('0.0.0.0')
      const second = create('udp6')
      await new Promise<void>((resolve) => second.bind({ port: 0, exclusive: true }, resolve))
      expect(second.address()).toMatchObject({ address: '::', family: 'IPv6' })
      const third = create()
      third.bind()
      await once(third, 'listening')
      expect(third.address().port).toBeGreaterThan(0)
    })

    it('returns the socket, and is over only later', async () => {
      const socket = create()
      let listening = false
      socket.on('listening', () => (listening = true))
      expect(socket.bind(0, HOST)).toBe(socket)
      expect(listening).toBe(false)
      expect(code(() => socket.address())).toBe('EBADF')
      await once(socket, 'listening')
    })

    it('works once', async () => {
      const socket = create()
      socket.bind(0, HOST)
      expect(code(() => socket.bind(0, HOST))).toBe('ERR_SOCKET_ALREADY_BOUND')
      await once(socket, 'listening')
      expect(code(() => socket.bind(0, HOST))).toBe('ERR_SOCKET_ALREADY_BOUND')
    })

    it('tells by an error what is taken, and can be called again', async () => {
      const first = await bound()
      const { port } = first.address()
      const second = create()
      second.bind(port, HOST)
      const [error] = await once(second, 'error')
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', address: HOST, port, message: `bind EADDRINUSE ${HOST}:${port}` })
      second.bind(0, HOST)
      await once(second, 'listening')
    })

    it('shares an address with `reuseAddr`', async () => {
      const first = await bound({ type: 'udp4', reuseAddr: true })
      const second = create({ type: 'udp4', reuseAddr: true })
      second.bind(first.address().port, HOST)
      await once(second, 'listening')
      expect(second.address()).toEqual(first.address())
    })

    it('looks a name up, by the function that is given', async () => {
      const asked: unknown[] = []
      const lookup = ((host: string, family: number, found: (error: null, address: string, family: number) => void) => {
        asked.push(host, family)
        process.nextTick(found, null, HOST, 4)
      }) as never
      const socket = await bound({ type: 'udp4', lookup }, 'my-host')
      expect(asked).toEqual(['my-host', 4])
      expect(socket.address().address).toBe(HOST)
    })

    it('tells by an error that a name is not known', async () => {
      const lookup = ((_host: string, _family: number, found: (error: Error) => void) => process.nextTick(found, new Error('who?'))) as never
      const socket = create({ type: 'udp4', lookup })
      socket.bind(0, 'nobody')
      const [error] = await once(socket, 'error')
      expect((error as Error).message).toBe('who?')
    })

    it('takes IPv4 with `::`, unless `ipv6Only` is set', async () => {
      const both = await bound('udp6', '::')
      const sender = await bound()
      sender.send('hello', both.address().port, HOST)
      const [text, from] = await message(both)
      expect(text).toBe('hello')
      expect(from).toEqual({ address: `::ffff:${HOST}`, family: 'IPv6', port: sender.address().port, size: 5 })
      const one = await bound({ type: 'udp6', ipv6Only: true }, '::')
      const other = create()
      other.bind(one.address().port, '0.0.0.0')
      await once(other, 'listening')
      expect(other.address().port).toBe(one.address().port)
    })

    it('takes an fd that is bound already', async () => {
      const fd = kernel.socket('IPv4', 'datagram')
      expect(kernel.bind(fd, { family: 'IPv4', address: HOST, port: 0 })).toBe(0)
      kernel.letGo(fd)
      const socket = create()
      let listening = false
      socket.bind({ fd }, () => (listening = true))
      expect(listening).toBe(true)
      socket.send('hello', socket.address().port, HOST)
      expect((await message(socket))[0]).toBe('hello')
    })

    it('refuses an fd that is no UDP socket', () => {
      const socket = create()
      expect(code(() => socket.bind({ fd: 0x7fff_ffff }))).toBe('ERR_INVALID_FD_TYPE')
      const fd = kernel.socket('IPv4', 'stream')
      expect(code(() => create().bind({ fd }))).toBe('ERR_INVALID_FD_TYPE')
      kernel.closeFd(fd)
    })

    it('sets the sizes of the buffers', async () => {
      const socket = await bound({ type: 'udp4', recvBufferSize: 10_000, sendBufferSize: 12_000 })
      expect(socket.getRecvBufferSize()).toBe(20_000)
      expect(socket.getSendBufferSize()).toBe(24_000)
    })
  })

  describe('send', () => {
    it('binds the socket if it is not bound, and tells how many bytes went', async () => {
      const receiver = await bound()
      const sender = create()
      const outcome = sent((callback) => sender.send('hello', receiver.address().port, HOST, callback))
      const [text, from] = await message(receiver)
      expect(await outcome).toEqual({ error: null, bytes: 5 })
      expect(text).toBe('hello')
      expect(from).toEqual({ address: HOST, family: 'IPv4', port: sender.address().port, size: 5 })
    })

    it.each<[string, unknown, string]>([
      ['a string', 'grüß', 'grüß'],
      ['a buffer', Buffer.from('bytes'), 'bytes'],
      ['a typed array', new Uint16Array([0x4241, 0x4443]), 'ABCD'],
      ['a DataView', new DataView(Buffer.from('xview').buffer, Buffer.from('xview').byteOffset, 0), ''],
      ['a list', ['one ', Buffer.from('two '), new Uint8Array([0x33])], 'one two 3'],
      ['an empty list', [], ''],
      ['nothing', '', '']
    ])('sends %s', async (_what, data, expected) => {
      const socket = await bound()
      socket.send(data as string, socket.address().port, HOST)
      const [text, from] = await message(socket)
      expect(text).toBe(expected)
      expect(from.size).toBe(Buffer.byteLength(expected))
    })

    it('sends a part of a buffer, or of a string', async () => {
      const socket = await bound()
      const { port } = socket.address()
      socket.send(Buffer.from('0123456789'), 3, 4, port, HOST)
      expect((await message(socket))[0]).toBe('3456')
      socket.send('0123456789', 8, 2, port, HOST, () => {})
      expect((await message(socket))[0]).toBe('89')
      socket.sendto(Buffer.from('0123456789'), 0, 1, port, HOST)
      expect((await message(socket))[0]).toBe('0')
    })

    it('sends to this machine unless it is told where', async () => {
      const socket = await bound()
      const { port } = socket.address()
      socket.send('one', port)
      expect((await message(socket))[0]).toBe('one')
      const outcome = sent((callback) => socket.send('two', port, callback))
      expect((await message(socket))[0]).toBe('two')
      expect(await outcome).toEqual({ error: null, bytes: 3 })
    })

    it('refuses what is no data, no port, no address, or out of bounds', async () => {
      const socket = await bound()
      const refused = (...args: unknown[]): unknown => code(() => (socket.send as (...all: unknown[]) => void)(...args))
      expect(refused(5, 1)).toBe('ERR_INVALID_ARG_TYPE')
      expect(refused({}, 1, HOST)).toBe('ERR_INVALID_ARG_TYPE')
      expect(refused(['a', 5], 1, HOST)).toBe('ERR_INVALID_ARG_TYPE')
      expect(refused('x', 1, 5)).toBe('ERR_INVALID_ARG_TYPE')
      for (const port of [0, -1, 65536, 1.5, 'a', '', undefined, null]) expect(refused('x', port, HOST)).toBe('ERR_SOCKET_BAD_PORT')
      expect(refused(Buffer.alloc(4), 5, 1, 1, HOST)).toBe('ERR_BUFFER_OUT_OF_BOUNDS')
      expect(refused(Buffer.alloc(4), 2, 3, 1, HOST)).toBe('ERR_BUFFER_OUT_OF_BOUNDS')
      expect(code(() => socket.sendto('x', '0' as never, 1, 1, HOST))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.sendto('x', 0, 1, 1, undefined as never))).toBe('ERR_INVALID_ARG_TYPE')
    })

    it('names data, port and bounds as Node does', () => {
      const socket = create()
      const text = (...args: unknown[]): unknown => {
        try {
          return (socket.send as (...all: unknown[]) => void)(...args)
        } catch (error) {
          return `${(error as Error).name}: ${(error as Error).message}`
        }
      }
      expect([text('x', 0, HOST), text(5, 1), text(Buffer.alloc(1), 2, 1, 1, HOST), text('x', 70000)]).toEqual([
        'RangeError: Port should be > 0 and < 65536. Received type number (0).',
        'TypeError: The "buffer" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received type number (5)',
        'RangeError: "offset" is outside of buffer bounds',
        'RangeError: Port should be > 0 and < 65536. Received type number (70000).'
      ])
    })

    it('tells the callback that a datagram is too long, and nobody else', async () => {
      const socket = await bound()
      const { port } = socket.address()
      const { error } = await sent((callback) => socket.send(Buffer.alloc(65_508), port, HOST, callback))
      expect(error).toMatchObject({ code: 'EMSGSIZE', syscall: 'send', address: HOST, port, message: `send EMSGSIZE ${HOST}:${port}` })
      socket.send(Buffer.alloc(65_508), port, HOST)
      socket.send('after', port, HOST)
      expect((await message(socket))[0]).toBe('after')
    })

    it('carries the longest datagram whole', async () => {
      const socket = await bound()
      const data = Buffer.alloc(65_507, 'abcdefg')
      socket.send(data, socket.address().port, HOST)
      const [received] = (await once(socket, 'message')) as [Buffer]
      expect(received.equals(data)).toBe(true)
    })

    it('tells the callback of an address of the other family', async () => {
      const socket = await bound()
      const { error } = await sent((callback) => socket.send('x', 9, '::1', callback))
      expect(error).toMatchObject({ code: 'EINVAL', syscall: 'send' })
    })

    it('tells that a name is not known, to the callback or by an error', async () => {
      const lookup = ((_host: string, _family: number, found: (error: Error) => void) => process.nextTick(found, new Error('who?'))) as never
      const socket = create({ type: 'udp4', lookup })
      const fd = kernel.socket('IPv4', 'datagram')
      kernel.bind(fd, { family: 'IPv4', address: HOST, port: 0 })
      kernel.letGo(fd)
      socket.bind({ fd })
      expect((await sent((callback) => socket.send('x', 9, 'nobody', callback))).error?.message).toBe('who?')
      socket.send('x', 9, 'nobody')
      const [error] = await once(socket, 'error')
      expect((error as Error).message).toBe('who?')
    })

    it('keeps the order, of many and of all sizes', async () => {
      const receiver = await bound({ type: 'udp4', recvBufferSize: 1 << 20 })
      const sender = await bound()
      const { port } = receiver.address()
      const sizes = Array.from({ length: 150 }, (_, i) => (i % 7 === 3 ? 3000 : i % 5) + 1)
      const received: number[] = []
      const all = new Promise<void>((resolve) => {
        receiver.on('message', (data) => {
          received.push(data.length)
          if (received.length === sizes.length) resolve()
        })
      })
      let told = 0
      for (const size of sizes) sender.send(Buffer.alloc(size), port, HOST, () => told++)
      await all
      expect(received).toEqual(sizes)
      await expect.poll(() => told).toBe(sizes.length)
    })

    it('has nothing in its queue that the system has taken', async () => {
      const socket = await bound()
      const { port } = socket.address()
      socket.connect(port, HOST)
      await once(socket, 'connect')
      await sent((callback) => socket.send('hello', callback))
      expect([socket.getSendQueueSize(), socket.getSendQueueCount()]).toEqual([0, 0])
    })

    it('sends nothing to an address of `sendBlockList`, and receives nothing from one of `receiveBlockList`', async () => {
      if (dgram === (nodeDgram as unknown) && major < 24) return expect(major).toBeLessThan(24)
      const list = new BlockList()
      list.addAddress(HOST)
      const receiver = await bound()
      const { port } = receiver.address()
      const blocked = await bound({ type: 'udp4', sendBlockList: list })
      const { error } = await sent((callback) => blocked.send('x', port, HOST, callback))
      expect(error).toMatchObject({ code: 'ERR_IP_BLOCKED' })
      blocked.connect(port, HOST)
      const [failure] = await once(blocked, 'error')
      expect(failure).toMatchObject({ code: 'ERR_IP_BLOCKED' })
      const deaf = await bound({ type: 'udp4', receiveBlockList: list })
      const heard: string[] = []
      deaf.on('message', (data) => heard.push(data.toString()))
      receiver.send('no', deaf.address().port, HOST)
      receiver.send('end', port, HOST)
      await message(receiver)
      expect(heard).toEqual([])
      expect(code(() => dgram.createSocket({ type: 'udp4', sendBlockList: {} as BlockList }))).toBe('ERR_INVALID_ARG_TYPE')
    })
  })

  describe('receiving', () => {
    it('loses nothing of what came together to whoever waits by `once` and a promise', async () => {
      const receiver = await bound()
      const sender = await bound()
      const { port } = receiver.address()
      for (let i = 0; i < 40; i++) sender.send(String(i), port, HOST)
      const received: string[] = []
      for (let i = 0; i < 40; i++) received.push((await message(receiver))[0])
      expect(received).toEqual(Array.from({ length: 40 }, (_, i) => String(i)))
    })

    it('lets what one datagram has set off run before the next, ticks and promises', async () => {
      const receiver = await bound()
      const sender = await bound()
      const { port } = receiver.address()
      const order: string[] = []
      const all = new Promise<void>((resolve) => {
        receiver.on('message', (data) => {
          const text = data.toString()
          order.push(text)
          process.nextTick(() => order.push(`${text} tick`))
          void Promise.resolve()
            .then(() => {})
            .then(() => {
              order.push(`${text} promise`)
              if (text === '2') resolve()
            })
        })
      })
      for (let i = 0; i < 3; i++) sender.send(String(i), port, HOST)
      await all
      expect(order).toEqual(['0', '0 tick', '0 promise', '1', '1 tick', '1 promise', '2', '2 tick', '2 promise'])
    })

    it('hands out no more once it is closed, also of what came together', async () => {
      const receiver = await bound()
      const sender = await bound()
      const received: string[] = []
      receiver.on('message', (data) => {
        received.push(data.toString())
        receiver.close()
      })
      for (let i = 0; i < 5; i++) sender.send(String(i), receiver.address().port, HOST)
      await once(receiver, 'close')
      await sent((callback) => sender.send('x', sender.address().port, HOST, callback))
      await message(sender)
      expect(received).toEqual(['0'])
    })

    it('gives each message an object of its own for the sender', async () => {
      const socket = await bound()
      const infos: RemoteInfo[] = []
      const both = new Promise<void>((resolve) => socket.on('message', (_data, from) => infos.push(from) === 2 && resolve()))
      socket.send('a', socket.address().port, HOST)
      socket.send('b', socket.address().port, HOST)
      await both
      expect(infos[0]).toEqual(infos[1])
      expect(infos[0]).not.toBe(infos[1])
    })

    it('gives messages that are the receiver\'s own', async () => {
      const socket = await bound()
      const kept: Buffer[] = []
      const all = new Promise<void>((resolve) => socket.on('message', (data) => kept.push(data) === 40 && resolve()))
      for (let i = 0; i < 40; i++) socket.send(Buffer.alloc(i % 2 === 0 ? 10 : 500, i), socket.address().port, HOST)
      await all
      expect(kept.map((data) => data.every((byte) => byte === data[0]) && data[0])).toEqual(Array.from({ length: 40 }, (_, i) => i))
    })

    it('can be iterated over with `events.on`', async () => {
      const socket = await bound()
      const messages = on(socket, 'message')
      for (let i = 0; i < 5; i++) socket.send(String(i), socket.address().port, HOST)
      const received: string[] = []
      for await (const [data] of messages) if (received.push(String(data)) === 5) break
      expect(received).toEqual(['0', '1', '2', '3', '4'])
    })

    it('keeps the async context of where the socket was made, and of where `send` was called', async () => {
      const storage = new AsyncLocalStorage<string>()
      const socket = storage.run('made', () => create())
      socket.bind(0, HOST)
      await once(socket, 'listening')
      const seen: (string | undefined)[] = []
      const both = new Promise<void>((resolve) => {
        socket.on('message', () => seen.push(`message ${storage.getStore()}`) === 2 && resolve())
        storage.run('sent', () =>
          socket.send('x', socket.address().port, HOST, () => seen.push(`sent ${storage.getStore()}`) === 2 && resolve())
        )
      })
      await both
      expect(seen.sort()).toEqual(['message made', 'sent sent'])
    })
  })

  describe('connect', () => {
    it('sets the peer, for `send` and for what is received', async () => {
      const peer = await bound()
      const socket = await bound()
      const stranger = await bound()
      socket.connect(peer.address().port, HOST)
      await once(socket, 'connect')
      expect(socket.remoteAddress()).toEqual(peer.address())
      const outcome = sent((callback) => socket.send('hello', callback))
      const [text, from] = await message(peer)
      expect(await outcome).toEqual({ error: null, bytes: 5 })
      expect(text).toBe('hello')
      stranger.send('stranger', from.port, HOST)
      await sent((callback) => stranger.send('x', stranger.address().port, HOST, callback))
      peer.send('answer', from.port, HOST)
      expect((await message(socket))[0]).toBe('answer')
      socket.send(Buffer.from('0123'), 1, 2)
      expect((await message(peer))[0]).toBe('12')
    })

    it('binds the socket, takes a callback, and an address of this machine if none is given', async () => {
      const peer = await bound()
      const socket = create()
      await new Promise<void>((resolve) => socket.connect(peer.address().port, resolve))
      expect(socket.remoteAddress()).toEqual({ ...peer.address() })
      expect(socket.address().port).toBeGreaterThan(0)
    })

    it('works once, and then `send` takes no address', async () => {
      const peer = await bound()
      const { port } = peer.address()
      const socket = await bound()
      socket.connect(port, HOST)
      expect(code(() => socket.connect(port, HOST))).toBe('ERR_SOCKET_DGRAM_IS_CONNECTED')
      await once(socket, 'connect')
      expect(code(() => socket.connect(port, HOST))).toBe('ERR_SOCKET_DGRAM_IS_CONNECTED')
      expect(code(() => socket.send('x', 0, 1, port, HOST))).toBe('ERR_SOCKET_DGRAM_IS_CONNECTED')
    })

    it('is undone by `disconnect`', async () => {
      const peer = await bound()
      const socket = await bound()
      expect(code(() => socket.disconnect())).toBe('ERR_SOCKET_DGRAM_NOT_CONNECTED')
      expect(code(() => socket.remoteAddress())).toBe('ERR_SOCKET_DGRAM_NOT_CONNECTED')
      socket.connect(peer.address().port, HOST)
      await once(socket, 'connect')
      socket.disconnect()
      expect(code(() => socket.remoteAddress())).toBe('ERR_SOCKET_DGRAM_NOT_CONNECTED')
      expect(code(() => socket.send('x'))).toBe('ERR_SOCKET_BAD_PORT')
      socket.send('again', peer.address().port, HOST)
      expect((await message(peer))[0]).toBe('again')
    })

    it('refuses what is no port, or no address', () => {
      const socket = create()
      for (const port of [0, 65536, undefined, 'x', -1]) {
        expect(code(() => socket.connect(port as number))).toBe('ERR_SOCKET_BAD_PORT')
      }
      expect(code(() => socket.connect(1, 5 as never))).toBe('ERR_INVALID_ARG_TYPE')
    })

    it('tells by the callback, or else by an error, what has gone wrong', async () => {
      const lookup = ((host: string, _family: number, found: (error: Error | null, address?: string) => void) =>
        process.nextTick(() => (host === 'nobody' ? found(new Error('who?')) : found(null, HOST)))) as never
      const socket = create({ type: 'udp4', lookup })
      socket.bind(0, 'me')
      await once(socket, 'listening')
      const error = await new Promise<Error>((resolve) => socket.connect(9, 'nobody', resolve as () => void))
      expect(error.message).toBe('who?')
      socket.connect(9, 'nobody')
      expect(((await once(socket, 'error')) as Error[])[0]?.message).toBe('who?')
    })

    it('tells by an error that nobody is there', async () => {
      const gone = await bound()
      const { port } = gone.address()
      await gone[Symbol.asyncDispose]()
      const socket = await bound()
      socket.connect(port, HOST)
      await once(socket, 'connect')
      socket.send('anybody?')
      const [error] = await once(socket, 'error')
      expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'recvmsg' })
    })
  })

  describe('bindSync and connectSync', () => {
    it('do at once what the others do later', async () => {
      if (dgram === (nodeDgram as unknown) && !('bindSync' in dgram.Socket.prototype)) return expect(major).toBeLessThan(26)
      const peer = create()
      const address = peer.bindSync({ address: HOST })
      expect(address).toEqual(peer.address())
      await once(peer, 'listening')
      expect(code(() => peer.bindSync())).toBe('ERR_SOCKET_ALREADY_BOUND')
      const socket = create()
      socket.connectSync(address.port, HOST)
      expect(socket.remoteAddress()).toEqual(address)
      socket.send('hello')
      expect((await message(peer))[0]).toBe('hello')
      const third = create()
      expect(code(() => third.bindSync({ port: address.port, address: HOST }))).toBe('EADDRINUSE')
      expect(code(() => third.bindSync({ address: 'localhost' }))).toBe('ERR_INVALID_ARG_VALUE')
      expect(code(() => third.bindSync({ port: 70000 }))).toBe('ERR_SOCKET_BAD_PORT')
      expect(code(() => third.connectSync(0))).toBe('ERR_SOCKET_BAD_PORT')
      return undefined
    })
  })

  describe('close', () => {
    it('is over later, calls back, and happens once', async () => {
      const socket = await bound()
      let closed = 0
      expect(socket.close(() => closed++)).toBe(socket)
      expect(closed).toBe(0)
      await once(socket, 'close')
      expect(closed).toBe(1)
      expect(code(() => socket.close())).toBe('ERR_SOCKET_DGRAM_NOT_RUNNING')
    })

    it('leaves a socket that refuses everything', async () => {
      const socket = await bound()
      socket.close()
      for (const action of [
        () => socket.send('x', 9, HOST),
        () => socket.bind(),
        () => socket.address(),
        () => socket.setMulticastInterface(HOST),
        () => socket.addMembership(GROUP),
        () => socket.dropMembership(GROUP),
        () => socket.addSourceSpecificMembership(HOST, GROUP)
      ]) {
        expect(code(action)).toBe('ERR_SOCKET_DGRAM_NOT_RUNNING')
      }
      expect(code(() => socket.remoteAddress())).toBe('ERR_SOCKET_DGRAM_NOT_RUNNING')
      expect(code(() => socket.disconnect())).toMatch(/NOT_CONNECTED$/)
      expect(socket.ref()).toBe(socket)
      expect(socket.unref()).toBe(socket)
      await once(socket, 'close')
    })

    it('of a socket that is not bound only says so', async () => {
      const socket = create()
      socket.close()
      await once(socket, 'close')
    })

    it('while it is binding leaves it unbound', async () => {
      const socket = create()
      socket.bind(0, HOST, () => expect.unreachable())
      socket.close()
      await once(socket, 'close')
    })

    it('waits for what was sent before the socket was bound', async () => {
      const receiver = await bound()
      const socket = create()
      const outcome = sent((callback) => {
        socket.connect(receiver.address().port, HOST, () => {
          socket.send('last', callback)
          socket.close()
        })
      })
      expect((await message(receiver))[0]).toBe('last')
      expect(await outcome).toEqual({ error: null, bytes: 4 })
    })

    it('comes with the signal', async () => {
      const controller = new AbortController()
      const socket = await bound({ type: 'udp4', signal: controller.signal })
      controller.abort()
      await once(socket, 'close')
      const late = create({ type: 'udp4', signal: AbortSignal.abort() })
      await once(late, 'close')
    })

    it('comes with `await using`', async () => {
      const socket = await bound()
      await socket[Symbol.asyncDispose]()
      expect(code(() => socket.address())).toBe('ERR_SOCKET_DGRAM_NOT_RUNNING')
      await socket[Symbol.asyncDispose]()
    })
  })

  describe('options', () => {
    it('need a socket that is bound', () => {
      const socket = create()
      for (const action of [
        () => socket.setBroadcast(true),
        () => socket.setTTL(3),
        () => socket.setMulticastTTL(3),
        () => socket.setMulticastLoopback(true),
        () => socket.setMulticastInterface(HOST)
      ]) {
        expect(code(action)).toBe('EBADF')
      }
      expect(code(() => socket.getRecvBufferSize())).toBe('ERR_SOCKET_BUFFER_SIZE')
    })

    it('give back what was set', async () => {
      const socket = await bound()
      expect(socket.setTTL(16)).toBe(16)
      expect(socket.setMulticastTTL(0)).toBe(0)
      expect(socket.setMulticastLoopback(false)).toBe(false)
      expect(socket.setBroadcast(true)).toBe(undefined)
      expect(socket.setMulticastInterface(HOST)).toBe(undefined)
    })

    it('refuse what is out of range, or of another type', async () => {
      const socket = await bound()
      for (const ttl of [0, 256, NaN]) expect(code(() => socket.setTTL(ttl))).toBe('EINVAL')
      for (const ttl of [-1, 256]) expect(code(() => socket.setMulticastTTL(ttl))).toBe('EINVAL')
      expect(code(() => socket.setTTL('3' as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.setMulticastTTL(undefined as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.setMulticastInterface(4 as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.setMulticastInterface('lo'))).toBe('EINVAL')
      expect(code(() => socket.setMulticastInterface('10.99.99.99'))).toBe('EADDRNOTAVAIL')
      expect(code(() => socket.setMulticastInterface('::1'))).toBe('ENOPROTOOPT')
      expect(code(() => socket.setRecvBufferSize(-1))).toBe('ERR_SOCKET_BAD_BUFFER_SIZE')
      expect(code(() => socket.setSendBufferSize(0xffff_ffff))).toBe('ERR_SOCKET_BUFFER_SIZE')
    })

    it('say how large the buffers are', async () => {
      const socket = await bound()
      socket.setRecvBufferSize(8192)
      socket.setSendBufferSize(16_384)
      expect([socket.getRecvBufferSize(), socket.getSendBufferSize()]).toEqual([16_384, 32_768])
    })

    it('forbid broadcast until it is allowed', async () => {
      const socket = await bound()
      const forbidden = await sent((callback) => socket.send('x', 9, '127.255.255.255', callback))
      expect(forbidden.error).toMatchObject({ code: 'EACCES', syscall: 'send' })
      socket.setBroadcast(true)
      expect((await sent((callback) => socket.send('x', 9, '127.255.255.255', callback))).error).toBe(null)
    })
  })

  describe('multicast', () => {
    it('brings a member what is sent to the group, until it leaves', async () => {
      const member = await bound('udp4', '0.0.0.0')
      const sender = await bound()
      sender.setMulticastInterface(HOST)
      member.addMembership(GROUP, HOST)
      sender.send('to all', member.address().port, GROUP)
      expect((await message(member))[0]).toBe('to all')
      expect(code(() => member.addMembership(GROUP, HOST))).toBe('EADDRINUSE')
      member.dropMembership(GROUP, HOST)
      expect(code(() => member.dropMembership(GROUP, HOST))).toBe('EADDRNOTAVAIL')
    })

    it('of one source brings only what that one sends', async () => {
      const member = await bound('udp4', '0.0.0.0')
      const sender = await bound()
      sender.setMulticastInterface(HOST)
      member.addSourceSpecificMembership(HOST, '232.7.7.7', HOST)
      sender.send('to all', member.address().port, '232.7.7.7')
      expect((await message(member))[0]).toBe('to all')
      member.dropSourceSpecificMembership(HOST, '232.7.7.7', HOST)
      expect(code(() => member.dropSourceSpecificMembership(HOST, '232.7.7.7', HOST))).toBe('EINVAL')
    })

    it('refuses what is no group, no interface, or no source', async () => {
      const socket = await bound()
      expect(code(() => socket.addMembership('' as never))).toBe('ERR_MISSING_ARGS')
      expect(code(() => socket.dropMembership(undefined as never))).toBe('ERR_MISSING_ARGS')
      expect(code(() => socket.addMembership('256.256.256.256'))).toBe('EINVAL')
      expect(code(() => socket.addMembership(HOST, HOST))).toBe('EINVAL')
      expect(code(() => socket.addMembership(GROUP, 'lo'))).toBe('EINVAL')
      expect(code(() => socket.addMembership(GROUP, '10.99.99.99'))).toBe('ENODEV')
      expect(code(() => socket.addSourceSpecificMembership(1 as never, GROUP))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.addSourceSpecificMembership(HOST, null as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => socket.addSourceSpecificMembership('::1', '232.7.7.7', HOST))).toBe('EINVAL')
    })

    it('binds a socket that is not bound', async () => {
      const socket = create()
      socket.addMembership(GROUP, HOST)
      expect(socket.address()).toMatchObject({ address: '0.0.0.0' })
    })

    it('takes an interface of IPv6 by its zone', async () => {
      const socket = await bound('udp6', '::')
      socket.setMulticastInterface('::%lo')
      socket.addMembership('ff02::7777', '::%lo')
      expect(code(() => socket.addMembership('ff02::7777', '::%lo'))).toBe('EADDRINUSE')
      socket.dropMembership('ff02::7777', '::%lo')
      expect(code(() => socket.dropMembership('ff02::7777', '::%lo'))).toBe('EADDRNOTAVAIL')
      expect(code(() => socket.addMembership('ff02::7777', HOST))).toBe('EINVAL')
    })
  })
})

describe('a process with coreactor/dgram', () => {
  const MODULE = fileURLToPath(new URL('../dist/dgram.js', import.meta.url))

  function outputOf(module: string, body: string): { stdout: string; stderr: string; status: number | null } {
    const source = `import dgram from ${JSON.stringify(module)}\n${body}`
    return spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8', timeout: ENDS_MS })
  }

  describe.each([['node:dgram'], [MODULE]])('as with %s', (module) => {
    it('ends when its sockets are closed, or were never bound', () => {
      const { stdout, status } = outputOf(module, `
        dgram.createSocket('udp4')
        const socket = dgram.createSocket('udp4', (data) => { console.log(String(data)); socket.close() })
        socket.bind(0, '127.0.0.1', () => socket.send('hello', socket.address().port, '127.0.0.1'))
      `)
      expect([stdout, status]).toEqual(['hello\n', 0])
    })

    it('ends with an unreferenced socket that is bound', () => {
      const { stdout, status } = outputOf(module, `
        const socket = dgram.createSocket('udp4').unref()
        socket.bind(0, '127.0.0.1', () => console.log('bound'))
        dgram.createSocket('udp4').bind(0, '127.0.0.1', function () { this.unref(); this.ref(); this.unref() })
      `)
      expect([stdout, status]).toEqual(['bound\n', 0])
    })

    it('is kept alive by a socket that is bound, until it is unreferenced', () => {
      const { stdout, status } = outputOf(module, `
        const socket = dgram.createSocket('udp4')
        let turns = 0
        socket.bind(0, '127.0.0.1', () => setTimeout(() => { turns++; socket.unref() }, 50).unref())
        process.on('exit', () => console.log(turns))
      `)
      expect([stdout, status]).toEqual(['1\n', 0])
    })

    it('dies of an exception in a listener', () => {
      const { stderr, status } = outputOf(module, `
        const socket = dgram.createSocket('udp4', () => { throw new Error('oops') })
        socket.bind(0, '127.0.0.1', () => socket.send('hello', socket.address().port, '127.0.0.1'))
      `)
      expect([stderr.includes('oops'), status]).toEqual([true, 1])
    })

    it('goes on after an exception that somebody has caught, with what came meanwhile', () => {
      const { stdout, status } = outputOf(module, `
        process.on('uncaughtException', (error) => console.log(error.message))
        let count = 0
        const socket = dgram.createSocket('udp4', (data) => {
          if (++count === 3) socket.close()
          throw new Error(String(data))
        })
        socket.bind(0, '127.0.0.1', () => {
          for (const text of ['a', 'b', 'c']) socket.send(text, socket.address().port, '127.0.0.1')
        })
      `)
      expect([stdout, status]).toEqual(['a\nb\nc\n', 0])
    })
  })
})

describe('coreactor/dgram, other than node:dgram', () => {
  const { create, bound } = socketsOf(coreactorDgram)

  it('sends what it was given before it is closed', async () => {
    const receiver = await bound()
    const socket = await bound()
    const outcome = sent((callback) => socket.send('last', receiver.address().port, HOST, callback))
    socket.close()
    expect((await message(receiver))[0]).toBe('last')
    expect(await outcome).toEqual({ error: null, bytes: 4 })
  })

  it('keeps what the system has no room for, in order, and says how much it is', async () => {
    const receiver = await bound()
    const socket = await bound()
    const { port } = receiver.address()
    const outcomes: Promise<unknown>[] = []
    await withoutRoom(async () => {
      for (const text of ['one', 'two two']) outcomes.push(sent((callback) => socket.send(text, port, HOST, callback)))
      await nextTurn()
      expect([socket.getSendQueueSize(), socket.getSendQueueCount()]).toEqual([10, 2])
    })
    expect((await message(receiver))[0]).toBe('one')
    expect((await message(receiver))[0]).toBe('two two')
    expect(await Promise.all(outcomes)).toEqual([{ error: null, bytes: 3 }, { error: null, bytes: 7 }])
    expect(socket.getSendQueueSize()).toBe(0)
  })

  it('tells the callbacks of what still waits when it is closed that it is not sent', async () => {
    const socket = await bound()
    await withoutRoom(async () => {
      const outcome = sent((callback) => socket.send('x', 9, HOST, callback))
      await nextTurn()
      socket.close()
      expect(await outcome).toMatchObject({ error: { code: 'ECANCELED', syscall: 'send', address: HOST, port: 9 } })
    })
  })

  it('says that it is closed, where Node has a TypeError of its own inner workings', async () => {
    const socket = create()
    socket.close()
    for (const action of [
      () => socket.setTTL(1),
      () => socket.setBroadcast(true),
      () => socket.getRecvBufferSize(),
      () => socket.getSendQueueSize(),
      () => socket.connect(9)
    ]) {
      expect(code(action)).toBe('ERR_SOCKET_DGRAM_NOT_RUNNING')
    }
    await once(socket, 'close')
  })

  it('keeps a port of the system\'s choice when it is disconnected', async () => {
    const peer = await bound()
    const socket = create()
    socket.connect(peer.address().port, HOST)
    await once(socket, 'connect')
    const { port } = socket.address()
    socket.disconnect()
    expect(socket.address().port).toBe(port)
    peer.send('still there', port, HOST)
    expect((await message(socket))[0]).toBe('still there')
  })
})
