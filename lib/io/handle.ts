/** The sole owner of one non-blocking fd: registered for its life, closed exactly once, in the one safe order. */
import { EEXIST, SystemError, WATCH_CALL } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { SocketOption } from '../kernel/layout.js'
import { Registration } from '../reactor/registration.js'
import { FdInUseError } from './errors.js'
import type { Runtime } from '../runtime/runtime.js'

/** The calls that move bytes. A socket has its own; anything else has those of any descriptor. */
export interface Transfer {
  /** What errors call it; a connection if it is not said. */
  readonly noun?: string
  /** Whether splice(2) takes the fd without another pipe in between. */
  readonly isPipe?: boolean
  /** Whether splice(2) does not take the fd: the bytes go through this process. */
  readonly copies?: boolean
  receive(fd: number, into: Uint8Array, offset: number, length: number): number
  send(fd: number, from: Uint8Array, offset: number, length: number): number
  sendVector(fd: number, chunks: readonly Uint8Array[], skip: number): number
}

export class Handle extends Registration {
  readonly runtime: Runtime
  readonly kernel: Kernel
  readonly transfer: Transfer
  /** Invariant: -1 exactly when closed. */
  fd: number
  /**
   * Nobody else can have the fd's description: it came from the kernel to this handle alone, and its number was told to
   * nobody, who could have had it duplicated. Then closing it also ends its being watched, and one call is saved.
   */
  sole = false

  /** Use `adopt`, which also has it watched. */
  constructor(runtime: Runtime, fd: number, transfer: Transfer) {
    super()
    this.runtime = runtime
    this.kernel = runtime.kernel
    this.transfer = transfer
    this.fd = fd
  }

  /** Takes the fd and has it watched. Throws `SystemError` if the kernel refuses, and has closed the fd then. */
  static adopt<H extends Handle>(
    this: new (runtime: Runtime, fd: number, transfer: Transfer) => H,
    runtime: Runtime,
    fd: number,
    transfer: Transfer = runtime.kernel
  ): H {
    const handle = new this(runtime, fd, transfer)
    const result = runtime.reactor.add(handle, fd)
    if (result < 0) {
      // Whoever is at the other end of a connection that was accepted is told, and does not take it for an end.
      runtime.kernel.setOption(fd, SocketOption.LINGER, 0)
      runtime.kernel.closeFd(fd)
      throw new SystemError(result, WATCH_CALL)
    }
    return handle
  }

  /** The same for an fd that somebody else has opened. It stays theirs if this fails: `FdInUseError`, `SystemError`. */
  static take(runtime: Runtime, fd: number, transfer: Transfer = runtime.kernel): Handle {
    const { kernel, reactor } = runtime
    const owner = reactor.owner(fd)
    // Of an owner that is not watching only its own word is known. Of one that is, the kernel knows.
    if (owner !== undefined && owner.slot < 0) throw new FdInUseError(fd)
    const handle = new Handle(runtime, fd, transfer)
    const result = reactor.add(handle, fd)
    if (result === EEXIST) throw new FdInUseError(fd)
    if (result < 0) throw new SystemError(result, WATCH_CALL)
    kernel.takeFd(fd)
    return handle
  }

  /** The fd, for somebody who may have it duplicated. */
  get toldFd(): number {
    this.sole = false
    return this.fd
  }

  get closed(): boolean {
    return this.fd < 0
  }

  /** What errors call it. */
  get noun(): string {
    return this.transfer.noun ?? 'connection'
  }

  /**
   * Marks, wakes, removes, closes. The waiters find it closed when they run. It must leave the kernel's queue before the
   * fd is closed: an entry whose description lives on in a dup could never be removed afterwards. Only where there can be
   * no dup is it left to the kernel. Idempotent.
   */
  close(): void {
    const { fd, reader, writer } = this
    if (fd < 0) return
    this.fd = -1
    this.reader = null
    this.writer = null
    reader?.wake()
    writer?.wake()
    if (this.sole) this.runtime.reactor.leave(this, fd)
    else this.runtime.reactor.remove(this, fd)
    // Whatever close reports, the fd is gone; what was written and not delivered shows at the peer only.
    this.kernel.closeFd(fd)
  }

  /** Gives the fd up without closing it; nobody must be waiting. Whoever has it now closes it. */
  release(): number {
    const { fd } = this
    this.fd = -1
    this.runtime.reactor.remove(this, fd)
    return fd
  }

  override lost(): void {
    const { reader, writer } = this
    this.fd = -1
    this.reader = null
    this.writer = null
    reader?.wake()
    writer?.wake()
  }
}
