/** The kinds of stream on a kernel that does less than it could, each checked against what every stream promises. */
import { MemoryKernel, type FaultyOperation, type Faults } from 'coreactor/testing'
import { checkStream } from './check-stream.js'
import { PIPE, SOCKET_PAIR, TCP, UNIX } from './kinds.js'
import { runWithFaults } from './stream-kind.js'

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

const SOCKETS: Faults = {
  ...reluctant('receive', 'send', 'sendVector'),
  accept: [
    { fault: 'ECONNABORTED', percent: 20 },
    { fault: 'EAGAIN', percent: 50 }
  ]
}

const ANY = reluctant('read', 'write', 'writeVector')

for (const [name, ends, faults] of [
  ['TCP', TCP, SOCKETS],
  ['a Unix connection', UNIX, SOCKETS],
  ['a socket pair', SOCKET_PAIR, SOCKETS],
  ['a pipe', PIPE, ANY]
] as const) {
  checkStream(`${name}, reluctantly`, { ...ends, run: (main) => runWithFaults(main, faults), reluctant: true })
  checkStream(`${name} in memory, reluctantly`, {
    ...ends,
    run: (main) => runWithFaults(main, faults, new MemoryKernel()),
    reluctant: true
  })
}
