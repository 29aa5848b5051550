/** Connecting to a Unix socket. */
import { EAGAIN, EINPROGRESS, EINTR, SystemError, check } from '../kernel/errno.js'
import type { UnixAddress } from '../kernel/kernel.js'
import { SocketOption, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { Leaf } from '../task/leaf.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { sleep } from '../time/sleep.js'
import { SeqpacketConnection } from './seqpacket.js'
import { UnixConnection } from './unix-connection.js'
import { checkConnectionType, type UnixConnectionType } from './unix-listener.js'
import { unixAddress } from './unix-path.js'

/** Options of `connect` for a Unix socket. */
export interface UnixConnectOptions {
  /** A path, or on Linux an abstract name, which begins with a NUL. */
  path: string
  /** 'stream' by default. */
  type?: UnixConnectionType | undefined
}

/** A full listener is asked again after 1 ms, then after twice as long each time. */
const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 64

/** One attempt. Null: the listener has no room. */
class ConnectUnix extends Leaf<Handle | null> {
  private readonly address: UnixAddress
  private readonly type: UnixConnectionType
  /** Null until the connection has been begun. */
  private handle: Handle | null = null

  constructor(address: UnixAddress, type: UnixConnectionType) {
    super()
    this.address = address
    this.type = type
  }

  protected override attempt(): boolean {
    if (this.handle === null) {
      const [handle, result] = this.begin()
      if (handle === null) return this.complete(null)
      this.handle = handle
      if (result < 0) return false
    } else {
      if ((this.handle.readiness & WRITABLE) === 0) return false
      const error = this.handle.kernel.getOption(this.handle.fd, SocketOption.ERROR)
      if (error !== 0) {
        this.handle.close()
        throw new SystemError(error < 0 ? error : -error, 'connect', this.address)
      }
    }
    const { handle } = this
    handle.writer = null
    handle.readiness |= WRITABLE
    return this.complete(handle)
  }

  protected override arm(): void {
    ;(this.handle as Handle).writer = this
  }

  /** Nobody will ever see the socket. */
  override disarm(): void {
    this.handle?.close()
  }

  private begin(): [handle: Handle | null, result: number] {
    const runtime = currentRuntime()
    const { kernel } = runtime
    const fd = check(kernel.socket('Unix', this.type), 'socket', this.address)
    const result = kernel.connect(fd, this.address)
    // EINTR leaves a connection that goes on by itself, like EINPROGRESS (POSIX).
    if (result >= 0 || result === EINPROGRESS || result === EINTR) return [Handle.adopt(runtime, fd), result]
    kernel.closeFd(fd)
    if (result !== EAGAIN) throw new SystemError(result, 'connect', this.address)
    return [null, result]
  }
}

/** `connect` of options that have a path. */
export function connectUnix<C extends UnixConnection | SeqpacketConnection>({ path, type = 'stream' }: UnixConnectOptions): Op<C> {
  const address = unixAddress('options.path', path)
  checkConnectionType(type)
  return op(function* () {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const handle = yield* new ConnectUnix(address, type)
      if (handle !== null) return (type === 'stream' ? new UnixConnection(handle) : new SeqpacketConnection(handle)) as C
      yield* sleep(pause)
    }
  })
}
