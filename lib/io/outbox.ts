/**
 * Where small writes of one turn are gathered, for all connections of a runtime, until the turn ends and each is flushed
 * with one system call. What the kernel does not take is moved out, so that the outbox is empty between turns and an idle
 * connection owns no buffer.
 */
import type { Runtime } from '../runtime/runtime.js'
import type { Dirty } from '../runtime/runtime.js'

/** Fits the second-level cache; when it is full in mid-turn, what is in it is flushed early. */
const SIZE = 64 * 1024

/** The longest write that is copied; a longer one is handed to the kernel from where it is. */
export const COPY_LIMIT = 16 * 1024

export class Outbox implements Dirty {
  private static readonly outboxes = new WeakMap<Runtime, Outbox>()
  private readonly runtime: Runtime
  readonly buffer = Buffer.allocUnsafeSlow(SIZE)
  /** How much of `buffer` is taken. */
  used = 0
  /** Invariant: everyone with bytes in `buffer`, and each only once. */
  private writers: Dirty[] = []

  private constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  static of(runtime: Runtime): Outbox {
    let outbox = Outbox.outboxes.get(runtime)
    if (outbox === undefined) Outbox.outboxes.set(runtime, (outbox = new Outbox(runtime)))
    return outbox
  }

  /** Has `writer` flushed when the turn ends. */
  enlist(writer: Dirty): void {
    if (this.writers.push(writer) === 1) this.runtime.flushLater(this)
  }

  /** Makes room for `length` <= COPY_LIMIT * 3 bytes at `used`. */
  reserve(length: number): void {
    if (this.used + length > SIZE) this.flush()
  }

  flush(): void {
    const { writers } = this
    this.writers = []
    for (const writer of writers) writer.flush()
    this.used = 0
  }
}
