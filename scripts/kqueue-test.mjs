/**
 * `npm run test:kqueue`: the TypeScript tests on the kqueue backend, over the emulation in native/test/kqueue_emulation.
 * Arguments go to vitest: `npm run test:kqueue -- test/tcp.test.ts`. COREACTOR_KQUEUE_SYSTEM is whose behaviour is emulated
 * where the two differ, `macos` (the default) or `freebsd`.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildNative } from './native-build.mjs'
import { root, setup } from './setup.mjs'

await setup()
const out = buildNative('release')
// Under the name that the addon always has.
const folder = join(root, 'out/kqueue')
mkdirSync(folder, { recursive: true })
copyFileSync(join(out, 'Release/coreactor_kqueue.node'), join(folder, 'coreactor.node'))

const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  // Which it is, test/here.ts asks, too.
  env: { COREACTOR_KQUEUE_SYSTEM: 'macos', ...process.env, COREACTOR_NATIVE: join(folder, 'coreactor.node') }
})
process.exit(status ?? 1)
