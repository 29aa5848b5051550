/** Copying a file. */
import { constants } from 'node:fs'
import { check, EEXIST, SystemError } from '../kernel/errno.js'
import type { PathBytes } from '../kernel/kernel.js'
import { blockingCall } from '../jobs/blocking-call.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'
import { shield } from '../time/shield.js'
import { unlink } from './directory.js'
import { openAs, type File } from './file.js'
import { pathOf, where, type PathLike } from './path.js'
import { fstat, type FileStatus } from './status.js'

/** Options of `blocking.copyFile`. */
export interface CopyFileOptions {
  /** Whether it is an error, `EEXIST`, that there is a file of that name already. By default it is written over. */
  exclusive?: boolean | undefined
}

/** So much a job: a copy gives way to other calls, and can be called off, every few milliseconds. */
const CHUNK = 16 * 1024 * 1024

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants

/**
 * Copies what is in a file, and its mode, and gives the number of bytes. Where the system can (Linux: copy_file_range and
 * sendfile), they do not come here, and a file system that can share blocks does. On cancel, and on an error, a copy that
 * was newly made is removed. Errors: system errors with `path` and `dest`; `ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, thrown at once.
 *
 * @example
 * yield* blocking.copyFile('server.log', 'server.log.1', { exclusive: true })
 */
export function copyFile(from: PathLike, to: PathLike, options: CopyFileOptions = {}): Op<number> {
  const { exclusive = false } = options
  if (typeof exclusive !== 'boolean') throw invalidType('options.exclusive', 'of type boolean', exclusive)
  const source = pathOf('from', from)
  const target = pathOf('to', to)
  return op(() => copying(source, target, exclusive))
}

function* copying(source: PathBytes, target: PathBytes, exclusive: boolean): Coroutine<number> {
  const from = yield* openAs(source, O_RDONLY, 0, false)
  try {
    const about = yield* fstat(from)
    const { file: to, made } = yield* openTarget(target, about.mode & 0o7777, exclusive)
    let whole = false
    try {
      let copied = 0
      if (made || !(yield* isSame(about, to))) {
        if (!made) yield* to.truncate()
        for (let count; (count = yield* copyOnce(from.fd, to.fd, source, target)) > 0; ) copied += count
      }
      whole = true
      return copied
    } finally {
      // First: in a cancelled scope closing throws again.
      if (made && !whole) yield* shield(() => unlink(target))
      yield* to.close()
    }
  } finally {
    yield* from.close()
  }
}

/** Not with O_TRUNC: it may be the source itself. */
function* openTarget(path: PathBytes, mode: number, exclusive: boolean): Coroutine<{ file: File; made: boolean }> {
  try {
    // Whatever happens: it is known then that there is a file to remove.
    return { file: yield* openAs(path, O_WRONLY | O_CREAT | O_EXCL, mode, false, null), made: true }
  } catch (error) {
    if (exclusive || !(error instanceof SystemError) || error.errno !== EEXIST) throw error
    return { file: yield* openAs(path, O_WRONLY, mode, false), made: false }
  }
}

function* isSame({ dev, ino }: FileStatus, file: File): Coroutine<boolean> {
  const about = yield* fstat(file)
  return about.dev === dev && about.ino === ino
}

function copyOnce(from: number, to: number, source: PathBytes, target: PathBytes): Op<number> {
  return blockingCall(
    { kind: 'copy', from, to, length: CHUNK },
    (result) => check(result, 'copyfile', where(source, target)),
    false
  )
}
