/**
 * `npm run docs`: the API reference, of every entry of package.json, from the docstrings, into out/reference/. Fails if
 * something that an entry exports has no docstring, or if a link in one leads nowhere.
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
const model = join(root, 'out/reference.json')
const options = [...entries.flatMap((entry) => ['--entryPoints', entry]), '--json', model, '--html', join(root, 'out/reference')]
const { status } = spawnSync(process.execPath, [typedoc, ...options, '--treatValidationWarningsAsErrors'], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)

const { children } = JSON.parse(readFileSync(model, 'utf8'))
const modules = entries.length === 1 ? [{ name: 'index', children }] : children
const undocumented = modules.flatMap((module) => module.children.filter((each) => !isDocumented(each)).map(({ name }) => `${module.name}: ${name}`))
if (undocumented.length > 0) {
  console.error(`Exported without a docstring:\n  ${undocumented.join('\n  ')}`)
  process.exit(1)
}

/** A function by its signatures; a name that is exported once more is documented where it is from. */
function isDocumented({ comment, signatures = [], variant, target }) {
  if (variant === 'reference' && target !== undefined) return true
  const has = (each) => (each?.summary.length ?? 0) > 0 || (each?.blockTags?.length ?? 0) > 0
  return has(comment) || (signatures.length > 0 && signatures.every((signature) => has(signature.comment)))
}
