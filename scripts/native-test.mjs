/**
 * Builds the native side with cmake-js into out/native/<variant> and runs the unit tests of native/test: on Linux over
 * epoll, and over kqueue as the emulation has it of macOS and of FreeBSD; elsewhere over the system's own kqueue.
 *
 *   node scripts/native-test.mjs             as users get it
 *   node scripts/native-test.mjs address     under AddressSanitizer and UndefinedBehaviorSanitizer
 *   node scripts/native-test.mjs thread      under ThreadSanitizer
 *
 * The last two also say how to run JavaScript on the sanitized addon.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildNative, hasUnitTests, SANITIZERS, withoutAslr } from './native-build.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const variant = process.argv[2] ?? 'release'
if (!(variant in SANITIZERS) || process.argv.length > 3) {
  fail('Usage: node scripts/native-test.mjs [address | thread]', 2)
}

const out = buildNative(variant)
if (!hasUnitTests(out)) fail('The unit tests need doctest: apt-get install doctest-dev, brew install doctest')

const isLinux = process.platform === 'linux'
const runs = [{ title: isLinux ? 'epoll' : 'kqueue', program: 'unit', env: {} }]
for (const system of isLinux ? ['macos', 'freebsd'] : []) {
  runs.push({ title: `kqueue of ${system}, emulated`, program: 'unit_kqueue', env: { COREACTOR_KQUEUE_SYSTEM: system } })
}
const failed = runs.filter(({ title, program, env }) => {
  console.log(`== ${title}`)
  const [path, args] = withoutAslr(variant, join(out, program))
  return spawnSync(path, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } }).status !== 0
})
if (variant !== 'release' && isLinux) {
  const addon = join(out, 'Release/coreactor.node')
  // Node itself is not instrumented: it is not asked for leaks, and its own races are left out.
  const [library, options] =
    variant === 'address'
      ? ['libasan.so', 'ASAN_OPTIONS=detect_leaks=0']
      : ['libtsan.so', `TSAN_OPTIONS=suppressions=${join(root, 'native/test/node.supp')}`]
  console.log(`The sanitized addon: ${addon}`)
  console.log(`  ${options} LD_PRELOAD=$(g++ -print-file-name=${library}) COREACTOR_NATIVE=${addon} node ...`)
}
process.exitCode = failed.length === 0 ? 0 : 1

function fail(message, code = 1) {
  console.error(message)
  process.exit(code)
}
