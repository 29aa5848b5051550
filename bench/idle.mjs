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

async function memoryOf(server) {
  server.ask()
  return JSON.parse(await server.line())
}

/**
 * What each of `count` connections takes: resident bytes, and those of them that the JavaScript heap has. V8 is left to itself:
 * one that is made to collect moves all that is young to where the old is, and keeps the pages it was in. Idle for half a
 * minute, it often gives back a third of what is measured here.
 */
async function bytesOfEach(name, count) {
  const server = new Process(pathOf(`servers/${name}`))
  const { port } = JSON.parse(await server.line())
  const before = await memoryOf(server)
  const load = new Process(pathOf('idle-load.mjs'), String(port), String(count))
  await load.line()
  const after = await memoryOf(server)
  await load.stop()
  await server.stop()
  return { resident: (after.resident - before.resident) / count, heap: (after.heap - before.heap) / count }
}

export async function measureIdle({ quick }) {
  const count = quick ? 3_000 : 15_000
  const rounds = quick ? 1 : 5
  const competitors = { 'node:net': 'node-idle.mjs', coreactor: 'coreactor-idle.mjs' }
  const samples = Object.fromEntries(Object.keys(competitors).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of Object.entries(competitors)) samples[name].push(await bytesOfEach(server, count))
  }
  const table = (key, title) => ({
    name: `idle-${key}`,
    title: `${count.toLocaleString('en')} idle connections: ${title}`,
    rounds,
    entries: Object.entries(samples).map(([name, figures]) => {
      const values = figures.map((figure) => figure[key]).sort((a, b) => a - b)
      return { name, unit: 'bytes', total: values[values.length >> 1], least: values[0], most: values.at(-1) }
    })
  })
  return [table('resident', 'resident bytes of each'), table('heap', 'of these, in the JavaScript heap')]
}
