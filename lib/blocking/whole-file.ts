/** Files that are read or written as a whole: a small one with one job, which opens, reads or writes, and closes. */
import { constants } from 'node:fs'
import { SystemError } from '../kernel/errno.js'
import type { PathBytes } from '../kernel/kernel.js'
import { FILE_CALLS, JOB_MOST_BYTES } from '../kernel/layout.js'
import { abandonOf, type BlockingOptions, type Take } from '../jobs/blocking-call.js'
import type { Chunks } from '../jobs/transfer.js'
import type { WriteData } from '../io/write.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { chunksOf } from './bytes.js'
import { File, openAs } from './file.js'
import { opening } from './opening.js'
import { flagsOf, modeOf, pathOf, where, type OpenFlags, type PathLike } from './path.js'
import { currentRuntime } from '../runtime/current.js'

/** Options of `blocking.readFile`. */
export interface ReadFileOptions extends BlockingOptions {
  /** What text it is made of; by default it is bytes. */
  encoding?: BufferEncoding | null | undefined
}

/** Options of `blocking.writeFile` and `appendFile`. */
export interface WriteFileOptions extends BlockingOptions {
  /** `'w'` by default: an old file is written over. `'wx'` fails if there is one, `'a'` writes at its end. */
  flags?: OpenFlags | undefined
  /** Of a new file: 0o666 by default; the umask takes its bits away. */
  mode?: number | undefined
}

/**
 * Everything in a file: bytes, or text in an encoding. Up to 1 MiB takes one call in a thread, more takes one for each MiB.
 * On cancel nothing stays open. Errors: system errors with `path`, such as `ENOENT` and `EISDIR`; `ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, thrown at once.
 *
 * @example
 * const config = JSON.parse(yield* blocking.readFile('config.json', 'utf8'))
 */
export function readFile(path: PathLike, options: (ReadFileOptions & { encoding: BufferEncoding }) | BufferEncoding): Op<string>
export function readFile(path: PathLike, options?: ReadFileOptions & { encoding?: null | undefined }): Op<Buffer>
export function readFile(path: PathLike, options: ReadFileOptions | BufferEncoding = {}): Op<Buffer | string> {
  const { encoding = null, ...rest } = typeof options === 'string' ? { encoding: options } : options
  if (encoding !== null && !Buffer.isEncoding(encoding)) throw invalidValue('options.encoding', 'must be an encoding', encoding)
  const bytes = pathOf('path', path)
  const abandon = abandonOf(rest, false)
  return op(function* () {
    const whole = yield* readWhole(bytes, abandon)
    return encoding === null ? whole : whole.toString(encoding)
  })
}

function* readWhole(path: PathBytes, abandon: boolean): Coroutine<Buffer> {
  const [first, fd] = yield* opening(
    (waits) => ({ kind: 'readFile', path, flags: constants.O_RDONLY, most: JOB_MOST_BYTES, waits }),
    (result, take) => {
      const [failed, first, fd] = take() as [number, Buffer, number]
      if (result < 0) throw new SystemError(result, FILE_CALLS[failed] as string, where(path))
      return [first, fd] as const
    },
    abandon
  )
  if (fd < 0) return first
  const rest = new File(currentRuntime(), fd, path, false)
  try {
    const chunks = [first]
    for (;;) {
      const chunk = Buffer.allocUnsafeSlow(JOB_MOST_BYTES)
      const count = yield* rest.read(chunk)
      if (count === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, count))
    }
  } finally {
    yield* rest.close()
  }
}

/**
 * Writes a whole file, which is made if there is none. Up to 1 MiB takes one call in a thread. What is read meanwhile may
 * be a part of it: to have it seen all at once, write another file, and `rename` it. On cancel, and on an error, a part may
 * have been written. Errors: system errors with `path`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
 * `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * yield* blocking.writeFile('service.pid', `${process.pid}\n`)
 */
export function writeFile(path: PathLike, data: WriteData, options: WriteFileOptions = {}): Op<void> {
  return writeWhole(path, data, options, 'w')
}

/** Writes at the end of a file, which is made if there is none. Otherwise as `writeFile`. */
export function appendFile(path: PathLike, data: WriteData, options: WriteFileOptions = {}): Op<void> {
  return writeWhole(path, data, options, 'a')
}

function writeWhole(path: PathLike, data: WriteData, options: WriteFileOptions, usual: OpenFlags): Op<void> {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'of type object', options)
  const bytes = pathOf('path', path)
  const chunks = chunksOf('data', data)
  const flags = flagsOf(options.flags ?? usual)
  const mode = modeOf('options.mode', options.mode ?? 0o666)
  const abandon = abandonOf(options, false)
  if (chunks.size > JOB_MOST_BYTES) return op(() => writeLarge(bytes, chunks, flags, mode, abandon))
  const finish = (result: number, take: Take): void => {
    const [failed] = take() as [number]
    if (result < 0) throw new SystemError(result, FILE_CALLS[failed] as string, where(bytes))
  }
  return opening((waits) => ({ kind: 'writeFile', path: bytes, flags, mode, chunks: chunks.all, waits }), finish, abandon)
}

function* writeLarge(path: PathBytes, chunks: Chunks, flags: number, mode: number, abandon: boolean): Coroutine<void> {
  const file = yield* openAs(path, flags, mode, abandon)
  try {
    yield* file.writeChunks(chunks, -1, abandon)
  } finally {
    yield* file.close()
  }
}
