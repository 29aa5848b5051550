/**
 * `node bench/blocking.mjs [--quick]`: what a blocking call costs, one at a time and 64 at a time, beside libuv's pool
 * (`fs.fstat`). Each figure is taken in a process of its own, in turns, and is the median of its rounds: with all threads on
 * one core, as servers are measured here, and where the system puts them. Waking a thread on a core that is asleep costs more
 * than all the rest, and is the system's.
 */
import { spawnSync } from 'node:child_process'
import { fstat, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROUNDS = 7
const FULL = { 1: 20_000, 64: 200_000 }
const FIGURES = { time: 'time', cpu: 'CPU', loop: "CPU of the loop's thread" }
const QUICK = { 1: 2_000, 64: 20_000 }

const competitors = {
  /** In one task that makes one call after the other, or in as many as there are calls at a time. */
  async coreactor(atOnce) {
    const { blocking, run, spawn } = await import('../dist/index.js')
    const loop = function* (calls) {
      for (let i = 0; i < calls; i++) yield* blocking.fstat(0)
    }
    return (calls) =>
      run(function* () {
        for (let i = 0; i < atOnce; i++) spawn(loop, calls / atOnce)
      })
  },

  async 'libuv, fs.fstat'(atOnce) {
    return (calls) =>
      new Promise((resolve, reject) => {
        let begun = 0
        let ended = 0
        const next = (error) => {
          if (error) return reject(error)
          if (++ended === calls) resolve()
          else if (begun < calls) begin()
        }
        const begin = () => {
          begun++
          fstat(0, next)
        }
        for (let i = 0; i < atOnce; i++) begin()
      })
  }
}

/**
 * Microseconds of CPU that this thread, which has the loop, has used: the scheduler's own count, in nanoseconds. Null where
 * the system does not tell.
 */
function loopCpu() {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1000
  } catch {
    return null
  }
}

/** Microseconds a call: of time, of CPU in all threads, and of CPU in the loop's own. */
async function measure(name, atOnce, count) {
  const go = await competitors[name](atOnce)
  await go(count / 4)
  const cpu = process.cpuUsage()
  const loop = loopCpu()
  const start = performance.now()
  await go(count)
  const time = (performance.now() - start) * 1000
  const { user, system } = process.cpuUsage(cpu)
  return { time: time / count, cpu: (user + system) / count, ...(loop !== null && { loop: (loopCpu() - loop) / count }) }
}

/** Where the threads run: as words of the command, and of the title. */
const PLACES = { ' on one core': ['taskset', '-c', '0'], '': [] }
const pinnable = spawnSync('taskset', ['-V']).status === 0

function inAProcess(place, name, atOnce, count) {
  const [file, ...args] = [...PLACES[place], process.execPath, fileURLToPath(import.meta.url), 'measure', name, atOnce, count]
  const { status, stdout, stderr } = spawnSync(file, args, {
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'pipe']
  })
  if (status !== 0) throw new Error(`measuring ${name} failed: ${stderr}`)
  return JSON.parse(stdout)
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

/** The rows, in the shape of bench/table.mjs. */
export function measureBlocking({ quick }) {
  const rounds = quick ? 1 : ROUNDS
  const places = Object.keys(PLACES).filter((place) => place === '' || pinnable)
  const settings = Object.entries(quick ? QUICK : FULL).flatMap((each) => places.map((place) => [place, ...each]))
  return settings.flatMap(([place, atOnce, count]) => {
    const samples = new Map(Object.keys(competitors).map((name) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [name, each] of samples) each.push(inAProcess(place, name, atOnce, count))
    }
    return Object.keys(FIGURES).filter((figure) => figure in [...samples.values()][0][0]).map((figure) => ({
      name: `blocking${place.replaceAll(' ', '-')}-${atOnce}-${figure}`,
      title: `fstat in a thread${place}, ${atOnce} at a time: ${FIGURES[figure]} of each`,
      rounds,
      entries: [...samples].map(([name, each]) => {
        const values = each.map((sample) => sample[figure])
        return { name, unit: 'us', total: median(values), least: Math.min(...values), most: Math.max(...values) }
      })
    }))
  })
}

const [command, ...args] = process.argv.slice(2)
if (command === 'measure') {
  const [name, atOnce, count] = args
  console.log(JSON.stringify(await measure(name, Number(atOnce), Number(count))))
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { title, rounds, entries } of measureBlocking({ quick: process.argv.includes('--quick') })) {
    console.log(`${title} (median of ${rounds})`)
    for (const { name, total, least, most } of entries) {
      console.log(`  ${name.padEnd(20)} ${total.toFixed(2).padStart(8)} us   (${least.toFixed(2)} to ${most.toFixed(2)})`)
    }
  }
}
