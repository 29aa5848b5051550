/** What kind of file something is, how large, and when it was changed. */
import { constants } from 'node:fs'
import { check } from '../kernel/errno.js'
import { FSTAT_NUMBERS } from '../kernel/layout.js'
import { fdOf, type FileLike } from '../io/send-file.js'
import { abandonOf, blockingCall, type BlockingOptions, type Take } from '../jobs/blocking-call.js'
import type { Op } from '../task/types.js'
import { pathOf, where, type PathLike } from './path.js'

/** The numbers of stat(2), under the names of Node's `fs.Stats`. Times are milliseconds since 1970, with fractions. */
export class FileStatus {
  readonly dev: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly blksize: number
  readonly ino: number
  readonly size: number
  readonly blocks: number
  readonly atimeMs: number
  readonly mtimeMs: number
  readonly ctimeMs: number

  /** @internal In the order of `FstatResult` of job_bindings.cc. */
  constructor(numbers: Float64Array) {
    this.dev = numbers[0] as number
    this.mode = numbers[1] as number
    this.nlink = numbers[2] as number
    this.uid = numbers[3] as number
    this.gid = numbers[4] as number
    this.rdev = numbers[5] as number
    this.blksize = numbers[6] as number
    this.ino = numbers[7] as number
    this.size = numbers[8] as number
    this.blocks = numbers[9] as number
    this.atimeMs = numbers[10] as number
    this.mtimeMs = numbers[11] as number
    this.ctimeMs = numbers[12] as number
  }

  isFile(): boolean {
    return this.is(constants.S_IFREG)
  }

  isDirectory(): boolean {
    return this.is(constants.S_IFDIR)
  }

  isSocket(): boolean {
    return this.is(constants.S_IFSOCK)
  }

  isFIFO(): boolean {
    return this.is(constants.S_IFIFO)
  }

  isCharacterDevice(): boolean {
    return this.is(constants.S_IFCHR)
  }

  isBlockDevice(): boolean {
    return this.is(constants.S_IFBLK)
  }

  isSymbolicLink(): boolean {
    return this.is(constants.S_IFLNK)
  }

  private is(kind: number): boolean {
    return (this.mode & constants.S_IFMT) === kind
  }
}

/** Read as soon as it is written: one is enough. */
const numbers = new Float64Array(FSTAT_NUMBERS)

/**
 * What is known of an open file: fstat(2), in a thread of the pool, because a file may be on a disk that has failed or on
 * a network. Errors: system errors such as `EBADF`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const { size } = yield* blocking.fstat(0)
 */
export function fstat(file: FileLike, options: BlockingOptions = {}): Op<FileStatus> {
  return blockingCall({ kind: 'fstat', fd: fdOf(file) }, finishFstat, abandonOf(options, false))
}

function finishFstat(result: number, take: Take): FileStatus {
  check(result, 'fstat')
  take(numbers)
  return new FileStatus(numbers)
}

/**
 * What is known of the file that `path` leads to: stat(2). Errors: system errors with `path`, such as `ENOENT`;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, thrown at once.
 *
 * @example
 * const { mtimeMs } = yield* blocking.stat('package.json')
 */
export function stat(path: PathLike, options: BlockingOptions = {}): Op<FileStatus> {
  return statOf(path, options, true)
}

/** The same of a symbolic link itself, which is not followed: lstat(2). */
export function lstat(path: PathLike, options: BlockingOptions = {}): Op<FileStatus> {
  return statOf(path, options, false)
}

function statOf(path: PathLike, options: BlockingOptions, follow: boolean): Op<FileStatus> {
  const bytes = pathOf('path', path)
  return blockingCall(
    { kind: 'stat', path: bytes, follow },
    (result, take) => {
      check(result, follow ? 'stat' : 'lstat', where(bytes))
      take(numbers)
      return new FileStatus(numbers)
    },
    abandonOf(options, false)
  )
}
