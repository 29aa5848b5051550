/** Names of files: renaming, removing, making and listing them. */
import { constants } from 'node:fs'
import { check } from '../kernel/errno.js'
import { abandonOf, blockingCall, type BlockingOptions } from '../jobs/blocking-call.js'
import type { Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'
import { modeOf, pathOf, where, type PathLike } from './path.js'

/** Options of `blocking.mkdir`. */
export interface MkdirOptions extends BlockingOptions {
  /** Whether directories that are missing on the way are made, too, and one that is there already is no error. */
  recursive?: boolean | undefined
  /** 0o777 by default; the umask takes its bits away. */
  mode?: number | undefined
}

/** Options of `blocking.readdir`. */
export interface ReaddirOptions extends BlockingOptions {
  /** Whether what kind of file each entry is comes with its name. */
  withFileTypes?: boolean | undefined
}

/** An entry of a directory, in the shape of Node's `fs.Dirent`. */
export class DirectoryEntry {
  readonly name: string
  /** The bits of `S_IFMT`; 0 if the entry was gone before they were known. */
  private readonly kind: number

  /** @internal */
  constructor(name: string, kind: number) {
    this.name = name
    this.kind = kind
  }

  isFile(): boolean {
    return this.kind === constants.S_IFREG
  }

  isDirectory(): boolean {
    return this.kind === constants.S_IFDIR
  }

  isSymbolicLink(): boolean {
    return this.kind === constants.S_IFLNK
  }

  isSocket(): boolean {
    return this.kind === constants.S_IFSOCK
  }

  isFIFO(): boolean {
    return this.kind === constants.S_IFIFO
  }

  isCharacterDevice(): boolean {
    return this.kind === constants.S_IFCHR
  }

  isBlockDevice(): boolean {
    return this.kind === constants.S_IFBLK
  }
}

/**
 * Gives a file another name, taking the place of what had it: rename(2). Errors: system errors with `path` and `dest`,
 * such as `EXDEV` for another file system; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, thrown at once.
 *
 * @example
 * yield* blocking.writeFile('state.json.new', '{}')
 * yield* blocking.rename('state.json.new', 'state.json')
 */
export function rename(from: PathLike, to: PathLike, options: BlockingOptions = {}): Op<void> {
  const path = pathOf('from', from)
  const target = pathOf('to', to)
  return blockingCall(
    { kind: 'rename', path, to: target },
    (result) => void check(result, 'rename', where(path, target)),
    abandonOf(options, false)
  )
}

/** Removes a file's name, and the file when nobody has it open: unlink(2). Errors as for `stat`. */
export function unlink(path: PathLike, options: BlockingOptions = {}): Op<void> {
  return remove(path, false, options)
}

/** Removes an empty directory: rmdir(2). Errors as for `stat`, such as `ENOTEMPTY`. */
export function rmdir(path: PathLike, options: BlockingOptions = {}): Op<void> {
  return remove(path, true, options)
}

/**
 * Makes a directory: mkdir(2). Errors as for `stat`, such as `EEXIST`.
 *
 * @example
 * yield* blocking.mkdir('var/log/service', { recursive: true })
 */
export function mkdir(path: PathLike, options: MkdirOptions = {}): Op<void> {
  const { recursive = false, mode = 0o777 } = options
  if (typeof recursive !== 'boolean') throw invalidType('options.recursive', 'of type boolean', recursive)
  const bytes = pathOf('path', path)
  return blockingCall(
    { kind: 'makeDirectory', path: bytes, mode: modeOf('options.mode', mode), parents: recursive },
    (result) => void check(result, 'mkdir', where(bytes)),
    abandonOf(options, false)
  )
}

/**
 * The names in a directory, in no particular order; "." and ".." are left out. Errors as for `stat`, with `scandir` as
 * the `syscall`, as Node has it.
 *
 * @example
 * for (const entry of yield* blocking.readdir('.', { withFileTypes: true })) if (entry.isFile()) handle(entry.name)
 */
export function readdir(path: PathLike, options: ReaddirOptions & { withFileTypes: true }): Op<DirectoryEntry[]>
export function readdir(path: PathLike, options?: ReaddirOptions & { withFileTypes?: false | undefined }): Op<string[]>
export function readdir(path: PathLike, options: ReaddirOptions = {}): Op<string[] | DirectoryEntry[]> {
  const { withFileTypes = false } = options
  if (typeof withFileTypes !== 'boolean') throw invalidType('options.withFileTypes', 'of type boolean', withFileTypes)
  const bytes = pathOf('path', path)
  return blockingCall<string[] | DirectoryEntry[]>(
    { kind: 'readDirectory', path: bytes },
    (result, take) => {
      check(result, 'scandir', where(bytes))
      const found = result === 0 ? [] : (take() as (string | number)[])
      const names = found.filter((_, i) => i % 2 === 0) as string[]
      return withFileTypes ? names.map((name, i) => new DirectoryEntry(name, found[2 * i + 1] as number)) : names
    },
    abandonOf(options, false)
  )
}

function remove(path: PathLike, directory: boolean, options: BlockingOptions): Op<void> {
  const bytes = pathOf('path', path)
  const syscall = directory ? 'rmdir' : 'unlink'
  return blockingCall(
    { kind: 'remove', path: bytes, directory },
    (result) => void check(result, syscall, where(bytes)),
    abandonOf(options, false)
  )
}
