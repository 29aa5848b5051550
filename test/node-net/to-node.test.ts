/** Between connections and streams of Node's, in both directions, and web streams. */
import { once } from 'node:events'
import { connect as nodeConnect, createServer, Socket as NodeSocket } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { BusyError, ClosedError, detach, fromNode, run, spawn, timeout, TimeoutError, toNode, toWeb, until, type Coroutine } from 'coreactor'
import { memoryPair, MemoryKernel } from 'coreactor/testing'
import { caught, pair } from '../support.js'
import { closeOf, noted, thrown } from './both.js'

it('toNode: a socket over a connection, whose end closes both', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const socket = toNode(server)
    expect([socket.readyState, socket.remotePort, socket.localPort]).toEqual(['open', client.localAddress?.port, client.remoteAddress?.port])
    const closed = closeOf(socket)
    yield* client.write('question')
    yield* client.closeWrite()
    expect(yield* until(text(socket))).toBe('question')
    yield* until(closed)
    expect(server.closed).toBe(true)
    yield* client.close()
  })
})

it('toNode: what was read too much comes first', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    yield* client.write('line\nrest')
    yield* client.closeWrite()
    expect(yield* server.readLine()).toBe('line')
    const socket = toNode(server)
    const closed = closeOf(socket)
    expect(yield* until(text(socket))).toBe('rest')
    yield* until(closed)
    yield* client.close()
  })
})

it('toNode: the owner who closes the connection closes the socket', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const socket = toNode(server)
    const events = noted(socket, 'error', 'close')
    const closed = closeOf(socket)
    socket.resume()
    expect(yield* caught(() => server.readSome())).toBeInstanceOf(BusyError)
    yield* server.close()
    yield* until(closed)
    expect(events).toEqual(['close false'])
    yield* client.close()
  })
})

it('toNode: works in memory, too', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* (): Coroutine<void> {
      const { client, server } = memoryPair()
      const socket = toNode(server)
      const closed = closeOf(socket)
      socket.end('from memory')
      socket.resume()
      expect(String(yield* client.readExactly(11))).toBe('from memory')
      yield* client.close()
      yield* until(closed)
    },
    { kernel }
  )
  expect(kernel.openSockets).toBe(0)
})

it('bad arguments are refused', () => {
  for (const wrap of [toNode, fromNode, toWeb, detach]) expect(thrown(() => wrap({} as never))).toBe('ERR_INVALID_ARG_TYPE')
})

async function nodePair(): Promise<[NodeSocket, NodeSocket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = nodeConnect({ port: (server.address() as { port: number }).port, host: '127.0.0.1', allowHalfOpen: true })
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [[NodeSocket], unknown]
  server.close()
  return [client, peer]
}

it('fromNode: lines, half-close, the end, and a deadline that loses nothing', async () => {
  await run(function* () {
    const [client, peer] = yield* until(nodePair())
    const stream = fromNode(peer)
    const failure = yield* caught(() =>
      timeout(5, function* () {
        return yield* stream.readLine()
      })
    )
    expect(failure).toBeInstanceOf(TimeoutError)
    client.write('one\ntwo\n')
    client.end('three')
    const lines: string[] = []
    for (let line; (line = yield* stream.readLine()) !== null; ) lines.push(line)
    expect(lines).toEqual(['one', 'two', 'three'])
    yield* stream.write('answer')
    yield* stream.closeWrite()
    expect(yield* until(text(client))).toBe('answer')
    yield* stream.close()
    expect(yield* caught(() => stream.readSome())).toBeInstanceOf(ClosedError)
  })
})

it('fromNode: a writer waits for a reader, and an error of the stream is thrown by who waits', async () => {
  await run(function* () {
    const [client, peer] = yield* until(nodePair())
    const stream = fromNode(peer)
    const writing = spawn(function* () {
      return yield* caught(() => stream.write(Buffer.alloc(64 << 20)))
    })
    client.pause()
    client.once('readable', () => setImmediate(() => client.resetAndDestroy()))
    expect(yield* writing).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) })
    stream.reset()
    expect(peer.destroyed).toBe(true)
  })
})

it('detach: Node has the fd, with what was unread, and sends what was written', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    yield* client.write('line\nunread')
    expect(yield* server.readLine()).toBe('line')
    yield* server.write('written before')
    const socket = yield* detach(server)
    expect(socket).toBeInstanceOf(NodeSocket)
    expect([server.closed, server.fd]).toEqual([true, -1])
    expect(String(yield* client.readExactly(14))).toBe('written before')
    yield* client.closeWrite()
    const closed = closeOf(socket)
    expect(yield* until(text(socket))).toBe('unread')
    yield* until(closed)
    expect(yield* client.readSome()).toBe(null)
    yield* client.close()
    expect(yield* caught(() => detach(server))).toBeInstanceOf(ClosedError)
  })
})

it('toWeb: bytes into the reader\'s own memory, text out, and both ends close the connection', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const { readable, writable } = toWeb(server)
    yield* client.write('0123456789')
    const reader = readable.getReader({ mode: 'byob' })
    const first = yield* until(reader.read(new Uint8Array(4)))
    expect(Buffer.from(first.value as Uint8Array).toString()).toBe('0123')
    reader.releaseLock()
    yield* client.closeWrite()
    let rest = ''
    const chunks = readable.getReader()
    for (let each; !(each = yield* until(chunks.read())).done; ) rest += Buffer.from(each.value).toString()
    expect(rest).toBe('456789')
    const writer = writable.getWriter()
    void writer.write('text and ')
    void writer.write(new Uint8Array([33]))
    yield* until(writer.close())
    expect(String(yield* client.readExactly(10))).toBe('text and !')
    expect(yield* client.readSome()).toBe(null)
    yield* client.close()
  })
})

it('toWeb: cancelling stops reading, aborting resets', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const { readable, writable } = toWeb(server)
    const reader = readable.getReader()
    const reading = reader.read()
    yield* until(reader.cancel('enough'))
    expect((yield* until(reading)).done).toBe(true)
    yield* until(writable.abort())
    expect(yield* caught(() => client.readSome())).toMatchObject({ code: 'ECONNRESET' })
    yield* client.close()
  })
})
