/**
 * The files of the memory kernel: a tree of regular files and directories, and the descriptors that are open on them. Each
 * call answers as the system call does, at once; when it is made, and who hears of it, is for `memory-jobs.ts`.
 */
import { constants } from 'node:fs'
import { EAGAIN, EBADF, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY } from '../kernel/errno.js'
import type { Job, PathBytes } from '../kernel/kernel.js'
import { FILE_CALLS, Lock } from '../kernel/layout.js'

/** The contents of files by their absolute paths; the directories that they need are made. */
export type MemoryFileContents = Readonly<Record<string, string | Uint8Array>>

interface RegularFile {
  readonly number: number
  mode: number
  /** May be longer than the file. */
  bytes: Buffer
  size: number
  changed: number
  /** Who has it locked, and whether nobody else may. */
  readonly locks: Map<OpenFile, boolean>
}

interface Directory {
  readonly number: number
  mode: number
  changed: number
  readonly entries: Map<string, FileNode>
}

type FileNode = RegularFile | Directory

interface OpenFile {
  readonly node: FileNode
  readonly flags: number
  place: number
}

/** What a job has returned and found: see `Kernel.takeResult`. */
export interface FileOutcome {
  readonly result: number
  readonly found?: unknown
}

/** A range that no socket's number comes near. */
const FIRST_FD = 1_000_000
const BLOCK = 512
const { O_WRONLY, O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, S_IFREG, S_IFDIR } = constants
const O_ACCMODE = O_RDONLY | O_WRONLY | O_RDWR

export class MemoryFiles {
  private readonly now: () => number
  private lastNumber = 1
  private readonly root: Directory
  private readonly opened = new Map<number, OpenFile>()
  private lastFd = FIRST_FD

  constructor(contents: MemoryFileContents, now: () => number) {
    this.now = now
    this.root = this.newDirectory(0o755)
    for (const [path, data] of Object.entries(contents)) {
      this.makeDirectory(parentOf(path), 0o755, true)
      const fd = this.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      if (fd >= 0) this.write(fd, [Buffer.from(data)], 0)
      this.close(fd)
    }
  }

  /** How many descriptors are open. */
  get size(): number {
    return this.opened.size
  }

  has(fd: number): boolean {
    return this.opened.has(fd)
  }

  /** Makes the call of a job; null for one that is not about files. */
  call(job: Job): FileOutcome | null {
    switch (job.kind) {
      case 'open': {
        const fd = this.open(job.path, job.flags, job.mode)
        return fd < 0 ? { result: fd } : { result: 0, found: fd }
      }
      case 'close':
        return { result: this.close(job.fd) }
      case 'read':
        return this.bytesRead(job.fd, job.length, job.position)
      case 'write':
        return { result: this.write(job.fd, job.chunks, job.position) }
      case 'fstat':
        return this.status(this.opened.get(job.fd)?.node ?? EBADF)
      case 'stat':
        return this.status(this.find(job.path))
      case 'sync':
        return { result: this.opened.has(job.fd) ? 0 : EBADF }
      case 'truncate':
        return { result: this.truncate(this.writable(job.fd), job.length) }
      case 'truncatePath':
        return { result: this.truncate(this.find(job.path), job.length) }
      case 'rename':
        return { result: this.rename(job.path, job.to) }
      case 'remove':
        return { result: this.remove(job.path, job.directory) }
      case 'makeDirectory':
        return { result: this.makeDirectory(job.path, job.mode, job.parents) }
      case 'readDirectory':
        return this.names(job.path)
      case 'lock':
        return { result: this.lock(job.fd, job.how) }
      case 'copy': {
        const { result, found } = this.bytesRead(job.from, job.length, -1)
        return { result: result > 0 ? this.write(job.to, [found as Buffer], -1) : result }
      }
      case 'readFile':
        return this.readFile(job.path, job.flags, job.most)
      case 'writeFile':
        return this.writeFile(job.path, job.flags, job.mode, job.chunks)
      default:
        return null
    }
  }

  /** What a job has found is not taken by anybody: a descriptor in it is closed. */
  discard(job: Job, found: unknown): void {
    if (job.kind === 'open' && found !== undefined) this.close(found as number)
    if (job.kind === 'readFile' && found !== undefined) this.close((found as [unknown, unknown, number])[2])
  }

  /** Bytes of an open file, at most `length`, from `position`, or -1 for its own place; none at the end. Or -errno. */
  read(fd: number, length: number, position: number): Buffer | number {
    const open = this.opened.get(fd)
    if (open === undefined || (open.flags & O_ACCMODE) === O_WRONLY) return EBADF
    if ('entries' in open.node) return EISDIR
    const from = position < 0 ? open.place : position
    const bytes = Buffer.from(open.node.bytes.subarray(from, Math.min(from + length, open.node.size)))
    if (position < 0) open.place += bytes.length
    return bytes
  }

  private bytesRead(fd: number, length: number, position: number): FileOutcome {
    const bytes = this.read(fd, length, position)
    if (typeof bytes === 'number') return { result: bytes }
    return bytes.length === 0 ? { result: 0 } : { result: bytes.length, found: bytes }
  }

  private write(fd: number, chunks: readonly Uint8Array[], position: number): number {
    const node = this.writable(fd)
    if (typeof node === 'number') return node
    const open = this.opened.get(fd) as OpenFile
    const data = Buffer.concat(chunks)
    const at = (open.flags & O_APPEND) !== 0 ? node.size : position < 0 ? open.place : position
    if (at + data.length > node.size) this.truncate(node, at + data.length)
    data.copy(node.bytes, at)
    node.changed = this.now()
    if (position < 0) open.place = at + data.length
    return data.length
  }

  private writable(fd: number): RegularFile | number {
    const open = this.opened.get(fd)
    if (open === undefined || (open.flags & O_ACCMODE) === O_RDONLY || 'entries' in open.node) return EBADF
    return open.node
  }

  private truncate(node: FileNode | number, length: number): number {
    if (typeof node === 'number') return node
    if ('entries' in node) return EISDIR
    if (length > node.bytes.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * node.bytes.length))
      node.bytes.copy(larger, 0, 0, node.size)
      node.bytes = larger
    }
    // What is cut off reads as zeros, should it become a part again.
    else if (length < node.size) node.bytes.fill(0, length, node.size)
    node.size = length
    node.changed = this.now()
    return 0
  }

  private open(path: PathBytes, flags: number, mode: number): number {
    let node = this.find(path)
    if (node === ENOENT && (flags & O_CREAT) !== 0) {
      node = { number: ++this.lastNumber, mode, bytes: Buffer.alloc(0), size: 0, changed: this.now(), locks: new Map() }
      const put = this.put(path, node)
      if (put < 0) return put
    } else if (typeof node === 'number') {
      return node
    } else if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) {
      return EEXIST
    }
    if ('entries' in node && (flags & O_ACCMODE) !== O_RDONLY) return EISDIR
    if (!('entries' in node) && (flags & O_DIRECTORY) !== 0) return ENOTDIR
    if ((flags & O_TRUNC) !== 0 && (flags & O_ACCMODE) !== O_RDONLY) this.truncate(node, 0)
    const fd = this.lastFd++
    this.opened.set(fd, { node, flags, place: 0 })
    return fd
  }

  close(fd: number): number {
    const open = this.opened.get(fd)
    if (open === undefined) return EBADF
    this.opened.delete(fd)
    if (!('entries' in open.node)) open.node.locks.delete(open)
    return 0
  }

  private lock(fd: number, how: number): number {
    const open = this.opened.get(fd)
    if (open === undefined) return EBADF
    if ('entries' in open.node) return EINVAL
    const { locks } = open.node
    if (how === Lock.UNLOCK) return locks.delete(open), 0
    const alone = how === Lock.EXCLUSIVE
    for (const [who, theirsAlone] of locks) if (who !== open && (alone || theirsAlone)) return EAGAIN
    locks.set(open, alone)
    return 0
  }

  private readFile(path: PathBytes, flags: number, most: number): FileOutcome {
    const fd = this.open(path, flags, 0)
    if (fd < 0) return { result: fd, found: [FILE_CALLS.indexOf('open'), Buffer.alloc(0), -1] }
    const bytes = this.read(fd, most, -1)
    const { node, place } = this.opened.get(fd) as OpenFile
    const more = typeof bytes !== 'number' && !('entries' in node) && node.size > place
    if (!more) this.close(fd)
    const failed = FILE_CALLS.indexOf('read')
    if (typeof bytes === 'number') return { result: bytes, found: [failed, Buffer.alloc(0), -1] }
    return { result: bytes.length, found: [failed, bytes, more ? fd : -1] }
  }

  private writeFile(path: PathBytes, flags: number, mode: number, chunks: readonly Uint8Array[]): FileOutcome {
    const fd = this.open(path, flags, mode)
    if (fd < 0) return { result: fd, found: [FILE_CALLS.indexOf('open')] }
    const result = this.write(fd, chunks, -1)
    this.close(fd)
    return { result: Math.min(result, 0), found: [FILE_CALLS.indexOf('write')] }
  }

  private makeDirectory(path: PathBytes, mode: number, parents: boolean): number {
    const known = this.find(path)
    if (typeof known !== 'number') return parents && 'entries' in known ? 0 : EEXIST
    if (known === ENOENT && parents) {
      const result = this.makeDirectory(parentOf(path), mode, true)
      if (result < 0) return result === EEXIST ? ENOTDIR : result
    }
    return this.put(path, this.newDirectory(mode))
  }

  private newDirectory(mode: number): Directory {
    return { number: ++this.lastNumber, mode, changed: this.now(), entries: new Map() }
  }

  private names(path: PathBytes): FileOutcome {
    const node = this.find(path)
    if (typeof node === 'number') return { result: node }
    if (!('entries' in node)) return { result: ENOTDIR }
    const found = [...node.entries].flatMap(([name, each]) => [name, kindOf(each)])
    return found.length === 0 ? { result: 0 } : { result: node.entries.size, found }
  }

  private rename(from: PathBytes, to: PathBytes): number {
    const node = this.find(from)
    if (typeof node === 'number') return node
    const known = this.find(to)
    if (known === node) return 0
    const source = namesOf(from)
    const target = namesOf(to)
    if (source.every((name, i) => name === target[i])) return EINVAL
    if (typeof known !== 'number') {
      if (!('entries' in node) && 'entries' in known) return EISDIR
      if ('entries' in node && !('entries' in known)) return ENOTDIR
      if ('entries' in known && known.entries.size > 0) return ENOTEMPTY
    }
    const put = this.put(to, node)
    if (put < 0) return put
    return this.take(from)
  }

  private remove(path: PathBytes, directory: boolean): number {
    const node = this.find(path)
    if (typeof node === 'number') return node
    if ('entries' in node !== directory) return directory ? ENOTDIR : EISDIR
    if ('entries' in node && node.entries.size > 0) return ENOTEMPTY
    return this.take(path)
  }

  /** What is at a path, or -errno. */
  private find(path: PathBytes): FileNode | number {
    let node: FileNode = this.root
    for (const name of namesOf(path)) {
      if (!('entries' in node)) return ENOTDIR
      const next = node.entries.get(name)
      if (next === undefined) return ENOENT
      node = next
    }
    return node
  }

  private put(path: PathBytes, node: FileNode): number {
    return this.change(path, (entries, name) => entries.set(name, node))
  }

  private take(path: PathBytes): number {
    return this.change(path, (entries, name) => entries.delete(name))
  }

  private change(path: PathBytes, how: (entries: Map<string, FileNode>, name: string) => unknown): number {
    const name = namesOf(path).pop()
    if (name === undefined) return EINVAL
    const parent = this.find(parentOf(path))
    if (typeof parent === 'number') return parent
    if (!('entries' in parent)) return ENOTDIR
    how(parent.entries, name)
    parent.changed = this.now()
    return 0
  }

  private status(node: FileNode | number): FileOutcome {
    if (typeof node === 'number') return { result: node }
    const { number, mode, changed } = node
    const size = 'entries' in node ? node.entries.size : node.size
    const links = 'entries' in node ? 2 : 1
    // In the order of FileStatus.
    const numbers = [1, kindOf(node) | mode, links, 0, 0, 0, BLOCK, number, size, Math.ceil(size / BLOCK), changed, changed, changed]
    return { result: 0, found: Float64Array.from(numbers) }
  }
}

function kindOf(node: FileNode): number {
  return 'entries' in node ? S_IFDIR : S_IFREG
}

/** The names on the way from the root, which is the working directory, too. */
function namesOf(path: PathBytes): string[] {
  const names: string[] = []
  for (const name of Buffer.from(path as string).toString().split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

function parentOf(path: PathBytes): string {
  return namesOf(path).slice(0, -1).join('/')
}
