/** One figure of bench/tasks.mjs, printed as a number: `node --expose-gc tasks-child.mjs WHAT COUNT`. */
import { checkpoint, run, scope, sleep } from 'coreactor'

const [, , what, countText] = process.argv
const count = Number(countText)
const HOUR = 3_600_000
/** Tasks at a time, as a busy server has; fits the young generation as its tasks do. */
const GROUP = 100

const cpuNanoseconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

const heap = () => {
  gc()
  gc()
  return process.memoryUsage().heapUsed
}

function* parked() {
  yield* sleep(HOUR)
}
async function parkedAsync() {
  await sleep(HOUR)
}
function* nothing() {}
async function nothingAsync() {}
function* resumed(times) {
  for (let i = 0; i < times; i++) yield* checkpoint()
}
async function resumedAsync(times) {
  for (let i = 0; i < times; i++) await checkpoint()
}
async function resumedBare(times) {
  for (let i = 0; i < times; i++) await null
}

/** Heap bytes of each of `count` tasks that are parked in `body`. */
function* bytesParked(body) {
  return yield* scope(function* (tasks) {
    tasks.spawn(body)
    yield* checkpoint()
    const before = heap()
    for (let i = 0; i < count; i++) {
      tasks.spawn(body)
      if (i % GROUP === 0) yield* checkpoint()
    }
    for (let i = 0; i < 5; i++) yield* checkpoint()
    const bytes = (heap() - before) / count
    console.log(bytes)
    process.exit(0)
  })
}

async function bytesParkedBare() {
  const never = new Promise(() => {})
  const body = async () => {
    await never
  }
  const before = heap()
  const kept = Array.from({ length: count }, body)
  console.log((heap() - before) / kept.length)
}

/** CPU nanoseconds of spawning, running and ending `body`, after a tenth of it as a warm-up. */
function* spawnCost(body) {
  for (const share of [0.2, 1]) {
    const groups = (count * share) / GROUP
    const before = cpuNanoseconds()
    for (let g = 0; g < groups; g++) {
      yield* scope(function* (tasks) {
        for (let i = 0; i < GROUP; i++) tasks.spawn(body)
      })
    }
    if (share === 1) console.log((cpuNanoseconds() - before) / count)
  }
}

async function spawnCostBare() {
  for (const share of [0.2, 1]) {
    const groups = (count * share) / GROUP
    const before = cpuNanoseconds()
    for (let g = 0; g < groups; g++) {
      const started = []
      for (let i = 0; i < GROUP; i++) started.push(nothingAsync())
      await Promise.all(started)
    }
    if (share === 1) console.log((cpuNanoseconds() - before) / count)
  }
}

function* resumeCost(body) {
  for (const share of [0.2, 1]) {
    const times = (count * share) / GROUP
    const before = cpuNanoseconds()
    yield* scope(function* (tasks) {
      for (let i = 0; i < GROUP; i++) tasks.spawn(body, times)
    })
    if (share === 1) console.log((cpuNanoseconds() - before) / count)
  }
}

async function resumeCostBare() {
  for (const share of [0.2, 1]) {
    const times = (count * share) / GROUP
    const before = cpuNanoseconds()
    await Promise.all(Array.from({ length: GROUP }, () => resumedBare(times)))
    if (share === 1) console.log((cpuNanoseconds() - before) / count)
  }
}

/** A main body that is a coroutine: with any other, Node's async hooks are on, which coroutines alone do not need. */
const inRun = (measured, body) => () =>
  run(function* () {
    yield* measured(body)
  })

const figures = {
  parked: inRun(bytesParked, parked),
  'parked-async': inRun(bytesParked, parkedAsync),
  'parked-bare': bytesParkedBare,
  spawn: inRun(spawnCost, nothing),
  'spawn-async': inRun(spawnCost, nothingAsync),
  'spawn-bare': spawnCostBare,
  resume: inRun(resumeCost, resumed),
  'resume-async': inRun(resumeCost, resumedAsync),
  'resume-bare': resumeCostBare
}
await figures[what]()
