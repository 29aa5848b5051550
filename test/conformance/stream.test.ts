/** The kinds of stream there are, each checked against what every stream promises. */
import { run } from 'coreactor'
import { memoryPair } from 'coreactor/testing'
import { pair } from '../support.js'
import { checkStream } from './check-stream.js'
import { runInMemory } from './stream-kind.js'

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
