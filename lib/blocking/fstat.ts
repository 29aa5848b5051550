/** What kind of file an fd is, how large, and when it was changed. */
import { constants } from 'node:fs'
import { check } from '../kernel/errno.js'
import { FSTAT_NUMBERS } from '../kernel/layout.js'
import type { Op } from '../task/types.js'
import { checkInteger } from '../task/validate.js'
import { abandonOf, blockingCall, type BlockingOptions } from './pool.js'

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
export function fstat(fd: number, options: BlockingOptions = {}): Op<FileStatus> {
  checkInteger('fd', fd, 0, 0x7fff_ffff)
  return blockingCall({ kind: 'fstat', fd }, finish, abandonOf(options, false))
}

function finish(result: number, take: (into: Float64Array) => unknown): FileStatus {
  check(result, 'fstat')
  take(numbers)
  return new FileStatus(numbers)
}
