/** Measures what a connection that says nothing costs: resident bytes of the server process, and none of the kernel's. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url))

/** A process that prints lines, and ends when its input does. */
class Process {
  #process
  #lines

  constructor(...args) {
    this.#process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  ask() {
    this.#process.stdin.write('\n')
  }

  async line() {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('a process of the bench has ended')
    return value
  }

  async stop() {
    this.#process.stdin.end()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
  }
}

async function resident(server) {
  server.ask()
  return JSON.parse(await server.line()).resident
}

/** The first thousand, which pay for code and pools, do not count. */
const WARM_UP = 1_000

async function bytesOfEach(name, count) {
  const server = new Process('--expose-gc', pathOf(`servers/${name}`))
  const { port } = JSON.parse(await server.line())
  const loads = []
  const open = async (many) => {
    const load = new Process(pathOf('idle-load.mjs'), String(port), String(many))
    loads.push(load)
    await load.line()
  }
  await open(WARM_UP)
  const before = await resident(server)
  await open(count)
  const bytes = ((await resident(server)) - before) / count
  for (const each of [...loads, server]) await each.stop()
  return bytes
}

export async function measureIdle({ quick }) {
  const count = quick ? 3_000 : 15_000
  const rounds = quick ? 1 : 3
  const competitors = { 'node:net': 'node-idle.mjs', coreactor: 'coreactor-idle.mjs' }
  const samples = Object.fromEntries(Object.keys(competitors).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of Object.entries(competitors)) samples[name].push(await bytesOfEach(server, count))
  }
  const entries = Object.entries(samples).map(([name, values]) => {
    values.sort((a, b) => a - b)
    return { name, unit: 'bytes', total: values[values.length >> 1], least: values[0], most: values.at(-1) }
  })
  return [{ name: 'idle', title: `${count.toLocaleString('en')} idle connections: resident bytes of each`, rounds, entries }]
}
