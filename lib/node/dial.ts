/** One socket on its way to a connection, told of by a callback. Which addresses are tried, and in which order, is for others. */
import type { AsyncResource } from 'node:async_hooks'
import { check, ECONNREFUSED, EINPROGRESS, EINTR, ENOTCONN } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress } from '../kernel/kernel.js'
import { SocketOption, WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import type { Stream } from '../io/stream.js'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import type { Callback, Runtime } from '../runtime/runtime.js'
import { keptContext } from './context.js'

/** Who is told how it has ended: 0 and the stream, or -errno. Never before `begin` has returned. */
export type Dialled = (result: number, stream: Stream | null) => void

export class Dial implements Callback {
  private readonly runtime: Runtime
  private readonly address: AnyAddress
  private readonly dialled: Dialled
  private readonly context: AsyncResource | null = keptContext('COREACTOR_CONNECT')
  /** Null before it has begun and after it has ended. */
  private handle: Handle | null = null
  /** What `connect` itself has failed with, which is told later all the same. */
  private refused = 0
  /** Invariant: true while this keeps the process alive. */
  private holding = false

  constructor(runtime: Runtime, address: AnyAddress, dialled: Dialled) {
    this.runtime = runtime
    this.address = address
    this.dialled = dialled
  }

  /** 0: it is on its way. Otherwise -errno and the name of the call: nothing has happened. */
  begin(local: SocketAddress | null): { result: number; syscall: 'bind' | 'connect' } {
    const { kernel } = this.runtime
    const { address } = this
    const fd = check(kernel.socket(address.family), 'socket', address)
    if (local !== null) {
      if (local.port === 0) kernel.setOption(fd, SocketOption.BIND_ADDRESS_NO_PORT, 1)
      else kernel.setOption(fd, SocketOption.REUSE_ADDRESS, 1)
      const bound = kernel.bind(fd, local)
      if (bound < 0) {
        kernel.closeFd(fd)
        return { result: bound, syscall: 'bind' }
      }
    }
    const result = kernel.connect(fd, address)
    // Those of a Unix socket, and that nobody listens, are told as if the network had answered.
    const later = result === ECONNREFUSED || (result < 0 && address.family === 'Unix')
    if (result < 0 && result !== EINPROGRESS && result !== EINTR && !later) {
      kernel.closeFd(fd)
      return { result, syscall: 'connect' }
    }
    if (later && result !== EINPROGRESS) {
      this.refused = result
      kernel.closeFd(fd)
    } else {
      this.handle = Handle.adopt(this.runtime, fd)
      this.handle.writer = this
      // A Unix socket is connected at once; any other has an event of its own.
      if (result === 0) this.handle.readiness |= WRITABLE
    }
    this.holding = true
    this.runtime.hold()
    if (result !== EINPROGRESS && result !== EINTR) this.wake()
    return { result: 0, syscall: 'connect' }
  }

  /** It is not wanted any more; nobody is told. */
  cancel(): void {
    this.letGo()
    this.handle?.close()
    this.handle = null
    this.refused = 0
  }

  wake(): void {
    this.runtime.callSoon(this)
  }

  call(): void {
    if (!this.holding) return
    if (this.context === null) this.look()
    else this.context.runInAsyncScope(this.look, this)
  }

  private look(): void {
    const { handle, refused } = this
    if (handle === null) return this.end(refused)
    if (handle.closed || (handle.readiness & WRITABLE) === 0) return
    const error = handle.kernel.getOption(handle.fd, SocketOption.ERROR)
    if (error !== 0) return this.fail(error < 0 ? error : -error)
    // An unconnected socket may report that it is writable, which says nothing.
    const remote = handle.kernel.remoteAddress(handle.fd)
    if (remote === ENOTCONN) return handle.exhausted(WRITABLE)
    if (typeof remote === 'number') return this.fail(remote)
    handle.writer = null
    this.handle = null
    this.letGo()
    this.dialled(0, this.address.family === 'Unix' ? new UnixConnection(handle) : new Connection(handle))
  }

  private fail(errno: number): void {
    this.handle?.close()
    this.handle = null
    this.end(errno)
  }

  private end(errno: number): void {
    this.letGo()
    this.dialled(errno, null)
  }

  private letGo(): void {
    if (!this.holding) return
    this.holding = false
    this.runtime.letGo()
  }
}
