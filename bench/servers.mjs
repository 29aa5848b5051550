/** Measures servers against each other: CPU time of the server process per message, under the same load, turn by turn. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const SERVER_CORE = '0'
const LOAD_CORE = '1'

class Server {
  #process
  #lines

  constructor(command, pinned) {
    const [file, ...args] = pinned ? ['taskset', '-c', SERVER_CORE, ...command] : command
    this.#process = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  async answer() {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the server has ended')
    return JSON.parse(value)
  }

  /** Microseconds of user and system time the whole process has used. */
  cpu() {
    this.#process.stdin.write('cpu\n')
    return this.answer()
  }

  async stop() {
    this.#process.stdin.end()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
  }
}

async function load(root, peers, pinned, row, port, messages) {
  const args = [row.mode, String(port), String(row.connections), String(messages)]
  const own = peers === null || row.loadOfNode === true ? [process.execPath, fileURLToPath(new URL('bench/load.mjs', root))] : [peers.load]
  const [file, ...rest] = pinned ? ['taskset', '-c', LOAD_CORE, ...own, ...args] : [...own, ...args]
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(`the load failed (${row.name})`)
  return JSON.parse(output)
}

/** One row of the table: each competitor in turn, `rounds` times, after one round that does not count. */
export async function measureServers(row, { root, peers, pinned, rounds }) {
  const servers = []
  for (const [name, what] of Object.entries(row.competitors)) {
    if (name === 'C' && peers === null) continue
    const command = name === 'C' ? [peers.server, what] : [process.execPath, fileURLToPath(new URL(`bench/servers/${what}`, root))]
    const server = new Server(command, pinned)
    servers.push({ name, server, port: (await server.answer()).port, samples: [] })
  }
  let busiestLoad = 0
  for (let round = 0; round <= rounds; round++) {
    for (const { server, port, samples } of servers) {
      const before = await server.cpu()
      const { messages, seconds, cpu } = await load(root, peers, pinned, row, port, row.messages)
      const after = await server.cpu()
      if (round === 0) continue
      const user = (after.user - before.user) / messages
      const system = (after.system - before.system) / messages
      samples.push({ total: user + system, user, system, rate: messages / seconds })
      busiestLoad = Math.max(busiestLoad, cpu / seconds)
    }
  }
  for (const { server } of servers) await server.stop()
  const entries = servers.map(({ name, samples }) => {
    samples.sort((a, b) => a.total - b.total)
    const median = samples[samples.length >> 1]
    return { name, ...median, least: samples[0].total, most: samples.at(-1).total, unit: 'us' }
  })
  return { name: row.name, title: row.title, rounds, entries, load: busiestLoad }
}
