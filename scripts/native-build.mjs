/** Building the native side with cmake-js into out/native/<variant>: quiet, unless it fails; then the process ends. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CORES = 2
export const SANITIZERS = { release: '', address: 'address;undefined', thread: 'thread' }

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Gives the directory of what was built. */
export function buildNative(variant) {
  const out = join(root, 'out/native', variant)
  cmake('configure')
  cmake('build', '--parallel', String(CORES))
  return out

  function cmake(command, ...options) {
    const cmakeJs = join(root, 'node_modules/cmake-js/bin/cmake-js')
    if (!existsSync(cmakeJs)) fail('cmake-js is not installed: npm run setup')
    const args = [cmakeJs, command, '-O', out, `--CDSAN=${SANITIZERS[variant]}`, ...options]
    const { status, error, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    if (status !== 0) fail(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\ncmake-js ${command} failed`)
  }
}

/** Whether the unit tests were built: they need doctest. */
export function hasUnitTests(out) {
  return !/^DOCTEST_INCLUDE_DIR:.*NOTFOUND$/m.test(readFileSync(join(out, 'CMakeCache.txt'), 'utf8'))
}

/** ThreadSanitizer of GCC 13 and before cannot place its shadow where addresses are drawn from more than 28 bits. */
export function withoutAslr(variant, program, args = []) {
  const setting = '/proc/sys/vm/mmap_rnd_bits'
  const bits = variant === 'thread' && existsSync(setting) ? Number(readFileSync(setting, 'utf8')) : 0
  return bits > 28 ? ['setarch', ['-R', program, ...args]] : [program, args]
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
