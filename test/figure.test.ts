/** The figure of the README: it shows what was measured, and says on what. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root, textOf } from './documents.js'

interface Measured {
  readonly date: string
  readonly node: string
  readonly cpu: string
  readonly results: readonly { name: string; entries: readonly { name: string; total: number }[] }[]
}

const results = JSON.parse(readFileSync(join(root, 'bench/results.json'), 'utf8')) as Measured
const figure = readFileSync(join(root, 'docs/cpu-per-operation.svg'), 'utf8')

it('is drawn from the results that are kept beside the benchmarks: npm run figure', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coreactor-figure-'))
  try {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/figure.mjs'), join(folder, 'figure.svg')], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(readFileSync(join(folder, 'figure.svg'), 'utf8')).toBe(figure)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

it('says when, on which processor and on which Node.js it was measured', () => {
  for (const condition of [results.date, results.cpu, `Node.js ${results.node}`]) expect(figure).toContain(condition)
})

it('gives C, coreactor and Node.js bars as long as what they took', () => {
  const widths = [...figure.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width))
  const echo = (name: string): number => results.results.find((row) => row.name === 'echo')?.entries.find((each) => each.name === name)?.total ?? NaN
  const [c = 0, coreactor = 0, node = 0] = widths
  expect(coreactor / c).toBeCloseTo(echo('coreactor') / echo('C'), 1)
  expect(node / c).toBeCloseTo(echo('node:net') / echo('C'), 1)
})

it('is in the README', () => {
  expect(textOf('README.md')).toContain('(docs/cpu-per-operation.svg)')
})
