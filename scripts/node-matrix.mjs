/**
 * `npm run test:nodes`: the TypeScript tests on all the versions of Node that the library is for: the one that runs this,
 * and others, which npm has as packages. One addon does for all of them, as Node-API is stable. Arguments that are numbers
 * choose versions, the rest goes to vitest: `npm run test:nodes -- 24 26 test/x.test.ts`.
 *
 * One line a version; ends with 1 if anything fails. The reports are in out/nodes/.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, setup } from './setup.mjs'

const VERSIONS = ['20', '22', '24', '26']
const folder = join(root, 'out/nodes')
const chosen = process.argv.slice(2).filter((each) => VERSIONS.includes(each))
const versions = chosen.length > 0 ? chosen : VERSIONS
const args = process.argv.slice(2).filter((each) => !VERSIONS.includes(each))

const isRunning = (version) => process.versions.node.startsWith(`${version}.`)
const nodeOf = (version) => (isRunning(version) ? process.execPath : join(folder, `node_modules/n${version}/bin/node`))

/** Beside the project's own dependencies, which stay as they are. The packages have no scripts and 200 MB each. */
function install() {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const packages = VERSIONS.filter((version) => !isRunning(version)).map((version) => `n${version}@npm:node-${process.platform}-${process.arch}@${version}`)
  const options = ['--prefix', folder, '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status } = spawnSync('npm', ['install', ...options, ...packages], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`npm cannot install ${packages.join(', ')}`)
}

/** The version, a summary, and whether all went well. */
function test(version) {
  const node = nodeOf(version)
  const report = join(folder, `results-${version}.json`)
  rmSync(report, { force: true })
  const full = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const { status } = spawnSync(node, ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args], { cwd: root, stdio: 'inherit' })
  if (!existsSync(report)) return { full, passed: false, summary: `no report; vitest ended with ${status}` }
  const { numPassedTests, numFailedTests, numTotalTests, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const failures = testResults.flatMap(({ name, status: outcome, assertionResults }) => {
    const failed = assertionResults.filter((each) => each.status === 'failed').map((each) => each.fullName)
    // A file that cannot even be loaded has no tests that fail.
    return outcome === 'failed' && failed.length === 0 ? [name] : failed
  })
  const summary = `${numPassedTests} of ${numTotalTests} tests passed, ${numFailedTests} failed${failures.map((each) => `\n    ${each}`).join('')}`
  return { full, passed: status === 0, summary }
}

await setup()
// All or none: npm takes away what it was not asked for.
if (!versions.every((version) => existsSync(nodeOf(version)))) install()
const outcomes = versions.map(test)
for (const { full, passed, summary } of outcomes) console.log(`${passed ? 'ok' : 'FAILED'}  ${full}  ${summary}`)
process.exit(outcomes.every(({ passed }) => passed) ? 0 : 1)
