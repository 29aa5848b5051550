/**
 * Writes what `require('coreactor')` finds: beside each compiled entry of package.json a CommonJS file that loads the
 * ES module (Node >= 20.19 can), and its types. Either way gives the same module: there is one scheduler per thread.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

for (const entry of Object.values(exports)) {
  if (typeof entry !== 'object' || entry.require === undefined) continue
  const module = join(root, entry.import.default)
  if (!existsSync(module)) throw new Error(`package.json exports ${entry.import.default}, which tsc did not write`)
  const source = `./${basename(module)}`
  // What has a default export is itself a module in CommonJS's sense: an object whose members can be replaced.
  const hasDefault = /\bdefault\b/.test(readFileSync(module, 'utf8'))
  writeFileSync(join(root, entry.require.default), `module.exports = require('${source}')${hasDefault ? '.default' : ''}\n`)
  // TypeScript's `module: node16` knows nothing of require(esm) and would report TS1479 in here.
  writeFileSync(join(root, entry.require.types), `// @ts-ignore\nexport * from '${source}'\n`)
}
