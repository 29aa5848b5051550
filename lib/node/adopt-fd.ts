/** A stream over an fd that somebody else has opened: a socket or a pipe. */
import { WRITABLE } from '../kernel/layout.js'
import { Handle } from '../io/handle.js'
import { pipeTransfer } from '../io/pipe.js'
import { Stream } from '../io/stream.js'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import { ownRuntime } from '../runtime/current.js'
import { checkInteger } from '../task/validate.js'
import { invalidFdType } from './errors.js'

/** The fd is the stream's from here on. Throws `ERR_INVALID_FD_TYPE` for what is neither, and `FdInUseError`. */
export function streamOfFd(fd: unknown): Stream {
  checkInteger('fd', fd, 0, 0x7fff_ffff)
  const runtime = ownRuntime()
  const { kernel } = runtime
  const what = kernel.describeFd(fd)
  if (typeof what === 'number') throw invalidFdType('INVALID')
  const isPipe = what.is === 'pipe'
  if (!isPipe && (what.is !== 'socket' || what.type !== 'stream')) throw invalidFdType(what.is === 'file' ? 'FILE' : 'UNKNOWN')
  const handle = Handle.take(runtime, fd, isPipe ? pipeTransfer(kernel) : kernel)
  kernel.setNonBlocking(fd)
  handle.readiness |= WRITABLE
  if (isPipe) return new Stream(handle)
  return what.is === 'socket' && what.family === 'Unix' ? new UnixConnection(handle) : new Connection(handle)
}
