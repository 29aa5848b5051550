/** Locks on files: flock(2), which processes and the fds of one process keep each other out with. */
import { check, EAGAIN } from '../kernel/errno.js'
import { Lock } from '../kernel/layout.js'
import { fdOf, type FileLike } from '../io/send-file.js'
import { BackgroundCall } from '../jobs/background-call.js'
import { blockingCall } from '../jobs/blocking-call.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate, op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'
import { shield } from '../time/shield.js'
import { sleep } from '../time/sleep.js'

/** Options of `File.lock` and `File.tryLock`. */
export interface LockOptions {
  /** Whether others may have it, too, who ask for it so. By default one at a time. */
  shared?: boolean | undefined
}

/**
 * How long until somebody who waits asks again: doubled each time. A lock that is held for a moment is had soon after, and
 * one that is held for hours costs its waiter nothing that shows.
 */
const FIRST_MS = 1
const LAST_MS = 64

/** What a lock is on. Its fd is -1 once it is closed, and the lock gone. */
export interface Locked {
  readonly fd: number
}

/** A lock that is held. It goes with the fd, too: with the last one of those that were made of one `open` by dup or fork. */
export class FileLock {
  /** Null once it has been released. */
  private file: Locked | null

  /** @internal */
  constructor(file: Locked) {
    this.file = file
  }

  /** Lets others have it. Idempotent. It happens in a cancelled scope, too. */
  release(): Op<void> {
    return shield(() => this.unlock())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  private unlock(): Op<void> {
    const { fd } = this.file ?? { fd: -1 }
    this.file = null
    if (fd < 0) return immediate(() => {})
    return blockingCall({ kind: 'lock', fd, how: Lock.UNLOCK }, (result) => void check(result, 'flock'), false)
  }
}

/**
 * Waits for a lock on an open file and takes it. It is advice: only those who ask for it are kept out. Asking again on the
 * same file changes the kind of lock, and may lose it in between.
 *
 * The system has no way to be called off a wait for a lock, and so none is begun: the lock is asked for, at once and then
 * after 1 ms, 2 ms and so on up to 64 ms. So no thread is held, and on cancel it has not been taken; but those who wait do
 * not get it in the order in which they came. Errors: system errors such as `EBADF`; `ERR_INVALID_ARG_TYPE`.
 *
 * @example
 * await using file = await blocking.open('counter', 'r+')
 * await using lock = await file.lock()
 * console.log(await file.readLine(), lock)
 */
export function flock(file: FileLike, options: LockOptions = {}): Op<FileLock> {
  return waitForLock(lockOf({ fd: fdOf(file) }, options))
}

/** Takes a lock if it can be had now; null otherwise. Errors as for `flock`. */
export function tryFlock(file: FileLike, options: LockOptions = {}): Op<FileLock | null> {
  return lockOf({ fd: fdOf(file) }, options)()
}

/** @internal Attempts until one succeeds. */
export function waitForLock(attempt: () => Op<FileLock | null>): Op<FileLock> {
  return op(function* () {
    for (let ms = FIRST_MS; ; ms = Math.min(ms * 2, LAST_MS)) {
      const lock = yield* attempt()
      if (lock !== null) return lock
      yield* sleep(ms)
    }
  })
}

/** @internal One attempt; the options are checked now. */
export function lockOf(file: Locked, options: LockOptions): () => Op<FileLock | null> {
  const how = howOf(options)
  return () =>
    blockingCall(
      { kind: 'lock', fd: file.fd, how },
      (result) => {
        if (result === EAGAIN) return null
        check(result, 'flock')
        return new FileLock(file)
      },
      false,
      (result) => {
        if (result >= 0) new BackgroundCall(currentRuntime(), { kind: 'lock', fd: file.fd, how: Lock.UNLOCK }, () => {})
      }
    )
}

function howOf({ shared = false }: LockOptions): number {
  if (typeof shared !== 'boolean') throw invalidType('options.shared', 'of type boolean', shared)
  return shared ? Lock.SHARED : Lock.EXCLUSIVE
}
