/**
 * What this machine has that not every machine has: the one place where a test says what it needs. One test with
 * `it.runIf(linux)`, a suite with `describe.runIf(linux)`, all tests of a file with `needs(linux)` before its other hooks.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeEach } from 'vitest'
import type { SocketFamily, SocketType } from '../lib/kernel/kernel.js'
import { nativeKernel } from '../lib/kernel/native.js'

/** Abstract names, seqpacket and `/proc`, netlink, eventfd and its kind, GSO, options and errors of its own. */
export const linux = process.platform === 'linux'

/** The system whose kqueue is emulated (`npm run test:kqueue`), if that is so. */
const emulated = process.env['COREACTOR_KQUEUE_SYSTEM']

/** Readiness comes from epoll, and not from kqueue. */
export const epoll = linux && emulated === undefined

/** Whose kqueue it is, if it is one. */
export const kqueueOf: string | null = epoll ? null : (emulated ?? (process.platform === 'darwin' ? 'macos' : process.platform))

/** One file may be watched under very many fds: Linux limits that for queues inside queues, of which the emulation is made. */
export const watchesOftenTheSame = epoll || !linux

/** FIFOs that have a name can be watched. */
export const watchesFifos = kqueueOf !== 'macos'

/** A process can have a network of its own, with interfaces to its liking: root on Linux, with iproute2. */
export const makesNetworks = linux && spawnSync('unshare', ['-n', 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1']).status === 0

/** What a program of `test/fixtures` prints, in a network of its own that `commands` of a shell have set up. */
export function runInNetwork(commands: string, fixture: string): string {
  const program = fileURLToPath(new URL(`fixtures/${fixture}`, import.meta.url))
  return execFileSync('unshare', ['-n', 'sh', '-ec', `${commands}\nexec '${process.execPath}' '${program}'`], { encoding: 'utf8' })
}

/** Whether this process may have such a socket, and the system knows it. */
export function opensSocket(family: SocketFamily, type: SocketType, protocol?: number): boolean {
  const kernel = nativeKernel()
  const fd = kernel.socket(family, type, protocol)
  if (fd >= 0) kernel.closeFd(fd)
  return fd >= 0
}

/** Skips every test of this file, or suite, where what it needs is missing. */
export function needs(what: boolean): void {
  beforeEach((context) => {
    if (!what) context.skip()
  })
}

/** How many descriptors this process has, the one of the listing among them. */
export function openFds(): number {
  return readdirSync('/dev/fd').length
}

/** What the descriptors of this process stand for, as Linux names it (`socket:[1234]`); elsewhere it is not known. */
export function openFiles(): string[] {
  if (!linux) return []
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return [] // The fd of the listing itself.
    }
  })
}
