/** One end of a pipe of the memory kernel: one direction, no options, and no reset. How bytes are kept is the socket's. */
import { EBADF, ENOTSOCK } from '../kernel/errno.js'
import { ERROR, READABLE, READ_CLOSED, WRITABLE, WRITE_CLOSED } from '../kernel/layout.js'
import { MemorySocket } from './memory-socket.js'

export class MemoryPipeEnd extends MemorySocket {
  protected override readonly resets = false
  private readonly direction: typeof READABLE | typeof WRITABLE

  constructor(direction: typeof READABLE | typeof WRITABLE, capacity: number) {
    super({ family: 'Unix', path: '' }, capacity)
    this.direction = direction
  }

  override get readiness(): number {
    if (this.direction === READABLE) return super.readiness & (READABLE | READ_CLOSED)
    return (super.readiness & WRITABLE) | (this.peerGone ? WRITE_CLOSED | ERROR : 0)
  }

  override receive(into: Uint8Array, offset: number, length: number): number {
    return this.direction === READABLE ? super.receive(into, offset, length) : EBADF
  }

  override send(chunks: readonly Uint8Array[]): number {
    return this.direction === WRITABLE ? super.send(chunks) : EBADF
  }

  override endWriting(): number {
    return ENOTSOCK
  }
}
