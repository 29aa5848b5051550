/**
 * `npm run docs`: the API reference, of every entry of package.json, from the docstrings, into out/reference/. Fails if
 * something that an entry exports, or a public member of it, has no docstring, or if a link in one leads nowhere.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

const home = join(root, 'scripts/docs')
const typedoc = join(home, 'node_modules/typedoc/bin/typedoc')
if (!existsSync(typedoc)) {
  process.stderr.write('Installing typedoc ...\n')
  const options = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const npm = spawnSync('npm', options, { cwd: home, encoding: 'utf8' })
  if (npm.status !== 0) {
    console.error(`npm ci in scripts/docs failed:\n${npm.error?.message ?? npm.stderr}`)
    process.exit(1)
  }
}
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values(exports)
  .filter((entry) => typeof entry === 'object')
  .map(({ import: { default: file } }) => file.replace('./dist/', 'lib/').replace(/\.js$/, '.ts'))
const options = [...entries.flatMap((entry) => ['--entryPoints', entry]), '--treatValidationWarningsAsErrors', ...process.argv.slice(2)]
process.exitCode = spawnSync(process.execPath, [typedoc, ...options], { cwd: root, stdio: 'inherit' }).status ?? 1
