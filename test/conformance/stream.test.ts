/** The kinds of stream there are, each checked against what every stream promises. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { afterAll, beforeAll, describe } from 'vitest'
import { all, blocking, checkpoint, fromNode, run, until, type Coroutine } from 'coreactor'
import ourNet from 'coreactor/net'
import { memoryPair } from 'coreactor/testing'
import { checkReads } from './check-reads.js'
import { checkStream } from './check-stream.js'
import { PIPE, SOCKET_PAIR, TCP, UNIX } from './kinds.js'
import { runInMemory, type End } from './stream-kind.js'

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

for (const [name, ends] of Object.entries({ TCP, 'a Unix connection': UNIX, 'a pipe': PIPE, 'a socket pair': SOCKET_PAIR })) {
  checkStream(name, { ...ends, run: (main) => run(main) })
  checkStream(`${name} in memory`, { ...ends, run: (main) => runInMemory(main) })
}

for (const [name, net] of [
  ["Node's", nodeNet],
  ['coreactor/net', ourNet as unknown as typeof nodeNet]
] as const) {
  checkStream(`fromNode over sockets of ${name}`, {
    run: (main) => run(main),
    *pair() {
      const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
      yield* until(once(server, 'listening'))
      const accepted = once(server, 'connection') as Promise<[Socket]>
      const client = net.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
      yield* until(once(client, 'connect'))
      const [peer] = yield* until(accepted)
      server.close()
      return [fromNode(client), fromNode(peer)]
    },
    twoWay: true,
    halfClose: true,
    reset: true,
    resetHidden: net === nodeNet,
    foreignErrors: net === nodeNet
  })
}

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

// A file has no write buffer and no end that a peer sees; what it shares with streams is how it is read. Of a FIFO, whose
// reader waits.
describe('a file: framed reads', () => {
  let directory: string
  let pairs = 0
  const fifos = ['first', 'second']

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
    for (const name of fifos) execFileSync('mkfifo', [join(directory, name)])
  })

  afterAll(() => rmSync(directory, { recursive: true }))

  checkReads({
    run: (main) => run(main),
    *pair() {
      const path = join(directory, fifos[pairs++ % fifos.length] as string)
      const [reader, writer] = yield* all([blocking.open(path), blocking.open(path, 'w')])
      // The system has what `write` has completed for.
      return [Object.assign(writer, { flush: checkpoint }), reader] as unknown as [End, End]
    },
    twoWay: false,
    halfClose: false,
    reset: false
  })
})
