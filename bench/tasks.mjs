/** Measures what a coroutine costs, each figure in a process of its own: heap when parked, CPU to spawn and to resume. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('tasks-child.mjs', import.meta.url))

/** Bytes are the same each time; CPU is measured this often, and the median taken. */
const ROUNDS = 5

function measure(what, count) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', CHILD, what, String(count)], {
    encoding: 'utf8',
    maxBuffer: 1 << 24
  })
  if (status !== 0) throw new Error(`measuring ${what} failed: ${stderr}`)
  return JSON.parse(stdout)
}

function row(name, title, unit, competitors, count, rounds) {
  const entries = Object.entries(competitors).map(([label, what]) => {
    const samples = Array.from({ length: rounds }, () => measure(what, count)).sort((a, b) => a - b)
    return { name: label, unit, total: samples[samples.length >> 1], least: samples[0], most: samples.at(-1) }
  })
  return { name, title, rounds, entries }
}

export function measureTasks({ quick }) {
  const rounds = quick ? 1 : ROUNDS
  return [
    row(
      'parked',
      `${quick ? '200,000' : '1,000,000'} parked coroutines: heap bytes of each`,
      'bytes',
      { 'coreactor, function*': 'parked', 'coreactor, async function': 'parked-async', 'bare async function': 'parked-bare' },
      quick ? 200_000 : 1_000_000,
      1
    ),
    row(
      'spawn',
      'spawn, run and end: CPU of each',
      'ns',
      { 'coreactor, function*': 'spawn', 'coreactor, async function': 'spawn-async', 'bare async function': 'spawn-bare' },
      quick ? 200_000 : 1_000_000,
      rounds
    ),
    row(
      'resume',
      'resume a parked coroutine, which parks again: CPU of each',
      'ns',
      { 'coreactor, function*': 'resume', 'coreactor, async function': 'resume-async', 'bare await': 'resume-bare' },
      quick ? 2_000_000 : 10_000_000,
      rounds
    )
  ]
}
