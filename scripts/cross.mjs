/**
 * `npm run binaries`: compiles the addon for all that the package ships one for, on one Linux machine, into prebuilds/,
 * with their SHA-256 list. Arguments are the beginnings of the file names to compile: `npm run binaries -- linux-x64`.
 *
 *   npm run binaries -- --check     compiles everything again elsewhere, and compares: the same sources give the same bytes
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { headers } from './headers.mjs'
import { root } from './setup.mjs'
import { prebuilds, sha256, SOURCES, sourcesDigest, sourcesFor, SUMS, targets } from './targets.mjs'
import { zig } from './zig.mjs'

/** The same as in native/binding.gyp, but for what a compiler of another kind says: -Werror is for the builds of tests. */
const FLAGS = [
  '-O2', '-std=c++17', '-fPIC', '-shared', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden', '-pthread', '-s',
  // Of the compiler's own C++ library.
  '-Wno-nullability-completeness'
]
const DEFINES = [
  '-DNAPI_VERSION=8',
  '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
  '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
  '-D_FORTIFY_SOURCE=2',
  '-DNDEBUG'
]
/** The names that POSIX has for them. */
const DARWIN_DEFINES = ['-Dst_atim=st_atimespec', '-Dst_mtim=st_mtimespec', '-Dst_ctim=st_ctimespec']
/** zig's linker has no list of exports for macOS: see native/node/allocation_macos.cc. */
const COMPILE = { linux: [], darwin: ['-fvisibility-global-new-delete=force-hidden'] }
/**
 * nodelete: see native/binding.gyp. On macOS the addon itself sees to it (node/stay_loaded_macos.cc), and the library's name
 * for itself would be the path that it is written to.
 */
const LINK = {
  linux: ['-Wl,-z,nodelete', '-Wl,-z,relro,-z,now', '-Wl,--build-id=none', '-Wl,--version-script=exports.map'],
  darwin: ['-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/coreactor.node']
}

/** Compiles native/ of `project`; nothing of where it lies gets into the file. */
function compile({ platform, zig: target }, output, project = root, environment = process.env) {
  const native = join(project, 'native')
  const directories = headers()
  const places = [native, ...directories].map((directory, i) => `-ffile-prefix-map=${directory}=${i === 0 ? '.' : 'include'}`)
  const defines = platform === 'darwin' ? [...DEFINES, ...DARWIN_DEFINES] : DEFINES
  const options = ['-target', target, ...FLAGS, ...COMPILE[platform], ...defines, ...places, ...directories.flatMap((each) => ['-isystem', each])]
  // What is there is whole. Until then it has the name, which is in its signature on macOS, in another folder.
  const making = `${output}.part`
  const part = join(making, basename(output))
  mkdirSync(making, { recursive: true })
  const args = ['c++', ...options, ...LINK[platform], '-o', part, ...sourcesFor(platform)]
  const { status, stderr, error } = spawnSync(zig(), args, { cwd: native, env: environment, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`zig cannot compile for ${target}:\n${error?.message ?? stderr}`)
  // The first time for a target zig compiles its own C++ library, whose warnings are not ours to mend.
  const warnings = stderr.split('\n').filter((line) => /^(core|node)\/.*warning:/.test(line))
  for (const warning of warnings) console.error(warning)
  renameSync(part, output)
  rmSync(making, { recursive: true })
}

function build(wanted) {
  // What is left of others is not what its digest says.
  if (wanted.length === targets.length) rmSync(prebuilds, { recursive: true, force: true })
  for (const target of wanted) {
    console.log(target.file)
    compile(target, join(prebuilds, target.file))
  }
  const sums = targets
    .filter(({ file }) => existsSync(join(prebuilds, file)))
    .map(({ file }) => `${sha256(join(prebuilds, file))}  ${file}\n`)
  writeFileSync(join(prebuilds, SUMS), sums.join(''))
  writeFileSync(join(prebuilds, SOURCES), `${sourcesDigest()}\n`)
}

/** From another directory, with nothing in the compiler's caches. Gives the files that came out different. */
function differences(wanted) {
  const elsewhere = mkdtempSync(join(tmpdir(), 'coreactor-again-'))
  try {
    cpSync(join(root, 'native'), join(elsewhere, 'native'), { recursive: true })
    const caches = { ZIG_GLOBAL_CACHE_DIR: join(elsewhere, 'global'), ZIG_LOCAL_CACHE_DIR: join(elsewhere, 'local') }
    return wanted.filter((target) => {
      const again = join(elsewhere, target.file)
      compile(target, again, elsewhere, { ...process.env, ...caches })
      const same = sha256(again) === sha256(join(prebuilds, target.file))
      console.log(`${same ? 'the same' : 'DIFFERENT'}  ${target.file}`)
      return !same
    })
  } finally {
    rmSync(elsewhere, { recursive: true, force: true })
  }
}

const names = process.argv.slice(2).filter((each) => each !== '--check')
const wanted = targets.filter(({ file }) => names.length === 0 || names.some((name) => file.startsWith(name)))
if (wanted.length === 0) {
  console.error(`Usage: npm run binaries -- [--check] [${targets.map(({ file }) => file).join(' | ')}]`)
  process.exit(2)
}
try {
  if (!process.argv.includes('--check')) build(wanted)
  else process.exitCode = differences(wanted).length > 0 ? 1 : 0
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
