/** The kinds of stream there are, each checked against what every stream promises. */
import { pipe, run, socketPair, type Coroutine } from 'coreactor'
import { memoryPair } from 'coreactor/testing'
import type { Stream } from '../../lib/io/stream.js'
import { pair } from '../support.js'
import { checkStream } from './check-stream.js'
import { runInMemory, type End, type StreamKind } from './stream-kind.js'

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
