/** Unix sockets that carry messages, on both kernels. What files, descriptors and workers have to do with it is in unix.test.ts. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  ClosedError,
  connect,
  listen,
  MessageTruncatedError,
  spawn,
  unixDatagram,
  type Coroutine,
  type SeqpacketConnection,
  type UnixDatagramSocket
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { linux } from './here.js'
import { caught, onEveryKernel, type TestKernel } from './support.js'

let names = 0
const somewhere = (): string => join(tmpdir(), `coreactor-messages-${process.pid}-${names++}.sock`)

function* packetPair(): Coroutine<[client: SeqpacketConnection, server: SeqpacketConnection]> {
  const path = somewhere()
  const listener = yield* listen({ path, type: 'seqpacket' })
  const accepting = spawn(() => listener.accept())
  const client = yield* connect({ path, type: 'seqpacket' })
  const server = yield* accepting
  yield* listener.close()
  return [client, server]
}

const connections = (kernel: TestKernel): void => {
  it('what was sent apart stays apart, also what is empty, until the end', () =>
    kernel.run(function* () {
      const [client, server] = yield* packetPair()
      for (const text of ['one', '', 'three', '']) yield* client.send(text)
      yield* client.closeWrite()
      const texts: string[] = []
      for (let message; (message = yield* server.receive()) !== null; ) texts.push(String(message))
      expect(texts).toEqual(['one', '', 'three', ''])
      yield* server.send('answer')
      expect(String(yield* client.receive())).toBe('answer')
      yield* client.close()
      yield* server.close()
    }))

  it('says what was cut off, and goes on with the next', () =>
    kernel.run(function* () {
      const [client, server] = yield* packetPair()
      yield* client.send('12345678')
      yield* client.send('next')
      const error = yield* caught(() => server.receive(4))
      expect([error instanceof MessageTruncatedError, String((error as MessageTruncatedError).data)]).toEqual([true, '1234'])
      expect(String(yield* server.receive())).toBe('next')
      yield* client.close()
      yield* server.close()
    }))

  it('a sender waits for room; nothing is cut, and nothing is lost', () =>
    kernel.run(function* () {
      const [client, server] = yield* packetPair()
      let sent = 0
      const sending = spawn(function* () {
        for (; sent < 1000; sent++) yield* client.send(Buffer.alloc(1000, sent % 256))
        yield* client.closeWrite()
      })
      yield* allParked()
      expect(sent).toBeLessThan(1000)
      for (let i = 0; i < 1000; i++) expect((yield* server.receive())?.equals(Buffer.alloc(1000, i % 256))).toBe(true)
      expect(yield* server.receive()).toBeNull()
      yield* sending
      yield* client.close()
      yield* server.close()
    }))

  it('who connects with streams to messages is refused', () =>
    kernel.run(function* () {
      const path = somewhere()
      const listener = yield* listen({ path, type: 'seqpacket' })
      expect((yield* caught(() => connect({ path }))).code).toBe('EPROTOTYPE')
      yield* listener.close()
      expect((yield* caught(() => connect({ path, type: 'seqpacket' }))).code).toMatch(/^(ECONNREFUSED|ENOENT)$/)
    }))
}

const datagrams = (kernel: TestKernel): void => {
  function* opened(): Coroutine<[here: UnixDatagramSocket, there: UnixDatagramSocket, path: string]> {
    const path = somewhere()
    return [yield* unixDatagram({ path: somewhere() }), yield* unixDatagram({ path }), path]
  }

  it('come whole, also empty, with the name of who has sent them, who can be answered', () =>
    kernel.run(function* () {
      const [here, there, path] = yield* opened()
      for (const text of ['one', '', 'three']) yield* here.send(text, { path })
      for (const text of ['one', '', 'three']) {
        const { data, address, truncated } = yield* there.recv()
        expect([String(data), address.path, truncated]).toEqual([text, here.localAddress?.path, false])
        yield* there.send(`${text}!`, { path: address.path })
        expect(String((yield* here.recv()).data)).toBe(`${text}!`)
      }
      const nameless = yield* unixDatagram()
      yield* nameless.send('12345678', { path })
      const { data, address, truncated } = yield* there.recv({ maxBytes: 4 })
      expect([String(data), address.path, truncated]).toEqual(['1234', '', true])
      for (const socket of [here, there, nameless]) yield* socket.close()
    }))

  it('a sender waits for room, with a peer or without', () =>
    kernel.run(function* () {
      for (const connected of [true, false]) {
        const [here, there, path] = yield* opened()
        if (connected) yield* here.connect(path)
        let sent = 0
        const sending = spawn(function* () {
          for (; sent < 1000; sent++) yield* here.send(Buffer.alloc(1000, sent % 256), connected ? {} : { path })
        })
        yield* allParked()
        expect(sent).toBeLessThan(1000)
        for (let i = 0; i < 1000; i++) expect((yield* there.recv()).data.equals(Buffer.alloc(1000, i % 256))).toBe(true)
        yield* sending
        yield* here.close()
        yield* there.close()
      }
    }))

  it('a name that nobody has is an error of sending and of connecting, and one that somebody has, of opening', () =>
    kernel.run(function* () {
      const [here, there, path] = yield* opened()
      expect((yield* caught(() => unixDatagram({ path }))).code).toBe('EADDRINUSE')
      yield* there.close()
      for (const use of [() => here.send('x', { path }), () => here.connect(path)]) {
        expect((yield* caught(use)).code).toMatch(/^(ECONNREFUSED|ENOENT)$/)
      }
      expect((yield* caught(() => here.send('x'))).code).toBe('ENOTCONN')
      const again = yield* unixDatagram({ path })
      yield* again.close()
      yield* here.close()
      expect(yield* caught(() => here.recv())).toBeInstanceOf(ClosedError)
    }))
}

if (linux) onEveryKernel('A connection of messages', connections)
onEveryKernel('Unix datagrams', datagrams)
