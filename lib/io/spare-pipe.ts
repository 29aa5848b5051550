/**
 * The pipes through which bytes go from one socket to another inside the kernel. One is needed during a system call, and
 * kept only while it holds something: a thousand transfers that wait for their source have one spare pipe between them,
 * and none is open while nothing is transferred.
 */
import type { Runtime } from '../runtime/runtime.js'

export type PipeFds = readonly [reader: number, writer: number]

export class SparePipe {
  private static readonly spares = new WeakMap<Runtime, SparePipe>()
  private readonly runtime: Runtime
  private spare: PipeFds | null = null
  private users = 0

  private constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  static of(runtime: Runtime): SparePipe {
    let spare = SparePipe.spares.get(runtime)
    if (spare === undefined) SparePipe.spares.set(runtime, (spare = new SparePipe(runtime)))
    return spare
  }

  /** A transfer begins that may want one. Call `leave` once for it. */
  join(): void {
    this.users++
  }

  leave(): void {
    if (--this.users > 0 || this.spare === null) return
    this.close(this.spare)
    this.spare = null
  }

  /** An empty one, to be given back; or the error of opening it. */
  take(): PipeFds | number {
    const { spare } = this
    if (spare === null) return this.runtime.kernel.transferPipe()
    this.spare = null
    return spare
  }

  /** Empty again. */
  give(fds: PipeFds): void {
    if (this.spare === null) this.spare = fds
    else this.close(fds)
  }

  private close([reader, writer]: PipeFds): void {
    this.runtime.kernel.closeFd(reader)
    this.runtime.kernel.closeFd(writer)
  }
}
