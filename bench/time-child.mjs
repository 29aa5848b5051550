/**
 * One figure of bench/time.mjs, printed as JSON: `node --expose-gc time-child.mjs WHAT COUNT`.
 *
 * Deadlines are measured at the structure itself (lib/time/deadlines.ts), as setTimeout's lists are: what is done when a
 * deadline falls due is the same work on top for both.
 */
import { run, sleep } from 'coreactor'

const { Deadlines } = await import(new URL('../dist/time/deadlines.js', import.meta.url))

const [, , what, countText] = process.argv
const count = Number(countText)

const cpuNanoseconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

/** Durations in milliseconds: those of a server, which has a few; and any. */
const FEW = [5_000, 30_000, 60_000, 120_000]
let state = 12345
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0)
const durations = { few: () => FEW[random() & 3], any: () => 1_000 + (random() % 600_000) }

const ours = () => {
  const deadlines = new Deadlines()
  const fire = () => {}
  return {
    // The clock moves on while so many are set.
    set(ms, i) {
      const deadline = { index: -1, fire }
      deadlines.add(deadline, i / 1000 + ms)
      return deadline
    },
    cancel: (deadline) => deadlines.remove(deadline)
  }
}
const nodes = () => {
  const fire = () => {}
  return { set: (ms) => setTimeout(fire, ms), cancel: (timer) => clearTimeout(timer) }
}

/** Set and cancelled together, on top of those that stand. */
const BATCH = 100_000

/** CPU nanoseconds to set a deadline while `count` others stand, and to cancel it; in batches, each in another order. */
function deadlines(structure, duration) {
  const { set, cancel } = structure()
  const standing = Array.from({ length: count }, (_, i) => set(duration(), i))
  const held = new Array(BATCH)
  const ms = new Float64Array(BATCH)
  const cost = { set: [], cancel: [] }
  for (let round = 0; round < 15; round++) {
    for (let i = 0; i < BATCH; i++) ms[i] = duration()
    const begun = cpuNanoseconds()
    for (let i = 0; i < BATCH; i++) held[i] = set(ms[i], count + i)
    const between = cpuNanoseconds()
    // A stride that is prime to the batch: every one once, none next to the one before.
    for (let i = 0, at = 0; i < BATCH; i++, at = (at + 7919) % BATCH) cancel(held[at])
    cost.set.push((between - begun) / BATCH)
    cost.cancel.push((cpuNanoseconds() - between) / BATCH)
  }
  for (const each of standing) cancel(each)
  const median = (samples) => samples.sort((a, b) => a - b)[samples.length >> 1]
  return { set: median(cost.set), cancel: median(cost.cancel) }
}

/** Milliseconds that a sleep of 0.1 really takes, and CPU microseconds of each. */
function summary(took, before) {
  took.sort((a, b) => a - b)
  return { median: took[count >> 1], p99: took[Math.floor(count * 0.99)], cpu: (cpuNanoseconds() - before) / count / 1000 }
}

function* sleeping() {
  const took = []
  const before = cpuNanoseconds()
  for (let i = 0; i < count; i++) {
    const begun = performance.now()
    yield* sleep(0.1)
    took.push(performance.now() - begun)
  }
  return summary(took, before)
}

async function sleepingByTimeout() {
  const took = []
  const before = cpuNanoseconds()
  for (let i = 0; i < count; i++) {
    const begun = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 0.1))
    took.push(performance.now() - begun)
  }
  return summary(took, before)
}

const figures = {
  'deadlines-few': () => deadlines(ours, durations.few),
  'deadlines-any': () => deadlines(ours, durations.any),
  'timeouts-few': () => deadlines(nodes, durations.few),
  'timeouts-any': () => deadlines(nodes, durations.any),
  sleep: () => run(sleeping),
  'sleep-timeout': sleepingByTimeout
}
console.log(JSON.stringify(await figures[what]()))
