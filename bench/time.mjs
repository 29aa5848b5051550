/** Measures deadlines and short sleeps beside Node's own timers, each figure in a process of its own. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('time-child.mjs', import.meta.url))
const ROUNDS = 5

function measure(what, count) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', CHILD, what, String(count)], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`measuring ${what} failed: ${stderr}`)
  return JSON.parse(stdout)
}

/** One table for each key of what the children print. */
function rows(competitors, count, rounds, tables) {
  const measured = Object.entries(competitors).map(([name, what]) => ({
    name,
    samples: Array.from({ length: rounds }, () => measure(what, count))
  }))
  return tables.map(({ key, ...table }) => ({
    ...table,
    rounds,
    entries: measured.map(({ name, samples }) => {
      const values = samples.map((sample) => sample[key]).sort((a, b) => a - b)
      return { name, unit: table.unit, total: values[values.length >> 1], least: values[0], most: values.at(-1) }
    })
  }))
}

export function measureTime({ quick }) {
  const standing = quick ? 200_000 : 1_000_000
  const amount = standing.toLocaleString('en')
  const rounds = quick ? 1 : ROUNDS
  const deadlines = [
    ['few', 'four durations'],
    ['any', '600,000 durations']
  ].flatMap(([which, words]) =>
    rows({ setTimeout: `timeouts-${which}`, coreactor: `deadlines-${which}` }, standing, rounds, [
      { name: `deadline-set-${which}`, key: 'set', unit: 'ns', title: `set a deadline, ${amount} others standing, ${words}: CPU of each` },
      { name: `deadline-cancel-${which}`, key: 'cancel', unit: 'ns', title: `cancel it, ${words}: CPU of each` }
    ])
  )
  const sleeps = rows({ setTimeout: 'sleep-timeout', coreactor: 'sleep' }, quick ? 1_000 : 5_000, rounds, [
    { name: 'sleep-median', key: 'median', unit: 'ms', title: 'sleep(0.1): time it takes, median' },
    { name: 'sleep-p99', key: 'p99', unit: 'ms', title: 'sleep(0.1): time it takes, 99th percentile' },
    { name: 'sleep-cpu', key: 'cpu', unit: 'µs', title: 'sleep(0.1): CPU of each' }
  ])
  return [...deadlines, ...sleeps]
}
