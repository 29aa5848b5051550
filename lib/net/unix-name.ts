/**
 * Giving a Unix socket its name, and taking the name away again. A name in a file system outlives its socket: what is left
 * behind is told from what is in use, replaced without a race among those who do it this way, and removed only by its owner.
 */
import { check, EADDRINUSE, EAGAIN, ECONNREFUSED, SystemError } from '../kernel/errno.js'
import type { Kernel, UnixAddress } from '../kernel/kernel.js'
import { Handle } from '../io/handle.js'
import type { Runtime } from '../runtime/runtime.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { checkInteger, invalidType } from '../task/validate.js'
import { sleep } from '../time/sleep.js'
import { directoryOf, isAbstract, unixAddress } from './unix-path.js'

/** A name for a Unix socket, and how it comes by it. */
export interface UnixNameOptions {
  /** A path of at most 107 bytes; on Linux also an abstract name, which begins with a NUL and is in no file system. */
  path: string
  /**
   * Who may connect: the permissions of the file, such as 0o600. It is never more open than that, not even for a moment.
   * By default what the umask leaves. Abstract names have none: anyone on the machine may connect, see `peerCredentials`.
   */
  mode?: number | undefined
  /** Whether a socket file of ours that nobody is bound to any more is replaced; true by default. */
  replaceStale?: boolean | undefined
  /** Whether closing removes the file, if it is still the same; true by default. False: for a socket that is passed on. */
  removeFile?: boolean | undefined
}

/** What the options say, checked. */
export interface UnixName {
  readonly address: UnixAddress
  readonly mode: number | null
  readonly replaceStale: boolean
  readonly removeFile: boolean
}

/** A directory is locked for microseconds, unless somebody else uses the same lock for something else. */
const LOCK_PATIENCE = 20
const LOCK_PAUSE_MS = 1

const PERMISSIONS = 0o777

export function unixName({ path, mode, replaceStale = true, removeFile = true }: UnixNameOptions): UnixName {
  const address = unixAddress('options.path', path)
  if (mode !== undefined) checkInteger('options.mode', mode, 0, PERMISSIONS)
  if (typeof replaceStale !== 'boolean') throw invalidType('options.replaceStale', 'of type boolean', replaceStale)
  if (typeof removeFile !== 'boolean') throw invalidType('options.removeFile', 'of type boolean', removeFile)
  return { address, mode: mode === undefined || isAbstract(path) ? null : mode, replaceStale, removeFile }
}

/** The owner of a socket that has a name: takes it away when it closes the fd. */
export class NamedHandle extends Handle {
  /** What the file was when the socket got it; null when there is none to remove. */
  file: { readonly path: string; readonly identity: string } | null = null

  override close(): void {
    // While the socket is still bound: nobody takes it for stale, so that what is removed is what was looked at.
    if (!this.closed && this.file !== null) removeIfSame(this.kernel, this.file.path, this.file.identity)
    super.close()
  }
}

/**
 * Makes a socket, gives it a name, and has `begin` do the rest, such as listening. `syscall` is what errors call it. On
 * cancel nothing has happened.
 */
export function openNamed(
  runtime: Runtime,
  name: UnixName,
  type: 'stream' | 'datagram' | 'seqpacket',
  syscall: string,
  begin: (kernel: Kernel, fd: number) => void
): Op<NamedHandle> {
  return op(function* () {
    for (let patience = LOCK_PATIENCE; ; patience--) {
      const handle = tryOpen(runtime, name, type, syscall, begin, patience > 0)
      if (handle !== null) return handle
      yield* sleep(LOCK_PAUSE_MS)
    }
  })
}

/** Null: the directory is locked, and it is worth waiting. */
function tryOpen(
  runtime: Runtime,
  name: UnixName,
  type: 'stream' | 'datagram' | 'seqpacket',
  syscall: string,
  begin: (kernel: Kernel, fd: number) => void,
  patient: boolean
): NamedHandle | null {
  const { kernel } = runtime
  const { path } = name.address
  // Where the directory cannot be locked, what is there is left alone.
  const lock = isAbstract(path) ? -1 : kernel.lockDirectory(directoryOf(path))
  if (lock === EAGAIN && patient) return null
  try {
    const fd = check(kernel.socket('Unix', type), 'socket', name.address)
    let identity: string | null = null
    try {
      identity = bind(kernel, fd, name, syscall, lock >= 0)
      begin(kernel, fd)
    } catch (error) {
      if (identity !== null) removeIfSame(kernel, path, identity)
      kernel.closeFd(fd)
      throw error
    }
    return adopt(runtime, fd, name, identity)
  } finally {
    if (lock >= 0) kernel.closeFd(lock)
  }
}

function adopt(runtime: Runtime, fd: number, { address, removeFile }: UnixName, identity: string | null): NamedHandle {
  const { path } = address
  try {
    const handle = NamedHandle.adopt(runtime, fd)
    if (identity !== null && removeFile) handle.file = { path, identity }
    return handle
  } catch (error) {
    if (identity !== null) removeIfSame(runtime.kernel, path, identity)
    throw error
  }
}

/** Gives what the file is known by; null if there is none. */
function bind(kernel: Kernel, fd: number, name: UnixName, syscall: string, locked: boolean): string | null {
  const { address, mode } = name
  const { path } = address
  if (mode !== null) check(kernel.setMode(fd, mode), 'fchmod', address)
  let result = kernel.bind(fd, address)
  if (result === EADDRINUSE && locked && name.replaceStale && removeStale(kernel, path)) result = kernel.bind(fd, address)
  check(result, syscall, address)
  if (isAbstract(path)) return null
  const file = kernel.socketFile(path)
  if (typeof file === 'number') return null
  // The umask has taken away what was asked for. Nobody listens yet: who comes now is refused, as a moment before.
  if (mode !== null && (file.mode & PERMISSIONS) !== mode) {
    const widened = kernel.setFileMode(path, file.identity, mode)
    if (widened < 0) {
      removeIfSame(kernel, path, file.identity)
      throw new SystemError(widened, 'chmod', address)
    }
  }
  return file.identity
}

/** Removes a socket file of ours that no socket has any more. */
function removeStale(kernel: Kernel, path: string): boolean {
  const file = kernel.socketFile(path)
  if (typeof file === 'number' || !file.isSocket || !file.isOwn || !isDead(kernel, path)) return false
  return removeIfSame(kernel, path, file.identity)
}

/**
 * Whether no socket is bound to a file. Asked with a datagram socket: of a stream it says EPROTOTYPE as soon as one is
 * bound, also while it does not listen yet, and a server that lives sees no connection of ours.
 */
function isDead(kernel: Kernel, path: string): boolean {
  const probe = kernel.socket('Unix', 'datagram')
  if (probe < 0) return false
  const result = kernel.connect(probe, { family: 'Unix', path })
  kernel.closeFd(probe)
  return result === ECONNREFUSED
}

function removeIfSame(kernel: Kernel, path: string, identity: string): boolean {
  const file = kernel.socketFile(path)
  return typeof file !== 'number' && file.identity === identity && kernel.unlink(path) >= 0
}
