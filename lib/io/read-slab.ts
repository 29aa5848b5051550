/**
 * The buffer that streams are read into: one per runtime, so that a waiting connection holds none.
 *
 * What a stream could not hand out at once may stay in it, until another stream needs it: the usual case is that one
 * task takes a whole batch of small frames before anybody else reads, and then not a byte of it has been moved.
 */
import type { Runtime } from '../runtime/runtime.js'

/** As much as one system call reasonably gives; a socket's receive buffer begins at 128 KiB on Linux. */
export const SLAB_SIZE = 64 * 1024

/** The global `Buffer` is a getter, which costs more than what is allocated here for each small read. */
const { allocUnsafe } = Buffer

/** Somebody whose bytes are in the slab. */
export interface Tenant {
  /** The slab is about to be overwritten: move out now. */
  moveOut(): void
}

export class ReadSlab {
  private static readonly slabs = new WeakMap<Runtime, ReadSlab>()
  private buffer = Buffer.allocUnsafeSlow(SLAB_SIZE)
  private tenant: Tenant | null = null
  /** Somebody outside looks at the first bytes of `buffer`. */
  private lent = false

  static of(runtime: Runtime): ReadSlab {
    let slab = ReadSlab.slabs.get(runtime)
    if (slab === undefined) ReadSlab.slabs.set(runtime, (slab = new ReadSlab()))
    return slab
  }

  /** The whole buffer, for `tenant` until it leaves or has to move out; with null for the next system call only. */
  enter(tenant: Tenant | null): Buffer {
    // Before the borrower has given it back: then it is his for good.
    if (this.lent) this.giveAway()
    const previous = this.tenant
    if (previous !== tenant) {
      this.tenant = tenant
      previous?.moveOut()
    }
    return this.buffer
  }

  leave(tenant: Tenant): void {
    if (this.tenant === tenant) this.tenant = null
  }

  /** The first `length` bytes, as a buffer that is the caller's own. Only while there is no tenant. */
  take(length: number): Buffer {
    const { buffer } = this
    if (length >= SLAB_SIZE / 2) {
      this.giveAway()
      return buffer.subarray(0, length)
    }
    // Copied, so that a few bytes that somebody keeps do not keep 64 KiB.
    const own = allocUnsafe(length)
    buffer.copy(own, 0, 0, length)
    return own
  }

  /** The first `length` bytes themselves, until `giveBack`. Only while there is no tenant. */
  lend(length: number): Buffer {
    this.lent = true
    return this.buffer.subarray(0, length)
  }

  /** What was lent is not looked at any more; or is `kept`, and its borrower's own. */
  giveBack(kept: boolean): void {
    if (this.lent && kept) this.giveAway()
    this.lent = false
  }

  private giveAway(): void {
    this.buffer = Buffer.allocUnsafeSlow(SLAB_SIZE)
    this.lent = false
  }
}
