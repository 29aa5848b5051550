/** A pipe between two tasks, or to a child process: two byte streams, each for one direction. */
import { SystemError } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { WRITABLE } from '../kernel/layout.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate } from '../task/op.js'
import type { Op } from '../task/types.js'
import { Handle, type Transfer } from './handle.js'
import { Stream } from './stream.js'

class PipeEnd extends Stream {
  /** A pipe has no end to send but that of its last writer. */
  override closeWrite(): Op<void> {
    return this.close()
  }
}

/** The end of a pipe that is read from: all that a connection has for reading. */
export type PipeReader = Omit<
  Stream,
  'write' | 'tryWrite' | 'flush' | 'closeWrite' | 'bufferedBytes' | 'bytesWritten' | 'sendFile'
>

/** The end of a pipe that is written to: all that a connection has for writing. `closeWrite` is `close`. */
export type PipeWriter = Pick<
  Stream,
  'fd' | 'closed' | 'bufferedBytes' | 'bytesWritten' | 'write' | 'tryWrite' | 'flush' | 'closeWrite' | 'close' | 'reset'
> &
  AsyncDisposable

/** Both ends of a pipe, as `pipe` gives them. */
export interface Pipe {
  readonly reader: PipeReader
  readonly writer: PipeWriter
}

/** recv(2) and send(2) are for sockets only. */
export function pipeTransfer(kernel: Kernel): Transfer {
  return {
    noun: 'pipe',
    isPipe: true,
    receive: (fd, into, offset, length) => kernel.read(fd, into, offset, length),
    send: (fd, from, offset, length) => kernel.write(fd, from, offset, length),
    sendVector: (fd, chunks, skip) => kernel.writeVector(fd, chunks, skip)
  }
}

/**
 * A new pipe: what is written to `writer` is read from `reader`, which comes to its end when the writer has been closed.
 * Reading and writing are as for a `Connection`. Once the reader has been closed writing fails with `EPIPE`, and there is
 * no SIGPIPE. Both ends are to be closed. On cancel there is no pipe. Errors: system errors such as `EMFILE`.
 *
 * @example
 * const { reader, writer } = yield* pipe()
 * yield* writer.write('hello')
 * yield* writer.close()
 * const chunk = yield* reader.readSome()
 */
export function pipe(): Op<Pipe> {
  return immediate(() => {
    const runtime = currentRuntime()
    const { kernel } = runtime
    const fds = kernel.pipe()
    if (typeof fds === 'number') throw new SystemError(fds, 'pipe')
    const [readerHandle, writerHandle] = adoptBoth(runtime, fds, pipeTransfer(kernel))
    // A new pipe has room.
    writerHandle.readiness = WRITABLE
    return { reader: new PipeEnd(readerHandle), writer: new PipeEnd(writerHandle) }
  })
}

/** Takes two fds that were made together: both, or neither. */
export function adoptBoth(
  runtime: Handle['runtime'],
  [first, second]: readonly [number, number],
  transfer?: Transfer
): [first: Handle, second: Handle] {
  let handle: Handle | null = null
  try {
    handle = Handle.adopt(runtime, first, transfer)
    return [handle, Handle.adopt(runtime, second, transfer)]
  } catch (error) {
    // Whichever was refused is closed.
    if (handle === null) runtime.kernel.closeFd(second)
    else handle.close()
    throw error
  }
}
