/** What users call a path and the way a file is opened, as the kernel takes them. */
import { constants } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { FilePaths } from '../kernel/errno.js'
import type { PathBytes } from '../kernel/kernel.js'
import { checkInteger, invalidType, invalidValue } from '../task/validate.js'

/** A path: text, a `file:` URL, or bytes, as names on a disk need not be text. */
export type PathLike = string | URL | Uint8Array

/** How a file is opened: in the letters of Node's `fs`, or the numbers of open(2). */
export type OpenFlags = 'r' | 'r+' | 'rs+' | 'w' | 'wx' | 'w+' | 'wx+' | 'a' | 'ax' | 'a+' | 'ax+' | number

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants

const FLAGS: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  'r+': O_RDWR,
  'rs+': O_RDWR | O_SYNC,
  w: O_TRUNC | O_CREAT | O_WRONLY,
  wx: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  'w+': O_TRUNC | O_CREAT | O_RDWR,
  'wx+': O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  a: O_APPEND | O_CREAT | O_WRONLY,
  ax: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  'a+': O_APPEND | O_CREAT | O_RDWR,
  'ax+': O_APPEND | O_CREAT | O_RDWR | O_EXCL
}

/** Throws what is wrong with it. Bytes are copied: the caller may change them. */
export function pathOf(name: string, path: unknown): PathBytes {
  if (path instanceof URL) return fileURLToPath(path)
  if (path instanceof Uint8Array) {
    if (path.length === 0 || path.includes(0)) throw invalidValue(name, 'must not be empty, and have no zero in it', path)
    return Uint8Array.from(path)
  }
  if (typeof path !== 'string') throw invalidType(name, 'a string, a URL or a Uint8Array', path)
  if (path === '' || path.includes('\0')) throw invalidValue(name, 'must not be empty, and have no NUL in it', path)
  return path
}

/** For an error. */
export function where(path: PathBytes, dest?: PathBytes): FilePaths {
  return dest === undefined ? { path: textOf(path) } : { path: textOf(path), dest: textOf(dest) }
}

export function flagsOf(flags: OpenFlags): number {
  if (typeof flags === 'number') {
    checkInteger('flags', flags, 0, 0x7fff_ffff)
    return flags
  }
  if (typeof flags !== 'string') throw invalidType('flags', 'a string or a number', flags)
  const known = Object.hasOwn(FLAGS, flags) ? FLAGS[flags] : undefined
  if (known === undefined) throw invalidValue('flags', `must be one of ${Object.keys(FLAGS).join(', ')}`, flags)
  return known
}

export function modeOf(name: string, mode: unknown): number {
  checkInteger(name, mode, 0, 0o7777)
  return mode
}

function textOf(path: PathBytes): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString()
}
