/** Descriptors that came from another process, as the objects that they are. */
import type { FdDescription, Kernel, SocketAddress, UnixAddress } from '../kernel/kernel.js'
import { check } from '../kernel/errno.js'
import { ClosedError } from '../io/errors.js'
import { Handle } from '../io/handle.js'
import type { Runtime } from '../runtime/runtime.js'
import { Connection } from './connection.js'
import { Listener } from './listener.js'
import { SeqpacketConnection } from './seqpacket.js'
import { UnixConnection } from './unix-connection.js'
import { UnixDatagramSocket } from './unix-datagram.js'
import { UnixListener } from './unix-listener.js'
import { installWrapping } from './unix-message.js'

/** A received descriptor that is no socket with an object of its own here: a file, a pipe, a device … */
export class ReceivedFd {
  /** What it is: `'file'`, `'pipe'`, `'socket'` … */
  readonly kind: FdDescription['is']
  private readonly kernel: Kernel
  private number: number

  /** @internal */
  constructor(kernel: Kernel, fd: number, kind: FdDescription['is']) {
    this.kernel = kernel
    this.number = fd
    this.kind = kind
  }

  /** -1 once it has been taken or closed. */
  get fd(): number {
    return this.number
  }

  /** The number, which is the caller's from here on, and theirs to close. Its flags are those that the sender has set. */
  take(): number {
    const fd = this.number
    if (fd < 0) throw new ClosedError('the descriptor')
    this.number = -1
    this.kernel.letGo(fd)
    return fd
  }

  /** Idempotent; does nothing once it has been taken. */
  close(): void {
    const fd = this.number
    this.number = -1
    if (fd >= 0) this.kernel.closeFd(fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

/** What a received descriptor can be. Tell them apart with `instanceof`. */
export type ReceivedObject =
  | Connection
  | UnixConnection
  | SeqpacketConnection
  | UnixDatagramSocket
  | Listener
  | UnixListener
  | UnixListener<SeqpacketConnection>
  | ReceivedFd

/** All of them, or none: if one cannot be wrapped, all are closed, and it throws. */
function wrapFds(runtime: Runtime, fds: readonly number[]): ReceivedObject[] {
  const objects: ReceivedObject[] = []
  try {
    for (const fd of fds) objects.push(wrap(runtime, fd))
  } catch (error) {
    // The one that failed has closed its own.
    for (const fd of fds.slice(objects.length + 1)) runtime.kernel.closeFd(fd)
    for (const object of objects) freeObject(object)
    throw error
  }
  return objects
}

/** Closes it now, whatever it is. */
function freeObject(object: ReceivedObject): void {
  if (object instanceof ReceivedFd) object.close()
  else object.handle.close()
}

function wrap(runtime: Runtime, fd: number): ReceivedObject {
  const { kernel } = runtime
  const about = kernel.describeFd(fd)
  if (typeof about === 'number') return new ReceivedFd(kernel, fd, 'other')
  if (about.is !== 'socket') return new ReceivedFd(kernel, fd, about.is)
  const { family, type, accepts, connected } = about
  const known = family === 'Unix' || ((family === 'IPv4' || family === 'IPv6') && type === 'stream')
  if (!known || (type !== 'datagram' && !accepts && !connected)) return new ReceivedFd(kernel, fd, 'socket')
  if (family === 'Unix' && type === 'datagram') return new UnixDatagramSocket(Handle.adopt(runtime, fd))
  if (type !== 'stream' && type !== 'seqpacket') return new ReceivedFd(kernel, fd, 'socket')
  const local = kernel.localAddress(fd)
  if (accepts) {
    // accept(2) has no flag against waiting, and whoever shares the socket may be quicker.
    const result = kernel.setNonBlocking(fd)
    if (result < 0) kernel.closeFd(fd)
    check(result, 'fcntl')
    const handle = Handle.adopt(runtime, fd)
    return family === 'Unix' ? new UnixListener<never>(handle, local as UnixAddress, type) : new Listener(handle, local as SocketAddress)
  }
  const handle = Handle.adopt(runtime, fd)
  if (family !== 'Unix') return new Connection(handle)
  return type === 'stream' ? new UnixConnection(handle) : new SeqpacketConnection(handle)
}

installWrapping({ wrap: wrapFds, free: freeObject })
