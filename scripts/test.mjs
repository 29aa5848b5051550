/** `npm test`: runs the TypeScript tests, after `npm run setup` has seen to it that everything is built. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
mkdirSync(`${root}out`, { recursive: true })
// The JSON report is what .ci/run takes its counts from.
const reporters = ['--reporter=default', '--reporter=json', '--outputFile.json=out/test-results.json']
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' }
)
process.exit(status ?? 1)
