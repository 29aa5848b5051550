/** A connected socket: bytes, ends, errors and the order of events. */
import { once } from 'node:events'
import { createHash, randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { closeOf, everything, nextTurn, noted, onBoth, pairOf, portOf, connecting, listening, thrown } from './both.js'

onBoth((net) => {
  it('what is written arrives, in order, in whatever encoding it was given', async () => {
    const { client, peer } = await pairOf(net)
    client.write('é', 'utf8')
    client.write('é', 'latin1')
    client.write('ff00', 'hex')
    client.write('aGk=', 'base64')
    client.write('é', 'utf16le')
    client.write(Buffer.from('buffer'))
    client.write(new Uint8Array([1, 2]))
    client.end('!')
    expect(Buffer.from(await everything(peer), 'latin1')).toEqual(
      Buffer.concat([
        Buffer.from('é'), Buffer.from('é', 'latin1'), Buffer.from('ff00', 'hex'), Buffer.from('hi'),
        Buffer.from('é', 'utf16le'), Buffer.from('buffer'), Buffer.from([1, 2]), Buffer.from('!')
      ])
    )
  })

  it('what is corked goes out when it is uncorked', async () => {
    const { client, peer } = await pairOf(net)
    const received: string[] = []
    peer.on('data', (chunk) => received.push(String(chunk)))
    client.cork()
    for (const part of ['head', Buffer.from(' '), 'bödy', Buffer.from('!')]) client.write(part)
    await nextTurn()
    expect(received).toEqual([])
    client.uncork()
    await once(peer, 'data')
    expect(received.join('')).toBe('head bödy!')
  })

  it('a surrogate pair that two corked writes cut in two stays two halves', async () => {
    const { client, peer } = await pairOf(net)
    client.cork()
    client.write('\ud83d')
    client.write('\ude00')
    client.uncork()
    client.end()
    expect(await everything(peer)).toBe('\u00ef\u00bf\u00bd\u00ef\u00bf\u00bd')
  })

  it('32 MiB arrive whole through a peer that reads in bursts', async () => {
    const { client, peer } = await pairOf(net)
    const block = randomBytes(1 << 20)
    const [sent, got] = [createHash('sha1'), createHash('sha1')]
    peer.on('data', (chunk) => {
      got.update(chunk)
      if (Math.abs(chunk.length) % 3 === 0) {
        peer.pause()
        setImmediate(() => peer.resume())
      }
    })
    const end = once(peer, 'end')
    for (let i = 0; i < 32; i++) {
      sent.update(block)
      if (!client.write(block)) await once(client, 'drain')
    }
    client.end()
    await end
    expect(got.digest('hex')).toBe(sent.digest('hex'))
    expect([client.bytesWritten, peer.bytesRead]).toEqual([32 << 20, 32 << 20])
  })

  it('a peer that does not read holds the writer up', async () => {
    const { client, peer } = await pairOf(net)
    peer.pause()
    const block = Buffer.alloc(1 << 20)
    let written = 0
    while (client.write(block)) written++
    expect(written).toBeLessThan(64)
    for (let i = 0; i < 64; i++) client.write(block)
    await nextTurn()
    expect(client.writableNeedDrain).toBe(true)
    expect(client.writableLength).toBeGreaterThan(0)
    expect(client.bufferSize).toBe(client.writableLength)
    peer.resume()
    await once(client, 'drain')
    expect(client.writableLength).toBe(0)
  })

  it('write callbacks are called in order, once the system has the bytes', async () => {
    const { client, peer } = await pairOf(net)
    peer.resume()
    const order: string[] = []
    client.write('a', () => order.push(`a ${client.bytesWritten}`))
    client.write('b', () => order.push('b'))
    client.end('c', () => order.push('end'))
    client.on('finish', () => order.push('finish'))
    await closeOf(client)
    expect(order).toEqual(['a 3', 'b', 'end', 'finish'])
  })

  it('the end of one side ends the other, unless half-open sockets are allowed', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(peer, 'end', 'finish', 'close', 'error')
    peer.resume()
    client.resume()
    client.end()
    await Promise.all([closeOf(client), closeOf(peer)])
    expect(events).toEqual(['end', 'finish', 'close false'])
  })

  it('a half-open socket still writes after the peer has ended, and closes when it has ended, too', async () => {
    const { client, peer } = await pairOf(net, { allowHalfOpen: true })
    expect(peer.allowHalfOpen).toBe(true)
    const events = noted(peer, 'end', 'finish', 'close')
    const closed = Promise.all([closeOf(client), closeOf(peer)])
    peer.resume()
    client.end('question')
    await once(peer, 'end')
    expect(peer.readyState).toBe('writeOnly')
    peer.write('answer')
    setImmediate(() => peer.end('.'))
    expect(await everything(client)).toBe('answer.')
    await closed
    expect(events).toEqual(['end', 'finish', 'close false'])
  })

  it('the end waits until what came before it has been read', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(peer, 'data', 'end', 'close')
    peer.pause()
    client.end('unread')
    await once(client, 'finish')
    await nextTurn()
    expect(events).toEqual([])
    peer.resume()
    await closeOf(peer)
    expect(events).toEqual(['data', 'end', 'close false'])
  })

  it('a write after the peer has ended is EPIPE', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(peer, 'error', 'close')
    peer.resume()
    client.end()
    await once(peer, 'end')
    const closed = closeOf(peer)
    const told = new Promise<Error>((resolve) => peer.write('late', (error) => resolve(error as Error)))
    expect(await told).toMatchObject({ code: expect.stringMatching(/EPIPE|ERR_STREAM_WRITE_AFTER_END/) })
    await closed
    expect(events[0]).toMatch(/^error/)
    expect(events.at(-1)).toBe('close true')
  })

  it('a write after end is an error, and closes the socket', async () => {
    const { client } = await pairOf(net)
    const events = noted(client, 'error', 'close')
    client.end()
    client.write('late')
    await closeOf(client)
    expect(events).toEqual(['error ERR_STREAM_WRITE_AFTER_END', 'close true'])
  })

  it('destroy closes at once, and says so once', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(client, 'end', 'finish', 'error', 'close')
    peer.resume()
    client.destroy()
    client.destroy()
    expect([client.destroyed, client.pending, client.readyState, client.writable, client.readable]).toEqual([
      true, true, 'closed', false, false
    ])
    await closeOf(peer)
    await nextTurn()
    expect(events).toEqual(['close false'])
  })

  it('destroy with an error tells of it, and only then of the close', async () => {
    const { client } = await pairOf(net)
    const events = noted(client, 'error', 'close')
    client.destroy(Object.assign(new Error('mine'), { code: 'MINE' }))
    expect(events).toEqual([])
    await closeOf(client)
    expect(events).toEqual(['error MINE', 'close true'])
  })

  it('what was written before destroy is sent', async () => {
    const { client, peer } = await pairOf(net)
    client.write('last words')
    client.destroy()
    expect(await everything(peer)).toBe('last words')
  })

  it('destroySoon sends what was written, and the end', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(client, 'finish', 'close')
    const closed = closeOf(client)
    client.write('all of it')
    client.destroySoon()
    expect(await everything(peer)).toBe('all of it')
    await closed
    expect(events).toEqual(['finish', 'close false'])
  })

  it('resetAndDestroy resets, and the peer sees ECONNRESET', async () => {
    const { client, peer } = await pairOf(net)
    const [mine, theirs] = [noted(client, 'error', 'close'), noted(peer, 'error', 'end', 'close')]
    peer.resume()
    expect(client.resetAndDestroy()).toBe(client)
    await closeOf(peer)
    await nextTurn()
    expect([mine, theirs]).toEqual([['close false'], ['error ECONNRESET', 'close true']])
  })

  it('a read error has the properties of a system error', async () => {
    const { client, peer } = await pairOf(net)
    const failed = once(peer, 'error')
    peer.resume()
    client.resetAndDestroy()
    const [error] = (await failed) as [NodeJS.ErrnoException]
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ code: 'ECONNRESET', errno: -104, syscall: 'read' })
  })

  it('resetAndDestroy of a socket that is closed is ERR_SOCKET_CLOSED', async () => {
    const socket = new net.Socket()
    const events = noted(socket, 'error', 'close')
    socket.resetAndDestroy()
    await closeOf(socket)
    expect(events).toEqual(['error ERR_SOCKET_CLOSED', expect.stringMatching(/^close/)])
  })

  it('writing to a connection that was reset is an error that the callback is told', async () => {
    const { client, peer } = await pairOf(net)
    const events = noted(client, 'error', 'close')
    peer.resetAndDestroy()
    const told: unknown[] = []
    const close = closeOf(client)
    const pump = (): void => void client.write('x', (error) => (error ? told.push((error as NodeJS.ErrnoException).code) : setImmediate(pump)))
    pump()
    await close
    expect(events[0]).toMatch(/^error (EPIPE|ECONNRESET)$/)
    expect(events[1]).toBe('close true')
    await nextTurn()
    expect(told).toHaveLength(1)
  })

  it('a socket that was paused receives nothing until it is resumed', async () => {
    const { client, peer } = await pairOf(net)
    const received: string[] = []
    peer.on('data', (chunk) => received.push(String(chunk)))
    peer.pause()
    client.write('x')
    await nextTurn()
    await nextTurn()
    expect([received, peer.isPaused()]).toEqual([[], true])
    peer.resume()
    await once(peer, 'data')
    expect(received).toEqual(['x'])
  })

  it('an unread flood stops at the high-water mark', async () => {
    const { client, peer } = await pairOf(net, { highWaterMark: 1000 } as object)
    expect([peer.readableHighWaterMark, peer.writableHighWaterMark]).toEqual([1000, 1000])
    client.write(Buffer.alloc(4 << 20))
    await once(peer, 'readable')
    await nextTurn()
    await nextTurn()
    expect(peer.readableLength).toBeGreaterThanOrEqual(1000)
    expect(peer.readableLength).toBeLessThanOrEqual(1000 + 64 * 1024)
    peer.resume()
    client.end()
    await once(peer, 'end')
    expect(peer.bytesRead).toBe(4 << 20)
  })

  it('can be read as an async iterable, with read(), and by pipeline', async () => {
    const { client, peer } = await pairOf(net, { allowHalfOpen: true })
    client.end('iterated')
    expect(await text(peer)).toBe('iterated')
    const server = await listening(net, {}, (socket) => void pipeline(socket, socket).catch(() => {}))
    const echo = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    echo.end('piped')
    const into = new PassThrough()
    await pipeline(echo, into)
    expect(String(into.read())).toBe('piped')
  })

  it('finished sees the end, and a premature close', async () => {
    const { client, peer } = await pairOf(net)
    peer.resume()
    client.resume()
    client.end()
    await finished(client)
    const second = await pairOf(net)
    second.client.resume()
    second.peer.destroy()
    await finished(second.client)
    const third = await pairOf(net)
    third.client.destroy()
    await expect(finished(third.client)).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' })
  })

  it('setTimeout tells of idleness, and of nothing that is not', async () => {
    const { client, peer } = await pairOf(net)
    peer.resume()
    const order: string[] = []
    expect(client.setTimeout(40, () => order.push('callback'))).toBe(client)
    expect(client.timeout).toBe(40)
    const idle = once(client, 'timeout')
    client.on('timeout', () => order.push('timeout'))
    await idle
    expect(order).toEqual(['callback', 'timeout'])
    expect(client.destroyed).toBe(false)
    client.setTimeout(0)
    expect(client.timeout).toBe(0)
  })

  it('a timeout fires again after more has been done, and not while nothing is', async () => {
    const { client, peer } = await pairOf(net)
    let count = 0
    client.setTimeout(20)
    client.on('timeout', () => count++)
    await once(client, 'timeout')
    peer.write('x')
    await once(client, 'data')
    client.setTimeout(20)
    await once(client, 'timeout')
    expect(count).toBe(2)
  })

  it('a callback of setTimeout can be taken back', async () => {
    const { client } = await pairOf(net)
    const callback = (): void => {}
    client.setTimeout(10_000, callback)
    client.setTimeout(0, callback)
    expect(client.listenerCount('timeout')).toBe(0)
    client.destroy()
    expect(client.setTimeout(10)).toBe(client)
  })

  it('bad timeouts are refused', async () => {
    const { client } = await pairOf(net)
    expect(thrown(() => client.setTimeout('5' as never))).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown(() => client.setTimeout(-1))).toBe('ERR_OUT_OF_RANGE')
    expect(thrown(() => client.setTimeout(NaN))).toBe('ERR_OUT_OF_RANGE')
    expect(thrown(() => client.setTimeout(10, 'no' as never))).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown(() => client.setTimeout(0, {} as never))).toBe('ERR_INVALID_ARG_TYPE')
    client.setTimeout(0)
  })

  it('the setters give the socket back, connected or not', async () => {
    const { client } = await pairOf(net)
    for (const socket of [client, new net.Socket()]) {
      expect(socket.setNoDelay()).toBe(socket)
      expect(socket.setNoDelay(false)).toBe(socket)
      expect(socket.setKeepAlive()).toBe(socket)
      expect(socket.setKeepAlive(true, 5000)).toBe(socket)
      expect(socket.ref()).toBe(socket)
      expect(socket.unref()).toBe(socket)
      socket.ref()
      socket.destroy()
    }
  })

  it('both sides know their addresses, and the peer is known after the end', async () => {
    const { client, peer, server } = await pairOf(net)
    expect(client.remotePort).toBe(portOf(server))
    expect([client.remoteAddress, client.remoteFamily, client.localAddress, client.localFamily]).toEqual([
      '127.0.0.1', 'IPv4', '127.0.0.1', 'IPv4'
    ])
    expect(client.address()).toEqual({ address: '127.0.0.1', family: 'IPv4', port: client.localPort })
    expect([peer.remotePort, peer.localPort]).toEqual([client.localPort, portOf(server)])
    const { remotePort } = peer
    peer.destroy()
    expect([peer.remotePort, peer.remoteAddress, peer.localPort, peer.localAddress]).toEqual([
      remotePort, '127.0.0.1', undefined, undefined
    ])
    expect(peer.address()).toEqual({})
  })

  it('states and counts of a socket that was never connected', async () => {
    const socket = new net.Socket()
    expect([socket.connecting, socket.pending, socket.destroyed, socket.readyState]).toEqual([false, true, false, 'open'])
    expect([socket.bytesRead, socket.bytesWritten, socket.bufferSize, socket.timeout]).toEqual([0, 0, undefined, undefined])
    expect([socket.remoteAddress, socket.remotePort, socket.localAddress, socket.address()]).toEqual([
      undefined, undefined, undefined, {}
    ])
    const events = noted(socket, 'error', 'close')
    socket.destroy()
    await closeOf(socket)
    expect(events).toEqual(['close'])
  })

  it('a write to a socket that is not connecting fails', async () => {
    const socket = new net.Socket()
    const events = noted(socket, 'error', 'close')
    socket.write('nowhere', (error) => events.push(`told ${(error as NodeJS.ErrnoException).code}`))
    await closeOf(socket)
    expect(events.sort()).toEqual([expect.stringMatching(/^close/), 'error ERR_SOCKET_CLOSED', 'told ERR_SOCKET_CLOSED'])
  })

  it('bytesWritten counts what waits in the stream', async () => {
    const { client, peer } = await pairOf(net)
    peer.pause()
    const block = Buffer.alloc(1 << 20)
    for (let i = 0; i < 32; i++) client.write(block)
    client.write('é')
    expect(client.bytesWritten).toBe((32 << 20) + 2)
    client.destroy()
    await closeOf(client)
  })

  it('a listener of data that throws each time gets all of it', async () => {
    const { client, peer } = await pairOf(net, { pauseOnConnect: true })
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    let thrown = 0
    const note = (): void => void thrown++
    process.on('uncaughtException', note)
    try {
      let [received, chunks] = [0, 0]
      peer.on('data', (chunk) => {
        received += chunk.length
        chunks++
        throw new Error('thrown by a listener')
      })
      const size = 400_000
      client.write(Buffer.alloc(size))
      await nextTurn()
      peer.resume()
      while (received < size || thrown < chunks) await nextTurn()
    } finally {
      process.off('uncaughtException', note)
      for (const other of others) process.on('uncaughtException', other)
    }
  })

  it('an error that a listener throws is an uncaught exception, and the socket goes on', async () => {
    const { client, peer } = await pairOf(net)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const uncaught = once(process, 'uncaughtException')
    try {
      peer.once('data', () => {
        throw new Error('thrown by a listener')
      })
      client.write('first')
      expect(((await uncaught) as [Error])[0].message).toBe('thrown by a listener')
    } finally {
      for (const other of others) process.on('uncaughtException', other)
    }
    client.write('second')
    const [chunk] = (await once(peer, 'data')) as [Buffer]
    expect(String(chunk)).toBe('second')
  })
})
