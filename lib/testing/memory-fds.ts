/** The descriptors of the memory kernel: numbers, and the sockets and pipes that they stand for. */
import type { MemorySocket } from './memory-socket.js'

const FIRST_FD = 1000

export class MemoryFds {
  private readonly sockets = new Map<number, MemorySocket>()
  private last = FIRST_FD
  private readonly free: number[] = []

  /** How many are open. */
  get size(): number {
    return this.sockets.size
  }

  get(fd: number): MemorySocket | undefined {
    return this.sockets.get(fd)
  }

  has(fd: number): boolean {
    return this.sockets.has(fd)
  }

  /** The lowest free number, as POSIX has it: reuse of fd numbers is part of the test. */
  install(socket: MemorySocket): number {
    const fd = this.free.sort((a, b) => a - b).shift() ?? this.last++
    this.sockets.set(fd, socket)
    return fd
  }

  remove(fd: number): void {
    if (this.sockets.delete(fd)) this.free.push(fd)
  }
}
