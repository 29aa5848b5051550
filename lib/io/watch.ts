/**
 * Waiting for an fd that is shared with others: one-shot. It is added when somebody waits, removed by the first event, and
 * nothing about the fd or its description changes, so that nobody else notices. Many may wait, in any direction.
 */
import { EBADF, EEXIST, EPERM, SystemError, WATCH_CALL } from '../kernel/errno.js'
import { ERROR, ONE_SHOT, PRIORITY, READABLE, READ_CLOSED, WRITE_CLOSED } from '../kernel/layout.js'
import { Registration } from '../reactor/registration.js'
import type { Runtime } from '../runtime/runtime.js'
import { JobReader } from '../jobs/job-reader.js'
import { ClosedError, FdInUseError, NotPollableError } from './errors.js'

/** What waits on a watch. */
export interface Watcher {
  /** READABLE, WRITABLE or PRIORITY. */
  readonly interest: number
  /** An event has come; or none will, and why. The watch has let go of it. */
  report(error: Error | null): void
}

/** Nothing more will come in any direction: who waits for PRIORITY must find out, too. A PSI file says ERROR with it. */
const UNASKED = READ_CLOSED | WRITE_CLOSED | ERROR

export class Watch extends Registration {
  readonly runtime: Runtime
  /** Invariant: -1 exactly when closed or lost. */
  fd: number
  readonly owned: boolean
  /** What a closed watch answers with. */
  private end: Error | null = null
  private readonly watchers = new Set<Watcher>()
  /** What the kernel was asked for. Means something only while registered. */
  private interest = 0
  /** Whether the kernel has accepted to watch it once. */
  private pollable = false
  /** What reads it where the kernel has refused. */
  private jobs: JobReader | null = null
  /** Whether those jobs may wait for somebody: a device, and no file. */
  waits = false

  constructor(runtime: Runtime, fd: number, owned: boolean) {
    super()
    this.runtime = runtime
    this.fd = fd
    this.owned = owned
  }

  /** Takes the fd for its own. Throws `FdInUseError` if it is somebody else's in this runtime. */
  take(): void {
    const { reactor, kernel } = this.runtime
    try {
      this.check()
    } catch (error) {
      // It can be closed all the same.
      if (!(error instanceof NotPollableError)) throw error
    }
    const result = kernel.takeFd(this.fd)
    if (result < 0) throw new SystemError(result, 'poll')
    reactor.claim(this, this.fd)
  }

  /** Throws what makes every wait, read and write impossible. */
  check(): void {
    if (this.end !== null) throw this.end
    const owner = this.runtime.reactor.owner(this.fd)
    if (owner === this || (owner === undefined && this.pollable)) {
      if (!this.pollable) this.probe()
      return
    }
    // Of an owner that is not watching only its own word is known. One that is may have lost the fd: the kernel knows.
    if (owner !== undefined && owner.slot < 0) throw new FdInUseError(this.fd)
    this.probe()
  }

  /**
   * As `check`, for reading and writing: what no kernel watches is read and written by jobs. Null where the kernel watches
   * it. Throws `NotPollableError` for what can be neither watched nor read.
   */
  checkTransfer(): JobReader | null {
    if (this.jobs !== null && this.end === null) return this.jobs
    try {
      this.check()
      return null
    } catch (error) {
      if (!(error instanceof NotPollableError)) throw error
      const kind = this.runtime.kernel.describeFd(this.fd)
      if (typeof kind === 'number' || kind.is === 'directory') throw error
      this.waits = kind.is !== 'file'
      return (this.jobs = new JobReader(this.runtime, this.waits, () => this.tellReaders()))
    }
  }

  /** Whether the kernel is known to watch it. */
  get isPollable(): boolean {
    return this.pollable
  }

  /** Has `watcher` told when a job has ended, or that this is closed. */
  awaitJob(watcher: Watcher): void {
    this.watchers.add(watcher)
  }

  private tellReaders(): void {
    for (const watcher of this.watchers) {
      this.watchers.delete(watcher)
      watcher.report(null)
    }
  }

  /** What is so now, of `interest` or in its place; 0 = nothing. */
  poll(interest: number): number {
    const { kernel } = this.runtime
    const bits = kernel.poll(this.fd, interest)
    if (bits < 0) throw new SystemError(bits, 'poll')
    return bits & matching(interest)
  }

  /** Has `watcher` told of the next event in its direction. May throw; it is not told anything then. */
  await(watcher: Watcher): void {
    this.watchers.add(watcher)
    const error = this.arm()
    if (error === null) return
    this.watchers.delete(watcher)
    throw error
  }

  leave(watcher: Watcher): void {
    // What others wait for stays armed; an event that now nobody waits for only has it armed again.
    if (this.watchers.delete(watcher) && this.watchers.size === 0) this.disarm()
  }

  /** Borrowed, it is only forgotten. Idempotent. */
  close(): void {
    const { fd, runtime } = this
    if (fd < 0) return
    this.fd = -1
    const { jobs } = this
    jobs?.close()
    this.finish(new ClosedError('the descriptor'))
    runtime.reactor.remove(this, fd)
    if (!this.owned) return
    if (jobs === null) runtime.kernel.closeFd(fd)
    else runtime.kernel.closeAfterJobs(fd)
  }

  override lost(): void {
    this.fd = -1
    // That it was closed is known only now, from whoever has the number.
    this.finish(new SystemError(EBADF, WATCH_CALL))
  }

  override deliver(bits: number): void {
    this.disarm()
    for (const watcher of this.watchers) {
      if ((bits & matching(watcher.interest)) === 0) continue
      this.watchers.delete(watcher)
      watcher.report(null)
    }
    const error = this.arm()
    if (error === null) return
    for (const watcher of this.watchers) watcher.report(error)
    this.watchers.clear()
  }

  /** Asks the kernel for what the watchers wait for, unless it has been. The error, if it refuses. */
  private arm(): Error | null {
    let wanted = 0
    for (const { interest } of this.watchers) wanted |= interest
    if (this.slot >= 0) {
      if ((wanted & ~this.interest) === 0) return null
      this.disarm()
    }
    return wanted === 0 ? null : this.register(wanted)
  }

  private disarm(): void {
    const { reactor } = this.runtime
    if (this.owned) reactor.unwatch(this, this.fd)
    else reactor.remove(this, this.fd)
  }

  private register(interest: number): Error | null {
    const result = this.runtime.reactor.add(this, this.fd, interest, ONE_SHOT)
    if (result >= 0) {
      this.interest = interest
      return null
    }
    if (result === EEXIST) return new FdInUseError(this.fd)
    if (result === EPERM) return new NotPollableError(this.fd)
    return new SystemError(result, WATCH_CALL)
  }

  /** Whether the kernel would watch it. poll(2) cannot say: it takes any file for ready. */
  private probe(): void {
    const error = this.register(READABLE)
    if (error !== null) throw error
    this.disarm()
    this.pollable = true
  }

  private finish(error: Error): void {
    this.end = error
    for (const watcher of this.watchers) watcher.report(error)
    this.watchers.clear()
  }
}

function matching(interest: number): number {
  return (interest & PRIORITY) === 0 ? interest : interest | UNASKED
}
