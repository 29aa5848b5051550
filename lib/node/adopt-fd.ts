/** A stream over an fd that somebody else has opened: a socket or a pipe. */
import type { Kernel } from '../kernel/kernel.js'
import { WRITABLE } from '../kernel/layout.js'
import { Handle, type Transfer } from '../io/handle.js'
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
  const handle = Handle.take(runtime, fd, isPipe ? anyTransfer(kernel) : kernel)
  kernel.setNonBlocking(fd)
  handle.readiness |= WRITABLE
  if (isPipe) return new Stream(handle)
  return what.is === 'socket' && what.family === 'Unix' ? new UnixConnection(handle) : new Connection(handle)
}

/** recv(2) and send(2) are for sockets only. */
function anyTransfer(kernel: Kernel): Transfer {
  return {
    isPipe: true,
    receive: (fd, into, offset, length) => kernel.read(fd, into, offset, length),
    send: (fd, from, offset, length) => kernel.write(fd, from, offset, length),
    sendVector: (fd, chunks, skip) => kernel.writeVector(fd, chunks, skip)
  }
}
