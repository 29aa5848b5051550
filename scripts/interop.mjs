/**
 * `npm run test:interop`: existing libraries over coreactor, against real servers. Installs the libraries on demand; the
 * servers are Debian's mariadb-server, postgresql and redis-server, and a test whose server is missing fails and says so.
 *
 *   npm run test:interop [-- --quick] [-- test/interop/mysql.test.ts]     --quick: smaller numbers, and no type check
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installDependencies } from './dependencies.mjs'
import { setupExample } from './example-setup.mjs'
import { root, setup, SetupError } from './setup.mjs'

const args = process.argv.slice(2).filter((arg) => arg !== '--quick')
const quick = process.argv.includes('--quick')

/** The exit code of a program of ours. */
function node(program, ...given) {
  const env = { ...process.env, ...(quick ? { INTEROP_QUICK: '1' } : {}) }
  return spawnSync(process.execPath, [join(root, program), ...given], { cwd: root, env, stdio: 'inherit' }).status ?? 1
}

try {
  await setup({ examples: true })
  await installDependencies(join(root, 'test/interop'))
  await setupExample('http-mysql')
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(error.message)
  process.exit(1)
}
const types = quick ? 0 : node('node_modules/typescript/bin/tsc', '-p', 'test/interop')
const tests = node('node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.interop.config.ts', ...args)
process.exit(types || tests)
