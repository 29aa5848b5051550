/**
 * What the package has a prebuilt addon for, and what it is compiled from. Read by scripts/cross.mjs, which compiles them,
 * and by those who check or pack them. lib/kernel/prebuilt.cts names the same files once more, as literals for bundlers.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

/** Node's own floor for glibc on Node 20 to 26; macOS 11 is the first for arm64. */
export const GLIBC = '2.28'
export const MACOS = '11.0'

/** `file` is a path in prebuilds/, with prebuildify's names, so that others' tools know them. `zig` is the compiler's target. */
export const targets = [
  { platform: 'linux', arch: 'x64', libc: 'glibc', zig: `x86_64-linux-gnu.${GLIBC}`, file: 'linux-x64/coreactor.glibc.node' },
  { platform: 'linux', arch: 'x64', libc: 'musl', zig: 'x86_64-linux-musl', file: 'linux-x64/coreactor.musl.node' },
  { platform: 'linux', arch: 'arm64', libc: 'glibc', zig: `aarch64-linux-gnu.${GLIBC}`, file: 'linux-arm64/coreactor.glibc.node' },
  { platform: 'linux', arch: 'arm64', libc: 'musl', zig: 'aarch64-linux-musl', file: 'linux-arm64/coreactor.musl.node' },
  { platform: 'darwin', arch: 'x64', libc: null, zig: `x86_64-macos.${MACOS}`, file: 'darwin-x64/coreactor.node' },
  { platform: 'darwin', arch: 'arm64', libc: null, zig: `aarch64-macos.${MACOS}`, file: 'darwin-arm64/coreactor.node' }
]

export const prebuilds = join(root, 'prebuilds')
/** In prebuilds/: a line for each file, as sha256sum writes them. */
export const SUMS = 'SHA256SUMS'
/** In prebuilds/: the digest of the sources that the files were compiled from. */
export const SOURCES = 'SOURCES.sha256'

/** The lists of native/sources.gypi by their names; paths are relative to native/. CMakeLists.txt reads it in the same way. */
export function sourceLists() {
  const lists = {}
  let current = []
  for (const [, list, source] of readFileSync(join(root, 'native/sources.gypi'), 'utf8').matchAll(/'(\w+_sources)'|'([\w/]+\.cc)'/g)) {
    if (list !== undefined) lists[list] = current = []
    else current.push(source)
  }
  return lists
}

/** The lists that are compiled for a platform; in native/binding.gyp they are conditions. */
const LISTS = {
  linux: ['core_sources', 'core_epoll_sources', 'core_linux_sources', 'node_sources'],
  darwin: [
    'core_sources', 'core_kqueue_sources', 'core_bsd_sources', 'core_macos_sources', 'node_sources', 'node_macos_sources',
    'prebuilt_macos_sources'
  ]
}

/** What is compiled for a platform. Throws if there is nothing that is its own. */
export function sourcesFor(platform) {
  const lists = sourceLists()
  const own = { linux: 'core_linux_sources', darwin: 'core_macos_sources' }[platform]
  if (lists[own] === undefined) throw new Error(`native/sources.gypi has no ${own}`)
  return LISTS[platform].flatMap((name) => lists[name] ?? [])
}

/** Of all that decides what the compiler makes: our sources, its flags, and the versions of it and of the headers. */
export function sourcesDigest() {
  const files = readdirSync(join(root, 'native'), { recursive: true })
    .filter((file) => /\.(cc|h|gypi|map)$/.test(file) && !/^(test|build|vendor)\//.test(file))
    .map((file) => `native/${file}`)
  const tools = ['cross.mjs', 'targets.mjs', 'zig/package-lock.json', 'headers/package-lock.json'].map((file) => `scripts/${file}`)
  const hash = createHash('sha256')
  for (const file of [...files, ...tools].sort()) hash.update(`${file}\0`).update(readFileSync(join(root, file))).update('\0')
  for (const header of ['node-addon-api', 'node-api-headers']) hash.update(readFileSync(join(root, 'node_modules', header, 'package.json')))
  return hash.digest('hex')
}

export function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
