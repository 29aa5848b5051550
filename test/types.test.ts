/**
 * The types, as a user's code meets them: the files in test/types/ compile, and what must not compile in them does not.
 * What TypeScript says of them is the failure.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

it('results are inferred exactly, and mistakes do not compile', { timeout: 60_000 }, () => {
  const compiler = path('../node_modules/typescript/bin/tsc')
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, '--pretty', 'false', '-p', path('types')], { encoding: 'utf8' })
  expect(stdout + stderr).toBe('')
})
