/** Calls on files that are open, whoever has opened them. What makes a stream of one is `file.ts`. */
import { check } from '../kernel/errno.js'
import { fdOf, type FileLike } from '../io/send-file.js'
import { abandonOf, blockingCall, type BlockingOptions } from '../jobs/blocking-call.js'
import { readOnce, writeAll } from '../jobs/transfer.js'
import type { WriteData } from '../io/write.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { checkInto, chunksOf } from './bytes.js'
import { pathOf, where, type PathLike } from './path.js'

/** Where to read: for `blocking.read` and `readv`. */
export interface PositionOptions extends BlockingOptions {
  /** Where in the file, from 0. By default at the file's own place, which all who share the fd move. */
  position?: number | undefined
}

/** Where to write: for `blocking.write` and `writev`. */
export interface WriteOptions extends BlockingOptions {
  /** Where in the file, from 0; by default at its own place. Of a file opened for appending always at its end. */
  position?: number | undefined
}

/**
 * Reads some bytes into `into`, at most 1 MiB at a time: read(2), or with `position` pread(2). Gives how many; 0 is the
 * end. The thread reads into memory of its own, which is copied when the call has ended: so a call that is cancelled or
 * abandoned never writes into `into` afterwards.
 *
 * On cancel a call that has been begun is waited for, and gives its value; with `abandon` what it has read is lost.
 * Errors: system errors such as `EISDIR`; `DetachedBufferError` (`ERR_COREACTOR_DETACHED`), if `into` was transferred
 * meanwhile; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const file = yield* blocking.open('data.bin')
 * const header = Buffer.alloc(512)
 * const n = yield* blocking.read(file, header, { position: 0 })
 */
export function read(file: FileLike, into: Uint8Array, options: PositionOptions = {}): Op<number> {
  checkInto('into', into)
  return readOnce({ fd: fdOf(file), position: positionOf(options), waits: false }, [into], abandonOf(options, false))
}

/** Reads into several buffers, one after the other, with one call, as readv(2) does. Otherwise as `read`. */
export function readv(file: FileLike, into: readonly Uint8Array[], options: PositionOptions = {}): Op<number> {
  if (!Array.isArray(into)) throw invalidType('into', 'an array of Uint8Arrays', into)
  for (const each of into as readonly unknown[]) checkInto('into', each)
  checkInto('into', into[0])
  return readOnce({ fd: fdOf(file), position: positionOf(options), waits: false }, [...into], abandonOf(options, false))
}

/**
 * Writes all of `data`, a string as UTF-8, several buffers one after the other as writev(2) does: with one call, of more
 * than 1 MiB with one for each. Gives the number of bytes. A copy of each MiB is made when its turn comes: leave `data`
 * alone until this completes. It completes when the system has it; `fsync` waits for the disk.
 *
 * On cancel a call that has been begun is waited for. Cut off between two, and on a system error such as `ENOSPC`,
 * `bytesWritten` of the error says how much has gone, if any has. Other errors as for `read`.
 *
 * @example
 * const file = yield* blocking.open('data.bin', 'r+')
 * yield* blocking.write(file, 'a line\n')
 * yield* blocking.write(file, [Buffer.from('a'), Buffer.from('b')], { position: 4096 })
 */
export function write(file: FileLike, data: WriteData, options: WriteOptions = {}): Op<number> {
  return writeAll({ fd: fdOf(file), position: positionOf(options), waits: false }, chunksOf('data', data), abandonOf(options, false))
}

/** `write` of several buffers. */
export function writev(file: FileLike, data: readonly Uint8Array[], options: WriteOptions = {}): Op<number> {
  if (!Array.isArray(data)) throw invalidType('data', 'an array of Uint8Arrays', data)
  return write(file, data, options)
}

/**
 * Waits until the file's data and everything about it are on its disk: fsync(2). Errors: system errors such as `EIO`,
 * which tells it once: what was written before may be lost then.
 */
export function fsync(file: FileLike, options: BlockingOptions = {}): Op<void> {
  return sync(fdOf(file), false, abandonOf(options, false))
}

/** The same without what is not needed to read the data again, such as its times: fdatasync(2). */
export function fdatasync(file: FileLike, options: BlockingOptions = {}): Op<void> {
  return sync(fdOf(file), true, abandonOf(options, false))
}

/**
 * Makes a file, open or by its path, `length` bytes long, 0 by default: what is more is gone, what is missing reads as
 * zeros. Errors: system errors; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * yield* blocking.truncate('server.log')
 */
export function truncate(file: FileLike | PathLike, length = 0, options: BlockingOptions = {}): Op<void> {
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
  const abandon = abandonOf(options, false)
  if (typeof file === 'number' || (typeof file === 'object' && file !== null && 'fd' in file)) {
    return blockingCall({ kind: 'truncate', fd: fdOf(file), length }, (result) => void check(result, 'ftruncate'), abandon)
  }
  const path = pathOf('file', file)
  return blockingCall({ kind: 'truncatePath', path, length }, (result) => void check(result, 'truncate', where(path)), abandon)
}

function sync(fd: number, dataOnly: boolean, abandon: boolean): Op<void> {
  const syscall = dataOnly ? 'fdatasync' : 'fsync'
  return blockingCall({ kind: 'sync', fd, dataOnly }, (result) => void check(result, syscall), abandon)
}

/** @internal -1 is the file's own place. */
export function positionOf({ position }: { position?: number | undefined }): number {
  if (position === undefined) return -1
  checkInteger('options.position', position, 0, Number.MAX_SAFE_INTEGER)
  return position
}
