/** Listening on a Unix socket, and what comes of it: connections of streams, or of messages. */
import { check } from '../kernel/errno.js'
import type { UnixAddress } from '../kernel/kernel.js'
import type { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import type { Coroutine } from '../task/types.js'
import { checkInteger, invalidValue } from '../task/validate.js'
import { AcceptingSocket } from './accepting-socket.js'
import { SeqpacketConnection } from './seqpacket.js'
import { UnixConnection } from './unix-connection.js'
import { openNamed, unixName, type UnixNameOptions } from './unix-name.js'

/** What a Unix socket that connects carries: bytes, or messages that stay apart. */
export type UnixConnectionType = 'stream' | 'seqpacket'

/** Where `listen` makes a Unix socket, and what it is like. */
export interface UnixListenOptions extends UnixNameOptions {
  /** 'stream' by default. */
  type?: UnixConnectionType | undefined
  /** Connections the system holds until they are accepted, 4096 by default; the system has its own ceiling. */
  backlog?: number | undefined
}

/** A listening Unix socket. */
export class UnixListener<C extends UnixConnection | SeqpacketConnection = UnixConnection> extends AcceptingSocket<C, UnixAddress> {
  private readonly type: UnixConnectionType

  /** @internal Use `listen`. */
  constructor(handle: Handle, address: UnixAddress, type: UnixConnectionType) {
    super(handle, address)
    this.type = type
  }

  protected override wrap(handle: Handle): C {
    return (this.type === 'stream' ? new UnixConnection(handle) : new SeqpacketConnection(handle)) as C
  }
}

export function checkConnectionType(type: unknown): asserts type is UnixConnectionType {
  if (type !== 'stream' && type !== 'seqpacket') throw invalidValue('options.type', "must be 'stream' or 'seqpacket'", type)
}

/** Checks options that have a path, and gives what opens the listener. */
export function listeningUnix<C extends UnixConnection | SeqpacketConnection>(
  options: UnixListenOptions
): () => Coroutine<UnixListener<C>> {
  const name = unixName(options)
  const { type = 'stream', backlog = 4096 } = options
  checkConnectionType(type)
  checkInteger('options.backlog', backlog, 1, 0x7fff_ffff)
  return function* () {
    const handle = yield* openNamed(currentRuntime(), name, type, 'listen', (kernel, fd) => {
      check(kernel.listen(fd, backlog), 'listen', name.address)
    })
    return new UnixListener<C>(handle, name.address, type)
  }
}
