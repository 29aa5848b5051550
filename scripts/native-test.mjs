/**
 * Builds the native side with cmake-js into out/native/<variant> and runs the unit tests of native/test.
 *
 *   node scripts/native-test.mjs             as users get it
 *   node scripts/native-test.mjs address     under AddressSanitizer and UndefinedBehaviorSanitizer
 *   node scripts/native-test.mjs thread      under ThreadSanitizer
 *
 * The last two also say how to run JavaScript on the sanitized addon.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CORES = 2
const SANITIZERS = { release: '', address: 'address;undefined', thread: 'thread' }

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const variant = process.argv[2] ?? 'release'
if (!(variant in SANITIZERS) || process.argv.length > 3) {
  fail('Usage: node scripts/native-test.mjs [address | thread]', 2)
}
const cmakeJs = join(root, 'node_modules/cmake-js/bin/cmake-js')
if (!existsSync(cmakeJs)) fail('cmake-js is not installed: npm run setup')

const out = join(root, 'out/native', variant)
cmake('configure')
if (/^DOCTEST_INCLUDE_DIR:.*NOTFOUND$/m.test(readFileSync(join(out, 'CMakeCache.txt'), 'utf8'))) {
  fail('The unit tests need doctest: apt-get install doctest-dev')
}
cmake('build', '--parallel', String(CORES))

const unit = run(...withoutAslr(join(out, 'unit')))
if (variant !== 'release') {
  const addon = join(out, 'Release/coreactor.node')
  // Node itself is not instrumented: it is not asked for leaks, and its own races are left out.
  const [library, options] =
    variant === 'address'
      ? ['libasan.so', 'ASAN_OPTIONS=detect_leaks=0']
      : ['libtsan.so', `TSAN_OPTIONS=suppressions=${join(root, 'native/test/node.supp')}`]
  console.log(`The sanitized addon: ${addon}`)
  console.log(`  ${options} LD_PRELOAD=$(g++ -print-file-name=${library}) COREACTOR_NATIVE=${addon} node ...`)
}
process.exitCode = unit.status === 0 ? 0 : 1

/** Quiet, unless it fails. */
function cmake(command, ...options) {
  const args = [cmakeJs, command, '-O', out, `--CDSAN=${SANITIZERS[variant]}`, ...options]
  const { status, error, stdout, stderr } = run(process.execPath, args, 'pipe')
  if (status !== 0) fail(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\ncmake-js ${command} failed`)
}

function run(program, args, stdio = 'inherit') {
  return spawnSync(program, args, { cwd: root, stdio: ['ignore', stdio, stdio], encoding: 'utf8' })
}

/** ThreadSanitizer of GCC 13 and before cannot place its shadow where addresses are drawn from more than 28 bits. */
function withoutAslr(program) {
  const setting = '/proc/sys/vm/mmap_rnd_bits'
  const bits = variant === 'thread' && existsSync(setting) ? Number(readFileSync(setting, 'utf8')) : 0
  return bits > 28 ? ['setarch', ['-R', program]] : [program, []]
}

function fail(message, code = 1) {
  console.error(message)
  process.exit(code)
}
