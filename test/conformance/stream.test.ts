/** The kinds of stream there are, each checked against what every stream promises. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { fromNode, pipe, run, socketPair, until, type Coroutine } from 'coreactor'
import { MemoryKernel, memoryPair, type FaultyOperation, type Faults } from 'coreactor/testing'
import type { Stream } from '../../lib/io/stream.js'
import { pair } from '../support.js'
import { checkStream } from './check-stream.js'
import { runInMemory, runWithFaults, type End, type StreamKind } from './stream-kind.js'

checkStream('TCP', { run: (main) => run(main), pair, twoWay: true, halfClose: true, reset: true })

checkStream('TCP in memory', { run: (main) => runInMemory(main), pair, twoWay: true, halfClose: true, reset: true })

// Every write is a partial one, and every frame comes in pieces.
checkStream('a memory pair with little room', {
  run: (main) => runInMemory(main, 777),
  *pair() {
    const { client, server } = memoryPair()
    return [client, server]
  },
  twoWay: true,
  halfClose: true,
  reset: true,
  big: 400_000
})

const kernels = [
  ['', (main) => run(main)],
  [' in memory', (main) => runInMemory(main)]
] satisfies [string, StreamKind['run']][]

for (const [where, runOn] of kernels) {
  checkStream(`a pipe${where}`, {
    run: runOn,
    *pair(): Coroutine<[End, End]> {
      const { reader, writer } = yield* pipe()
      // Each end is a whole stream, of which the types show one direction.
      return [writer as Stream, reader as Stream]
    },
    twoWay: false,
    halfClose: false,
    reset: false,
    big: 1024 * 1024
  })

  // A Unix socket says ECONNRESET only to whose data the other has not read, so a reset is an end to most.
  checkStream(`a socket pair${where}`, {
    run: runOn,
    *pair() {
      return yield* socketPair()
    },
    twoWay: true,
    halfClose: true,
    reset: false,
    big: 2 * 1024 * 1024
  })
}

/** Calls that do a part of what they could, and say that they would block when they would not. */
const reluctant = (...operations: FaultyOperation[]): Faults =>
  Object.fromEntries(
    operations.map((operation) => [
      operation,
      [
        { fault: 'EINTR', percent: 5 },
        { fault: 'EAGAIN', percent: 50 },
        { fault: 'short', percent: 60 }
      ]
    ])
  )

const reluctantSockets: Faults = {
  ...reluctant('receive', 'send', 'sendVector'),
  accept: [
    { fault: 'ECONNABORTED', percent: 20 },
    { fault: 'EAGAIN', percent: 50 }
  ]
}

checkStream('TCP, reluctantly', {
  run: (main) => runWithFaults(main, reluctantSockets),
  pair,
  twoWay: true,
  halfClose: true,
  reset: true,
  reluctant: true
})

checkStream('TCP in memory, reluctantly', {
  run: (main) => runWithFaults(main, reluctantSockets, new MemoryKernel()),
  pair,
  twoWay: true,
  halfClose: true,
  reset: true,
  reluctant: true
})

checkStream('fromNode over sockets', {
  run: (main) => run(main),
  *pair() {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    yield* until(once(server, 'listening'))
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    yield* until(once(client, 'connect'))
    const [peer] = yield* until(accepted)
    server.close()
    return [fromNode(client), fromNode(peer)]
  },
  twoWay: true,
  halfClose: true,
  reset: true,
  resetHidden: true,
  foreignErrors: true
})

// A write is done when the other has asked for more, so that nothing is between the two but their own buffers.
checkStream('fromNode over a pair of Duplexes', {
  run: (main) => run(main),
  *pair(): Coroutine<[End, End]> {
    const [first, second] = duplexPair()
    // The pair does not tell one that the other is gone.
    for (const [gone, left] of [
      [first, second],
      [second, first]
    ] as const) {
      const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
      gone.once('close', () => {
        if (!gone.writableFinished) left.destroy(lost)
      })
    }
    return [fromNode(first), fromNode(second)]
  },
  twoWay: true,
  halfClose: true,
  reset: true,
  foreignErrors: true,
  big: 400_000
})
