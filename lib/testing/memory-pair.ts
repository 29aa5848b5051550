/** Two ends of a connection in memory, and the wires between them, on which a test decides when bytes move. */
import { Handle } from '../io/handle.js'
import { WRITABLE } from '../kernel/layout.js'
import { Connection } from '../net/connection.js'
import { currentRuntime } from '../runtime/current.js'
import type { Runtime } from '../runtime/runtime.js'
import { CoreactorError } from '../task/errors.js'
import { checkInteger } from '../task/validate.js'
import { FaultyKernel } from './faulty-kernel.js'
import { MemoryKernel } from './memory-kernel.js'
import type { MemorySocket } from './memory-socket.js'

/**
 * One direction of a connection. It flows until it is held. A reset overtakes what is held; an end does not. What is
 * written is on the wire when the turn has ended, or after `flush`, or `allParked`.
 */
export class Wire {
  private readonly receiver: MemorySocket

  /** @internal */
  constructor(receiver: MemorySocket) {
    this.receiver = receiver
  }

  /** Bytes that were sent and are held back. They take room of the receiver's buffer, as they would in a network. */
  get held(): number {
    return this.receiver.inTransit
  }

  /** Holds back what is sent from now on, until `pass` or `flow`. */
  hold(): this {
    this.receiver.hold()
    return this
  }

  /** Lets `bytes` of what is held arrive, everything by default. Gives how many did. What is sent later is held again. */
  pass(bytes = Number.MAX_SAFE_INTEGER): number {
    checkInteger('bytes', bytes, 1, Number.MAX_SAFE_INTEGER)
    return this.receiver.pass(bytes)
  }

  /** Lets everything arrive, and holds nothing back from now on. */
  flow(): this {
    this.receiver.flow()
    return this
  }
}

/** Two connected ends in memory, and the wires between them. */
export interface MemoryPair {
  readonly client: Connection
  readonly server: Connection
  /** From the client to the server. */
  readonly up: Wire
  /** From the server to the client. */
  readonly down: Wire
}

/**
 * Two connected ends, inside `run(main, { kernel: new MemoryKernel() })`, also with faults over it; throws
 * `ERR_COREACTOR_NO_MEMORY_KERNEL` on any other kernel. Both are to be closed.
 *
 * @example
 * const { client, server, up } = memoryPair()
 * up.hold()
 * yield* client.write('half a line\n')
 * yield* client.flush()
 * up.pass(4)
 * yield* server.readSome() // 'half'
 */
export function memoryPair(): MemoryPair {
  const runtime = currentRuntime()
  const kernel = runtime.kernel instanceof FaultyKernel ? runtime.kernel.over : runtime.kernel
  if (!(kernel instanceof MemoryKernel)) {
    throw new CoreactorError('ERR_COREACTOR_NO_MEMORY_KERNEL', 'memoryPair() works only in run(main, { kernel: new MemoryKernel() })')
  }
  const [client, server] = kernel.pair()
  return {
    client: connected(runtime, client.fd),
    server: connected(runtime, server.fd),
    up: new Wire(server.socket),
    down: new Wire(client.socket)
  }
}

function connected(runtime: Runtime, fd: number): Connection {
  const handle = Handle.adopt(runtime, fd)
  // As of an accepted one: the first write need not wait for the event that says so.
  handle.readiness = WRITABLE
  return new Connection(handle)
}
