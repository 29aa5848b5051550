/** Pipes, socket pairs, Unix sockets and UDP on a kernel that fails, at every call in turn. What is sent arrives, or somebody is told. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  connect,
  DatagramSlab,
  listen,
  pipe,
  ReceivedFd,
  run,
  scope,
  serve,
  socketPair,
  spawn,
  timeout,
  udp,
  unixDatagram,
  type Connection,
  type Coroutine,
  type DatagramSocket,
  type Op
} from 'coreactor'
import { FaultyKernel, type Faults, type FaultyOperation } from 'coreactor/testing'
import { atEveryCall, CLOSING, HANGS_MS, RELUCTANT, type Failure, type Program } from './at-every-call.js'
import { untilParked } from './conformance/check-stream.js'
import { linux } from './here.js'
import { caught, pair, pattern, readAll } from './support.js'

const PATTERN = pattern(100_000)

/** More than one read takes in: then it is spliced, where that can be done. */
const FLOOD = pattern(400_000)

let directory: string
/** A file of FLOOD. */
let file: number
let names = 0

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'file')
  writeFileSync(path, FLOOD)
  file = openSync(path, 'r')
})

afterAll(() => {
  closeSync(file)
  rmSync(directory, { recursive: true, force: true })
})

const somewhere = (): string => join(directory, `${names++}.sock`)

/** Closes all of them, whatever becomes of `body`, and has what it spawned end before. */
function* closing(all: readonly { close(): Op<void>; reset?(): void }[], body: () => Coroutine<void>): Coroutine<void> {
  try {
    yield* scope(body)
    for (const each of all) yield* each.close()
  } finally {
    for (const each of all) {
      // What is a stream does not wait for the other side here.
      if (each.reset !== undefined) each.reset()
      else yield* each.close()
    }
  }
}

function expectSame(received: Uint8Array | undefined, sent: Uint8Array): void {
  if (received === undefined || Buffer.compare(received, sent) !== 0) throw new Error('what came is not what was sent')
}

const ADD: Failure = { operation: 'add', told: ['ENOMEM', 'ENOSPC'], syscalls: ['epoll_ctl'] }

// Pipes and socket pairs ----------------------------------------------------------------------------------------

function* throughPipe(): Coroutine<void> {
  const { reader, writer } = yield* pipe()
  yield* closing([writer as Connection, reader as Connection], function* () {
    const writing = spawn(function* () {
      yield* writer.write('small')
      yield* writer.write([PATTERN.subarray(0, 10), PATTERN.subarray(10)])
      yield* writer.close()
    })
    expectSame(yield* readAll(reader), Buffer.concat([Buffer.from('small'), PATTERN]))
    yield* writing
  })
}

function* throughSocketPair(): Coroutine<void> {
  const [first, second] = yield* socketPair()
  yield* closing([first, second], function* () {
    const writing = spawn(function* () {
      yield* first.write([PATTERN.subarray(0, 10), PATTERN.subarray(10)])
      yield* first.closeWrite()
    })
    const echoing = spawn(function* () {
      yield* second.write(yield* readAll(second))
      yield* second.closeWrite()
      yield* second.close()
    })
    expectSame(yield* readAll(first), PATTERN)
    yield* writing
    yield* echoing
  })
}

const PIPES: readonly Failure[] = [
  { operation: 'pipe', told: ['EMFILE', 'ENFILE'], syscalls: ['pipe'] },
  ADD,
  { operation: 'read', told: ['EIO'], survived: RELUCTANT, syscalls: ['read'] },
  { operation: 'write', told: ['EPIPE'], survived: RELUCTANT, syscalls: ['write'] },
  { operation: 'writeVector', told: ['EPIPE'], survived: RELUCTANT, syscalls: ['write'] },
  ...CLOSING
]

const STREAM_CALLS: readonly Failure[] = [
  { operation: 'receive', told: ['ECONNRESET', 'ENOMEM'], survived: RELUCTANT, syscalls: ['read'] },
  { operation: 'send', told: ['EPIPE', 'ENOBUFS'], survived: RELUCTANT, syscalls: ['write'] },
  { operation: 'sendVector', told: ['EPIPE', 'ENOBUFS'], survived: RELUCTANT, syscalls: ['write'] },
  { operation: 'shutdown', told: ['ENOTCONN', 'ENOBUFS'], syscalls: ['shutdown', 'read'] }
]

const SOCKET_PAIRS: readonly Failure[] = [
  { operation: 'socketPair', told: ['EMFILE', 'ENFILE'], syscalls: ['socketpair'] },
  ADD,
  ...STREAM_CALLS,
  ...CLOSING
]

for (const inMemory of [true, false]) {
  atEveryCall('a pipe', throughPipe, PIPES, inMemory)
  atEveryCall('a socket pair', throughSocketPair, SOCKET_PAIRS, inMemory)
}

// From one descriptor to another --------------------------------------------------------------------------------

/** From a socket to a socket, through a pipe of the kernel's. */
function* moving(): Coroutine<void> {
  const [source, sourceEnd] = yield* socketPair()
  yield* closing([source, sourceEnd], function* () {
    const [targetEnd, target] = yield* socketPair()
    yield* closing([target, targetEnd], function* () {
      const writing = spawn(function* () {
        yield* source.write(FLOOD)
        yield* source.closeWrite()
      })
      const moving = spawn(() => sourceEnd.pipeTo(targetEnd))
      expectSame(yield* readAll(target), FLOOD)
      yield* writing
      expect(yield* moving).toBe(FLOOD.length)
    })
  })
}

function* sending(): Coroutine<void> {
  const [first, second] = yield* socketPair()
  yield* closing([first, second], function* () {
    const sending = spawn(function* () {
      yield* first.write('before')
      expect(yield* first.sendFile(file)).toBe(FLOOD.length)
      yield* first.closeWrite()
    })
    expectSame(yield* readAll(second), Buffer.concat([Buffer.from('before'), FLOOD]))
    yield* sending
  })
}

for (const inMemory of [true, false]) {
  atEveryCall(
    'moving from one stream to another',
    moving,
    [
      { operation: 'receive', told: ['ECONNRESET'], survived: RELUCTANT, syscalls: ['read'] },
      { operation: 'send', told: ['EPIPE'], survived: RELUCTANT, syscalls: ['write'] },
      // It can be done without.
      { operation: 'transferPipe', told: [], survived: ['EMFILE'], syscalls: [] },
      { operation: 'splice', told: ['ENOMEM'], survived: [...RELUCTANT, 'EINVAL'], syscalls: ['read', 'write'] },
      ...CLOSING
    ],
    inMemory
  )
  atEveryCall(
    'sending a file',
    sending,
    [{ operation: 'sendFile', told: ['EPIPE', 'EIO'], survived: RELUCTANT, syscalls: ['write', 'sendfile'] }],
    inMemory
  )
}

// Unix sockets --------------------------------------------------------------------------------------------------

/** A server that echoes what is sent, and what comes with it: a descriptor goes there, and comes back. */
function* passing(report: (error: unknown) => void): Coroutine<void> {
  const path = somewhere()
  const server = yield* serve({ path, mode: 0o600, onError: report }, function* (connection) {
    for (let message; (message = yield* connection.receiveFds()) !== null; ) {
      const { data, fds } = message
      const sent = fds as ReceivedFd[]
      try {
        if (sent.length > 0) yield* connection.sendFds(sent, data)
        else yield* connection.write(data)
      } finally {
        for (const each of sent) each.close()
      }
    }
  })
  const client = yield* connect({ path })
  yield* closing([client], function* () {
    const sending = spawn(function* () {
      yield* client.write('before')
      yield* client.sendFds([file], PATTERN.subarray(0, 1000))
      yield* client.closeWrite()
    })
    let text = Buffer.alloc(0)
    let fds = 0
    for (let message; (message = yield* client.receiveFds()) !== null; ) {
      for (const each of message.fds) {
        fds++
        ;(each as ReceivedFd).close()
      }
      text = Buffer.concat([text, message.data])
    }
    yield* sending
    expectSame(text, Buffer.concat([Buffer.from('before'), PATTERN.subarray(0, 1000)]))
    expect(fds).toBe(1)
  })
  yield* server.close({ grace: 1000 })
}

function* packets(): Coroutine<void> {
  const path = somewhere()
  const listener = yield* listen({ path, type: 'seqpacket' })
  yield* closing([listener], function* () {
    const echoing = spawn(function* () {
      const server = yield* listener.accept()
      yield* closing([server], function* () {
        for (let message; (message = yield* server.receive()) !== null; ) yield* server.send(message)
        yield* server.closeWrite()
      })
    })
    const client = yield* connect({ path, type: 'seqpacket' })
    yield* closing([client], function* () {
      for (const length of [0, 1, 5000]) {
        yield* client.send(PATTERN.subarray(0, length))
        expectSame((yield* client.receive()) ?? undefined, PATTERN.subarray(0, length))
      }
      yield* client.closeWrite()
      expect(yield* client.receive()).toBeNull()
      yield* echoing
    })
  })
}

function* unixDatagrams(): Coroutine<void> {
  const path = somewhere()
  const here = yield* unixDatagram({ path })
  yield* closing([here], function* () {
    const there = yield* unixDatagram()
    yield* closing([there], function* () {
      yield* there.connect(path)
      for (const length of [0, 1, 5000]) {
        yield* there.send(PATTERN.subarray(0, length))
        yield* there.send(PATTERN.subarray(0, length), { path })
        for (let i = 0; i < 2; i++) expectSame((yield* here.recv()).data, PATTERN.subarray(0, length))
      }
    })
  })
}

const OPENING: readonly Failure[] = [
  { operation: 'socket', told: ['EMFILE', 'ENOBUFS'], syscalls: ['socket'] },
  // Without one nothing is replaced, and without the other nothing is removed: neither is there here.
  { operation: 'lockDirectory', told: [], survived: ['EACCES', 'EAGAIN'], syscalls: [] },
  { operation: 'socketFile', told: [], survived: ['EACCES'], syscalls: [] },
  { operation: 'unlink', told: [], survived: ['EACCES'], syscalls: [] },
  { operation: 'setMode', told: ['EIO'], syscalls: ['fchmod'] },
  ADD
]

const MESSAGES: readonly Failure[] = [
  { operation: 'markMessages', told: ['ENOBUFS'], syscalls: ['setsockopt'] },
  { operation: 'receiveMessage', told: ['ECONNRESET', 'ENOMEM'], survived: RELUCTANT, syscalls: ['recvmsg'] },
  { operation: 'sendMessage', told: ['ECONNREFUSED', 'EMSGSIZE'], survived: [...RELUCTANT, 'ENOBUFS'], syscalls: ['sendmsg'] }
]

const CONNECTING: readonly Failure[] = [
  { operation: 'bind', told: ['EACCES', 'EADDRINUSE'], syscalls: ['listen'] },
  { operation: 'listen', told: ['EADDRINUSE'], syscalls: ['listen'] },
  // EAGAIN: the listener has no room.
  { operation: 'connect', told: ['ECONNREFUSED', 'EACCES'], survived: ['EAGAIN', 'EINTR'], syscalls: ['connect'] },
  {
    operation: 'accept',
    told: ['EMFILE', 'ENOBUFS'],
    survived: ['ECONNABORTED', 'EINTR', 'EAGAIN'],
    syscalls: ['accept']
  },
  { operation: 'shutdown', told: ['ENOTCONN', 'ENOBUFS'], syscalls: ['shutdown', 'read', 'recvmsg'] },
  ...CLOSING
]

atEveryCall(
  'a Unix connection that passes descriptors',
  passing,
  [
    ...OPENING,
    ...CONNECTING,
    ...STREAM_CALLS.filter(({ operation }) => operation.startsWith('send')),
    { operation: 'receiveMessage', told: ['ECONNRESET', 'ENOMEM'], survived: RELUCTANT, syscalls: ['recvmsg'] },
    { operation: 'sendMessage', told: ['EPIPE', 'ETOOMANYREFS'], survived: RELUCTANT, syscalls: ['sendmsg'] },
    // It comes as a descriptor of another kind then, which nobody here minds.
    { operation: 'describeFd', told: [], survived: ['EBADF'], syscalls: [] }
  ],
  false
)

for (const inMemory of linux ? [true, false] : [true]) {
  atEveryCall('a connection of messages', packets, [...OPENING, ...CONNECTING, ...MESSAGES], inMemory)
}

for (const inMemory of [true, false]) {
  atEveryCall(
    'Unix datagrams',
    unixDatagrams,
    [
      ...OPENING,
      ...MESSAGES,
      { operation: 'bind', told: ['EACCES', 'EADDRINUSE'], syscalls: ['bind'] },
      { operation: 'connect', told: ['ECONNREFUSED', 'EACCES'], syscalls: ['connect'] },
      ...CLOSING
    ],
    inMemory
  )
}

// UDP -----------------------------------------------------------------------------------------------------------

/** One by one, and in batches, connected and not. */
function* datagrams(): Coroutine<void> {
  const host = '127.0.0.1'
  const here = yield* udp({ host, info: true, receiveBuffer: 200_000 })
  yield* closing([here], function* () {
    const there = yield* udp({ host })
    yield* closing([there], function* () {
      const to = here.localAddress as { address: string; port: number }
      for (const length of [0, 1, 5000]) {
        yield* there.send(PATTERN.subarray(0, length), to)
        const { data, address } = yield* here.recv()
        expectSame(data, PATTERN.subarray(0, length))
        yield* here.send(data, address)
        expectSame((yield* there.recv()).data, data)
      }
      yield* inBatches(here, there, to)
      yield* there.connect(to)
      yield* inBatches(here, there, {})
    })
  })
}

function* inBatches(here: DatagramSocket, there: DatagramSocket, to: object): Coroutine<void> {
  const slab = new DatagramSlab({ packets: 10, size: 100 })
  for (let i = 0; i < 10; i++) slab.set(i, PATTERN.subarray(i, i + 90), to)
  const sent = yield* there.sendBatch(slab, 10)
  for (let i = 0; i < 10; i++) {
    const error = slab.error(i)
    if (error !== null) throw error
  }
  expect(sent).toBe(10)
  const received = new DatagramSlab({ packets: 4, size: 100 })
  for (let i = 0; i < 10; ) {
    const count = yield* here.recvBatch(received)
    for (let at = 0; at < count; at++, i++) expectSame(received.view(at), PATTERN.subarray(i, i + 90))
  }
}

const UDP: readonly Failure[] = [
  { operation: 'socket', told: ['EMFILE', 'ENOBUFS'], syscalls: ['socket'] },
  { operation: 'setOption', told: ['ENOMEM'], syscalls: ['setsockopt'] },
  { operation: 'setDatagramOption', told: ['ENOPROTOOPT'], syscalls: ['setsockopt'] },
  { operation: 'bind', told: ['EADDRINUSE', 'EACCES'], syscalls: ['bind'] },
  { operation: 'connect', told: ['ENETUNREACH'], syscalls: ['connect'] },
  ADD,
  { operation: 'receiveDatagrams', told: ['ENOMEM'], survived: RELUCTANT, syscalls: ['recv'] },
  { operation: 'sendDatagrams', told: ['EPERM', 'ENOMEM'], survived: [...RELUCTANT, 'ENOBUFS'], syscalls: ['send'] },
  ...CLOSING
]

/** What the network says of earlier datagrams is nothing to a socket that has no peer. */
const OF_THE_NETWORK: readonly Failure[] = [
  { operation: 'receiveDatagrams', told: [], survived: ['ECONNREFUSED', 'EHOSTUNREACH'], syscalls: [] },
  { operation: 'sendDatagrams', told: [], survived: ['ECONNREFUSED', 'EHOSTUNREACH'], syscalls: [] }
]

function* unconnected(): Coroutine<void> {
  const host = '127.0.0.1'
  const here = yield* udp({ host })
  yield* closing([here], function* () {
    const to = here.localAddress as { address: string; port: number }
    yield* here.send('one', to)
    expectSame((yield* here.recv()).data, Buffer.from('one'))
    yield* inBatches(here, here, to)
  })
}

for (const inMemory of [true, false]) {
  atEveryCall('UDP', datagrams, UDP, inMemory)
  atEveryCall('UDP without a peer', unconnected, OF_THE_NETWORK, inMemory)
}

// At random -----------------------------------------------------------------------------------------------------

const reluctantly = (...operations: FaultyOperation[]): Faults =>
  Object.fromEntries(
    operations.map((operation) => [
      operation,
      [
        { fault: 'EINTR', percent: 10 },
        { fault: 'EAGAIN', percent: 40 },
        { fault: 'short', percent: 50 }
      ]
    ])
  )

const NETWORK = ['ECONNREFUSED', 'EHOSTUNREACH', 'EINTR', 'EAGAIN'].map((fault) => ({ fault, percent: 15 }))

it.each([
  ['a pipe', throughPipe, reluctantly('read', 'write', 'writeVector')],
  ['a socket pair', throughSocketPair, reluctantly('receive', 'send', 'sendVector')],
  ['moving from one stream to another', moving, reluctantly('receive', 'send', 'splice')],
  ['sending a file', sending, reluctantly('send', 'sendFile')],
  ['a Unix connection that passes descriptors', passing, reluctantly('send', 'sendMessage', 'receiveMessage')],
  ...(linux ? [['a connection of messages', packets, reluctantly('sendMessage', 'receiveMessage')] as const] : []),
  ['Unix datagrams', unixDatagrams, reluctantly('sendMessage', 'receiveMessage')],
  ['UDP', datagrams, reluctantly('sendDatagrams', 'receiveDatagrams')],
  ['UDP without a peer', unconnected, { ...reluctantly('sendDatagrams'), receiveDatagrams: NETWORK }]
] as readonly [string, Program, Faults][])('twenty reluctant days: %s', async (_title, program, faults) => {
  for (let seed = 1; seed <= 20; seed++) {
    const kernel = new FaultyKernel({ faults, seed })
    try {
      await run(() => timeout(HANGS_MS, () => program(() => {})), { kernel })
    } catch (error) {
      throw new Error(String(kernel), { cause: error })
    }
    expect(kernel.injected()).toBeGreaterThan(0)
    expect([kernel.openFds, kernel.watched], String(kernel)).toEqual([0, 0])
  }
})

it('what is on its way in the kernel goes back to the source, although taking it out is interrupted', async () => {
  const kernel = new FaultyKernel({
    faults: {
      read: [
        { fault: 'EINTR', nth: 1 },
        { fault: 'EAGAIN', nth: 2 },
        { fault: 'short', nth: 3 }
      ]
    }
  })
  const bytes = pattern(8 * 1024 * 1024)
  await run(
    function* () {
      const [input, source] = yield* pair()
      const [target, output] = yield* pair()
      // It takes less than comes at a time.
      target.setOption('SO_SNDBUF', 8 * 1024)
      yield* closing([input, source, target, output], function* () {
        const writing = spawn(function* () {
          yield* input.write(bytes)
          yield* input.closeWrite()
        })
        const moving = spawn(() => source.pipeTo(target))
        yield* untilParked(moving)
        moving.cancel()
        yield* caught(() => moving)
        const rest = spawn(() => readAll(source))
        yield* target.closeWrite()
        const moved = yield* readAll(output)
        expectSame(Buffer.concat([moved, yield* rest]), bytes)
        yield* writing
      })
    },
    { kernel }
  )
  expect(kernel.injected('read')).toBe(3)
})
