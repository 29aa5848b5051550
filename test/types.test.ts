/**
 * The types, as a user's code meets them: the files in test/types/ compile, and what must not compile in them does not.
 * What TypeScript says of them is the failure.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { compile } from './documents.js'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

it('results are inferred exactly, and mistakes do not compile', () => {
  const compiler = path('../node_modules/typescript/bin/tsc')
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, '--pretty', 'false', '-p', path('types')], { encoding: 'utf8' })
  expect(stdout + stderr).toBe('')
})

it('the declarations of the compiled library hold for a user whose compiler looks into them', () => {
  const { exports } = JSON.parse(readFileSync(path('../package.json'), 'utf8')) as { exports: Record<string, Entry> }
  const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.import.types, entry.require.types]))
  const imports = entries.map((entry, i) => `import * as entry${i} from '../../${entry.replace('./', '').replace(/\.d\.(c?)ts$/, '.$1js')}'\n`)
  const uses = entries.map((_, i) => `export const names${i} = Object.keys(entry${i})\n`)
  const source = `${imports.join('')}${uses.join('')}`
  const complaints = compile('declarations', new Map([['user.mts', source]]), { skipLibCheck: false, noUnusedLocals: false, paths: {} }, ['*.mts'])
  expect(complaints).toBe('')
})

interface Entry {
  readonly import: { readonly types: string }
  readonly require: { readonly types: string }
}
