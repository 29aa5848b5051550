/** The names of Unix sockets: what may be one. */
import type { AnyAddress, UnixAddress } from '../kernel/kernel.js'
import { invalidType, invalidValue } from '../task/validate.js'

/** Abstract names, which begin with a NUL and are in no file system, are known to Linux only. */
const ABSTRACT = process.platform === 'linux'

/** Bytes of `sun_path` without the NUL at its end; an abstract name has none there. */
const LONGEST = ABSTRACT ? 107 : 103

/** Whether it is in no file system. */
export function isAbstract(path: string): boolean {
  return path.startsWith('\0')
}

/** Throws `ERR_INVALID_ARG_TYPE`, or `ERR_INVALID_ARG_VALUE` for what no Unix socket can be called. Nothing is cut off. */
export function unixAddress(name: string, path: unknown): UnixAddress {
  if (typeof path !== 'string') throw invalidType(name, 'of type string', path)
  if (path === '') throw invalidValue(name, 'must not be empty', path)
  if (isAbstract(path)) {
    if (!ABSTRACT) throw invalidValue(name, 'must be a path: this system has no abstract names', path)
  } else if (path.includes('\0')) {
    throw invalidValue(name, 'must not have a NUL in it, except as the first character of an abstract name', path)
  }
  const length = Buffer.byteLength(path)
  const longest = isAbstract(path) ? LONGEST + 1 : LONGEST
  if (length > longest) throw invalidValue(name, `must have at most ${longest} bytes, and has ${length}`, path)
  return { family: 'Unix', path }
}

/** The directory that has the file. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : path.slice(0, slash + 1)
}

/** Whether options say a path. One and a port at once are refused by whoever checks the rest. */
export function isUnix<U extends { path: string }>(options: object | U): options is U {
  return options !== null && typeof options === 'object' && 'path' in options && !('port' in options)
}

/** Undefined for what is no address of a Unix socket. */
export function asUnix(address: AnyAddress | number): UnixAddress | undefined {
  return typeof address === 'number' || address.family !== 'Unix' ? undefined : address
}
