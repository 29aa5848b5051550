/** The calls that block, under one name. */
import { copyFile } from './copy-file.js'
import { mkdir, readdir, rename, rmdir, unlink } from './directory.js'
import { open } from './file.js'
import { fdatasync, fsync, read, readv, truncate, write, writev } from './file-calls.js'
import { configure, running, statistics } from './limits.js'
import { flock, tryFlock } from './lock.js'
import { lookup, lookupService } from './lookup.js'
import { native } from './native-job.js'
import { fstat, lstat, stat } from './status.js'
import { waitAny, waitpid } from './wait-process.js'
import { appendFile, readFile, writeFile } from './whole-file.js'

/**
 * Calls that block, made by C++ threads of the library's own, for all environments of the process, started when they are
 * needed. A call that is queued when it is cancelled has not happened. One that has been begun is not interrupted: its task
 * stays parked until it has ended, and then sees the cancellation; with `{ abandon: true }` it is let go of at once, and its
 * result is discarded: an fd in it is closed. The process stays alive while somebody waits for a call, and ends without
 * waiting for one that nobody waits for.
 *
 * Calls on files, lookups of names, and calls that wait for others have limits of their own: see `configure`.
 */
export const blocking = {
  configure,
  statistics,
  running,
  lookup,
  lookupService,
  open,
  read,
  readv,
  write,
  writev,
  stat,
  lstat,
  fstat,
  fsync,
  fdatasync,
  truncate,
  rename,
  unlink,
  rmdir,
  mkdir,
  readdir,
  flock,
  tryFlock,
  copyFile,
  readFile,
  writeFile,
  appendFile,
  waitpid,
  waitAny,
  native
} as const
