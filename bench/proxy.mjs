/**
 * The CPU time of a TCP proxy for each MB: `pipeTo` with splice, `pipeTo` that copies, and `pipe()` of node:net, in turns,
 * so that what else the machine does falls on all of them. A flood in one direction, and exchanges of one size.
 *
 *   node bench/proxy.mjs
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

const KINDS = ['splice', 'copy', 'node:net']
const ROUNDS = 5
const MB = 1024 * 1024
const FLOOD = 256 * MB

/** Takes everything; answers so many bytes for each so many, if told by the first byte. */
const upstream = createServer({ noDelay: true }, (socket) => {
  let size = 0
  let due = 0
  socket.on('data', (chunk) => {
    if (size === 0) {
      size = chunk.readUInt32BE(0)
      chunk = chunk.subarray(4)
    }
    due += chunk.length
    while (size > 1 && due >= size) {
      due -= size
      socket.write(Buffer.allocUnsafe(size))
    }
  })
  socket.on('end', () => socket.end())
})
upstream.listen(0, '127.0.0.1')
await once(upstream, 'listening')

const proxies = []
for (const kind of KINDS) {
  const child = fork(fileURLToPath(new URL('proxy-child.mjs', import.meta.url)), [kind, upstream.address().port])
  const [{ port }] = await once(child, 'message')
  proxies.push({ kind, child, port })
}

async function cpuOf(child) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu.user + cpu.system
}

async function open(port, size) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const head = Buffer.alloc(4)
  head.writeUInt32BE(size)
  socket.write(head)
  await once(socket, 'connect')
  return socket
}

async function flood(port) {
  const socket = await open(port, 1)
  const chunk = Buffer.alloc(256 * 1024)
  for (let sent = 0; sent < FLOOD; sent += chunk.length) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.resume().end()
  await once(socket, 'close')
  return FLOOD / MB
}

async function exchanges(port, size, bytes) {
  const socket = await open(port, size)
  const chunk = Buffer.alloc(size)
  let due = size
  let left = Math.ceil(bytes / size)
  const total = 2 * left * size
  socket.write(chunk)
  await new Promise((resolve) => {
    socket.on('data', ({ length }) => {
      due -= length
      if (due > 0) return
      if (--left === 0) return resolve()
      due += size
      socket.write(chunk)
    })
  })
  socket.end()
  await once(socket, 'close')
  return total / MB
}

const cases = [
  ['flood', flood],
  ...[1, 16, 64, 256, 1024].map((kib) => [
    `${kib} KiB to and fro`,
    (port) => exchanges(port, kib * 1024, Math.min(64 * MB, kib * 1024 * 3000))
  ])
]

for (const [name, load] of cases) {
  const costs = new Map(KINDS.map((kind) => [kind, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const { kind, child, port } of proxies) {
      const before = await cpuOf(child)
      const megabytes = await load(port)
      costs.get(kind).push(((await cpuOf(child)) - before) / megabytes)
    }
  }
  const median = (kind) => costs.get(kind).sort((a, b) => a - b)[ROUNDS >> 1]
  const net = median('node:net')
  const row = KINDS.map((kind) => `${kind} ${median(kind).toFixed(0)} us/MB (${(median(kind) / net).toFixed(2)})`)
  console.log(`${name.padEnd(18)} ${row.join('   ')}`)
}

for (const { child } of proxies) child.kill()
upstream.close()
