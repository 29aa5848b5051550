/** System errors: the numbers the library acts on, and the error a user sees, in Node's shape. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import type { AnyAddress } from './kernel.js'

const { errno } = constants

/** What a kernel returns for these: `-errno`. */
export const EAGAIN = -errno.EAGAIN
export const EINPROGRESS = -errno.EINPROGRESS
export const EINTR = -errno.EINTR
export const EINVAL = -errno.EINVAL
export const EBADF = -errno.EBADF
export const EPERM = -errno.EPERM
export const EPIPE = -errno.EPIPE
export const ENOTSOCK = -errno.ENOTSOCK
export const ENOTCONN = -errno.ENOTCONN
export const ECONNRESET = -errno.ECONNRESET
export const ECONNABORTED = -errno.ECONNABORTED
export const ECONNREFUSED = -errno.ECONNREFUSED
export const EPROTO = -errno.EPROTO
export const EPROTOTYPE = -errno.EPROTOTYPE
export const EMFILE = -errno.EMFILE
export const ENFILE = -errno.ENFILE
export const ENOBUFS = -errno.ENOBUFS
export const ENOMEM = -errno.ENOMEM
export const ENETDOWN = -errno.ENETDOWN
export const ENETUNREACH = -errno.ENETUNREACH
export const EHOSTUNREACH = -errno.EHOSTUNREACH
export const EOPNOTSUPP = -errno.EOPNOTSUPP
export const ENOPROTOOPT = -errno.ENOPROTOOPT
export const EADDRINUSE = -errno.EADDRINUSE
export const EADDRNOTAVAIL = -errno.EADDRNOTAVAIL
export const EAFNOSUPPORT = -errno.EAFNOSUPPORT
export const EISDIR = -errno.EISDIR
export const ENXIO = -errno.ENXIO
export const EOVERFLOW = -errno.EOVERFLOW
export const ESPIPE = -errno.ESPIPE
export const EIO = -errno.EIO
export const ENOSYS = -errno.ENOSYS
export const EISCONN = -errno.EISCONN
export const EMSGSIZE = -errno.EMSGSIZE
export const ENODEV = -errno.ENODEV
export const EDESTADDRREQ = -errno.EDESTADDRREQ
export const EACCES = -errno.EACCES
/** Node's table leaves it out. */
export const EHOSTDOWN = process.platform === 'linux' ? -112 : -64
export const EEXIST = -errno.EEXIST
export const ENOENT = -errno.ENOENT
export const ENOTDIR = -errno.ENOTDIR
export const ENOTEMPTY = -errno.ENOTEMPTY
export const ETIMEDOUT = -errno.ETIMEDOUT
export const ECHILD = -errno.ECHILD
export const ESRCH = -errno.ESRCH
export const EALREADY = -errno.EALREADY
export const ECANCELED = -errno.ECANCELED

/** The `syscall` of an error with which the system refuses to watch an fd. */
export const WATCH_CALL = process.platform === 'linux' ? 'epoll_ctl' : 'kevent'

/** What a kernel returns for the error of this name; undefined if the system has none. */
export function errnoOf(name: string): number | undefined {
  return Object.hasOwn(errno, name) ? -errno[name as keyof typeof errno] : undefined
}

/** Of a call on files: where they are. */
export interface FilePaths {
  readonly path: string
  /** Of a call that has a target, too. */
  readonly dest?: string | undefined
}

/** Of what there is neither an address nor a path. */
export interface Described {
  readonly what: string
}

/** A system call has failed. The same properties as Node's own system errors. */
export class SystemError extends Error {
  /** The name of the errno: `'ECONNRESET'`. */
  readonly code: string
  /** Negative, as in Node. */
  readonly errno: number
  readonly syscall: string
  declare readonly address?: string
  declare readonly port?: number

  declare readonly path?: string
  declare readonly dest?: string

  constructor(errno: number, syscall: string, where?: AnyAddress | FilePaths | Described) {
    const [code, text] = getSystemErrorMap().get(errno) ?? nameless(errno)
    super(messageOf(code, text, syscall, where))
    this.code = code
    this.errno = errno
    this.syscall = syscall
    if (where === undefined || 'what' in where) return
    if (!('family' in where)) {
      this.path = where.path
      if (where.dest !== undefined) this.dest = where.dest
    } else if (where.family === 'Unix') {
      this.address = where.path
    } else {
      this.address = where.address
      this.port = where.port
    }
  }
}

/** What libuv's table leaves out, such as ECHILD. */
function nameless(errno: number): readonly [code: string, text: string] {
  const [name = `E${-errno}`] = Object.entries(constants.errno).find(([, number]) => -number === errno) ?? []
  return [name, name === 'ECHILD' ? 'no child processes' : 'unknown error']
}

/** As Node words it: of a file, "ENOENT: no such file or directory, open '/nowhere'". */
function messageOf(code: string, text: string, syscall: string, where: AnyAddress | FilePaths | Described | undefined): string {
  if (where === undefined) return `${syscall} ${code}: ${text}`
  if ('what' in where) return `${syscall} ${code}: ${text} (${where.what})`
  if ('family' in where) return `${syscall} ${code}: ${text} ${addressText(where)}`
  const target = where.dest === undefined ? '' : ` -> '${where.dest}'`
  return `${code}: ${text}, ${syscall} '${where.path}'${target}`
}

/** Gives back a result that is no error; throws `SystemError` for one that is. */
export function check(result: number, syscall: string, where?: AnyAddress | FilePaths | Described): number {
  if (result < 0) throw new SystemError(result, syscall, where)
  return result
}

/** An address as people write it; the NUL of an abstract name as `@`. */
export function addressText(address: AnyAddress): string {
  if (address.family === 'Unix') return address.path.replaceAll('\0', '@')
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`
}
