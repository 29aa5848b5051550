/**
 * `npm run check:binaries`: whether prebuilds/ may be published. All the addons are there, compiled from these sources, as
 * their SHA-256 list says; each is of its platform, small, asks for nothing that an old system lacks, and exports only what
 * Node looks for. Prints a line for each; ends with 1 if anything is wrong. Reads the files itself, and needs no tools.
 *
 *   node scripts/check-binaries.mjs linux       only those whose names begin so; the digest of the sources is not looked at
 *   node scripts/check-binaries.mjs --in FOLDER   those in another folder
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { readElf } from './elf.mjs'
import { readMachO } from './mach-o.mjs'
import { root } from './setup.mjs'
import { GLIBC, MACOS, prebuilds, sha256, SOURCES, sourcesDigest, SUMS, targets } from './targets.mjs'

const EXPORTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
/** zig's linker gives every library of macOS its own of these; nobody looks for another library's. */
const LINKERS = new Set(['_mh_dylib_header', '__dso_handle'])
const MAX_BYTES = 600_000
/** Of the six together, compressed. Beyond some megabytes, a package for each platform would be the better scheme. */
const MAX_COMPRESSED = 2_000_000
const LIBRARIES = {
  // What a process that runs Node has in it anyway.
  glibc: /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1|ld-linux-(x86-64\.so\.2|aarch64\.so\.1))$/,
  musl: /^libc\.so$/,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/
}

const { values: options, positionals: names } = parseArgs({ options: { in: { type: 'string' } }, allowPositionals: true })
const folder = options.in ?? prebuilds
const wanted = targets.filter(({ file }) => names.length === 0 || names.some((name) => file.startsWith(name)))
let wrong = 0
let compressed = 0

const sums = contentOf(SUMS)
for (const target of wanted) {
  const problems = problemsOf(target)
  wrong += problems.length
  console.log(`${problems.length === 0 ? 'ok    ' : 'WRONG '} ${target.file}${problems.map((each) => `\n         ${each}`).join('')}`)
}
if (compressed > MAX_COMPRESSED) complain(`${compressed} bytes compressed are more than ${MAX_COMPRESSED}`)
if (names.length === 0) {
  if (contentOf(SOURCES)?.trim() !== sourcesDigest()) complain('prebuilds/ was compiled from other sources: npm run binaries')
  for (const file of strangers()) complain(`${file} would be published, too`)
}
if (sums === undefined) complain(`${SUMS} is missing: npm run binaries`)
console.log(`${wanted.length} files, ${compressed} bytes compressed`)
process.exitCode = wrong > 0 ? 1 : 0

function complain(problem) {
  console.log(`WRONG  ${problem}`)
  wrong++
}

/** What lies between the files: what a compiler left that was killed. */
function strangers() {
  const ours = new Set([...targets.map(({ file }) => file), SUMS, SOURCES])
  const entries = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []
  const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  return files.filter((file) => !ours.has(file))
}

/** Undefined if there is no such file. */
function contentOf(file) {
  return existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : undefined
}

function problemsOf(target) {
  const path = join(folder, target.file)
  if (!existsSync(path)) return ['is missing: npm run binaries']
  const bytes = readFileSync(path)
  compressed += gzipSync(bytes, { level: 9 }).length
  const problems = []
  if (bytes.length > MAX_BYTES) problems.push(`${bytes.length} bytes are more than ${MAX_BYTES}`)
  if (sums !== undefined && !sums.includes(`${sha256(path)}  ${target.file}\n`)) problems.push(`is not what ${SUMS} says`)
  for (const hidden of [root, `${homedir()}/`, `${tmpdir()}/`, 'node_modules']) {
    if (bytes.includes(hidden)) problems.push(`has a path of the machine in it: ${hidden}`)
  }
  try {
    problems.push(...(target.platform === 'darwin' ? machOProblems(readMachO(bytes), target) : elfProblems(readElf(bytes), target)))
  } catch (error) {
    // What cannot be read is no reason not to look at the others.
    problems.push(error.message)
  }
  return problems
}

/** What both formats have. */
function commonProblems(found, { arch, platform, libc }) {
  if (found.arch !== arch) return [`is for ${found.arch}`]
  const allowed = LIBRARIES[libc ?? platform]
  const problems = found.libraries.filter((library) => !allowed.test(library)).map((library) => `needs ${library}`)
  const exported = found.exports.filter((name) => platform !== 'darwin' || !LINKERS.has(name)).toSorted().join(', ')
  if (exported !== EXPORTS.join(', ')) problems.push(`exports ${exported === '' ? 'nothing' : exported}`)
  return problems
}

function machOProblems(found, target) {
  const problems = commonProblems(found, target)
  if (found.minimum !== MACOS) problems.push(`wants macOS ${found.minimum}, not ${MACOS}`)
  // The kernel of an arm64 Mac runs nothing that is not signed, be it by nobody.
  if (target.arch === 'arm64' && !found.signed) problems.push('has no signature')
  return problems
}

function elfProblems(found, target) {
  const problems = commonProblems(found, target)
  const beyond = found.versions.filter((version) => !withinGlibc(version))
  if (beyond.length > 0) problems.push(`wants ${beyond.join(', ')}; the ceiling is GLIBC_${GLIBC}`)
  if (target.libc === 'musl' && found.versions.length > 0) problems.push(`wants ${found.versions.join(', ')} of a musl system`)
  if (!found.nodelete) problems.push('is not marked NODELETE')
  return problems
}

/** `GLIBC_2.17`, not above the ceiling; no other family, such as GLIBCXX. */
function withinGlibc(version) {
  const [family, number = ''] = version.split('_')
  const [major, minor] = number.split('.').map(Number)
  const [highest, second] = GLIBC.split('.').map(Number)
  return family === 'GLIBC' && (major < highest || (major === highest && minor <= second))
}
