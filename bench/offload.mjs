/**
 * `node bench/offload.mjs [--quick] [--peers FOLDER]`: what a job of `offload` costs, beside the pools of others if they are
 * installed in FOLDER: `npm install --prefix FOLDER tinypool piscina`. One worker; each figure is taken in a process of its
 * own, in turns, and is the median of its rounds.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { printTable } from './table.mjs'

const ROUNDS = 5
const MIB = 1024 * 1024
const JOBS = new URL('./offload-jobs.mjs', import.meta.url)

const CASES = {
  'no-op, 1 at a time': { job: 'nothing', atOnce: 1, count: 10_000 },
  'no-op, 64 at a time': { job: 'nothing', atOnce: 64, count: 50_000 },
  '1 MiB moved there and back': { job: 'moves', atOnce: 1, count: 5_000 },
  '1 MiB copied there and back': { job: 'copies', atOnce: 1, count: 500 }
}

const competitors = {
  'offload, threads': () => coreactor('threads'),
  'offload, processes': () => coreactor('processes'),
  tinypool: (peers) => peer(peers, 'tinypool', 'Tinypool'),
  piscina: (peers) => peer(peers, 'piscina', 'Piscina')
}

/** Gives a function that has so many jobs done, by so many tasks. */
async function coreactor(kind) {
  const { run, spawn } = await import('../dist/index.js')
  const { offload, WorkerPool } = await import('../dist/offload.js')
  const pool = new WorkerPool({ kind, size: 1 })
  const loop = function* (job, count) {
    let bytes = job === 'nothing' ? undefined : new Uint8Array(MIB)
    for (let i = 0; i < count; i++) {
      if (bytes === undefined) yield* offload(JOBS, job, [], { pool })
      else bytes = yield* offload(JOBS, job, [bytes], job === 'moves' ? { pool, transfer: [bytes.buffer] } : { pool })
    }
  }
  return ({ job, atOnce, count }) =>
    run(function* () {
      for (let i = 0; i < atOnce; i++) spawn(loop, job, count / atOnce)
    })
}

async function peer(peers, name, exported) {
  const { resolve: find } = createRequire(join(peers, 'package.json'))
  const url = pathToFileURL(find(name)).href
  const module = await import(url)
  const Pool = module[exported] ?? module.default[exported]
  process.env.BENCH_MOVE = `${url} ${exported}`
  const pool = new Pool({ filename: fileURLToPath(JOBS), minThreads: 1, maxThreads: 1 })
  const loop = async (job, count) => {
    let bytes = job === 'nothing' ? undefined : new Uint8Array(MIB)
    for (let i = 0; i < count; i++) bytes = await pool.run(job === 'moves' ? Pool.move(bytes) : bytes, { name: job })
  }
  return ({ job, atOnce, count }) => Promise.all(Array.from({ length: atOnce }, () => loop(job, count / atOnce)))
}

/** Microseconds a job. */
async function measure(name, title, quick, peers) {
  const go = await competitors[name](peers)
  const { job, atOnce, count } = CASES[title]
  const jobs = quick ? count / 10 : count
  await go({ job, atOnce, count: jobs / 5 })
  const start = performance.now()
  await go({ job, atOnce, count: jobs })
  return ((performance.now() - start) * 1000) / jobs
}

function inAProcess(name, title, { quick, peers }) {
  const args = [fileURLToPath(import.meta.url), 'measure', name, title, String(quick), peers ?? '']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`measuring ${name} failed: ${stderr}`)
  return Number(stdout)
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

/** The rows, in the shape of bench/table.mjs. */
export function measureOffload(options) {
  const rounds = options.quick ? 1 : ROUNDS
  const names = Object.keys(competitors).filter((name) => name.startsWith('offload') || options.peers !== undefined)
  return Object.keys(CASES).map((title) => {
    const samples = new Map(names.map((name) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [name, each] of samples) each.push(inAProcess(name, title, options))
    }
    const entries = [...samples].map(([name, each]) => ({
      name,
      unit: 'us',
      total: median(each),
      least: Math.min(...each),
      most: Math.max(...each)
    }))
    return { name: title, title: `a job elsewhere: ${title}, time of each`, rounds, entries }
  })
}

const [command, ...args] = process.argv.slice(2)
if (command === 'measure') {
  const [name, title, quick, peers] = args
  console.log(await measure(name, title, quick === 'true', peers))
  process.exit()
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, peers: { type: 'string' } } })
  const peers = values.peers === undefined ? undefined : resolve(values.peers)
  if (peers === undefined) console.log('tinypool and piscina are left out: --peers FOLDER says where they are installed')
  for (const row of measureOffload({ quick: values.quick, peers })) printTable(row)
}
