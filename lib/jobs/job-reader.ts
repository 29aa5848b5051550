/**
 * Reading an fd, one job at a time, for readers that come and go: a reader that is called off has read nothing, although a
 * call that has been begun goes on. What it finds is for the next one.
 */
import { EAGAIN } from '../kernel/errno.js'
import { JOB_MOST_BYTES } from '../kernel/layout.js'
import type { Runtime } from '../runtime/runtime.js'
import { BackgroundCall } from './background-call.js'

export class JobReader {
  private readonly runtime: Runtime
  /** Whether the job may wait for somebody. */
  private waits: boolean
  /** Called when `receive` would answer something else than EAGAIN. */
  private readonly ready: () => void
  /** The job, until what it has found has been taken. */
  private call: BackgroundCall | null = null
  /** What it has returned; null until it has ended. */
  private outcome: number | null = null
  /** What did not fit. */
  private rest: Buffer | null = null

  constructor(runtime: Runtime, waits: boolean, ready: () => void) {
    this.runtime = runtime
    this.waits = waits
    this.ready = ready
  }

  /** Bytes read into `into[offset, offset + length)`, 0 = the end, -errno; or EAGAIN: a job is on its way. */
  receive(fd: number, into: Uint8Array, offset: number, length: number): number {
    const target = into.subarray(offset, offset + length)
    if (this.rest !== null) return this.fromRest(this.rest, target)
    const { outcome, call } = this
    if (outcome === null) {
      if (call === null) this.begin(fd, length)
      return EAGAIN
    }
    this.outcome = this.call = null
    if (outcome === EAGAIN && !this.waits) {
      // No file, and a description that does not block: a thread is to wait in its place.
      this.waits = true
      this.begin(fd, length)
      return EAGAIN
    }
    if (outcome <= 0) return outcome
    const finished = call as BackgroundCall
    if (outcome > target.length) return this.fromRest(finished.take() as Buffer, target)
    return finished.take([target]) as number
  }

  /** Whether something is kept that has been read. */
  get holds(): boolean {
    return this.rest !== null || (this.outcome !== null && this.outcome > 0)
  }

  /** Nobody reads any more. */
  close(): void {
    this.call?.drop()
    this.call = this.rest = this.outcome = null
  }

  private begin(fd: number, length: number): void {
    const job = { kind: 'read', fd, length: Math.min(length, JOB_MOST_BYTES), position: -1, waits: this.waits } as const
    const call = new BackgroundCall(this.runtime, job, (result) => {
      if (this.call !== call) return
      this.outcome = result
      this.ready()
    })
    this.call = call
  }

  private fromRest(rest: Buffer, target: Uint8Array): number {
    const count = Math.min(rest.length, target.length)
    target.set(rest.subarray(0, count))
    this.rest = count < rest.length ? rest.subarray(count) : null
    return count
  }
}
