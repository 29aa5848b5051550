/** The kinds of stream there are, each checked against what every stream promises. */
import { pipe, run, socketPair, type Coroutine } from 'coreactor'
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
