/**
 * `npm run bench`: one table of ratios, all measured in this run.
 *
 *   --quick        short rounds, for CI
 *   --only NAMES   some of echo, ping, accept, first, udp, dgram, http, tls-down, tls-up, net, net-accept, idle, tasks, time, with commas
 *   --json FILE    the figures as JSON, too, and what they were measured on; scripts/figure.mjs draws them
 */
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { cpus, release, type } from 'node:os'
import { parseArgs } from 'node:util'
import { buildPeers } from './peers.mjs'
import { measureIdle } from './idle.mjs'
import { measureServers } from './servers.mjs'
import { measureTasks } from './tasks.mjs'
import { measureTime } from './time.mjs'
import { printTable } from './table.mjs'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, json: { type: 'string' } }
})
const quick = options.quick === true
const root = new URL('..', import.meta.url)

if (!existsSync(new URL('dist/index.js', root)) || !existsSync(new URL('build/Release/coreactor.node', root))) {
  const built = spawnSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' })
  if (built.status !== 0) process.exit(1)
}

/** The first competitor is what the others are compared with. */
const SERVER_ROWS = [
  {
    name: 'echo',
    title: 'TCP echo, 50 connections, 64 bytes: CPU per message',
    mode: 'echo',
    connections: 50,
    messages: quick ? 60_000 : 300_000,
    competitors: { C: 'echo', coreactor: 'coreactor-echo.mjs', 'coreactor, async': 'coreactor-echo-async.mjs', 'node:net': 'node-echo.mjs' }
  },
  {
    name: 'ping',
    title: 'PING, 16 pipelined, 50 connections: CPU per request',
    mode: 'ping',
    connections: 50,
    messages: quick ? 320_000 : 1_600_000,
    competitors: { C: 'ping', coreactor: 'coreactor-ping.mjs', 'node:net': 'node-ping.mjs' }
  },
  {
    name: 'accept',
    title: 'accept and close: CPU per connection',
    mode: 'connect',
    connections: 1,
    messages: quick ? 5_000 : 20_000,
    competitors: { C: 'close', coreactor: 'coreactor-close.mjs', 'node:net': 'node-close.mjs' }
  },
  {
    name: 'first',
    title: 'accept, first byte and close, 50 connections at a time: CPU per connection',
    mode: 'first',
    connections: 50,
    messages: quick ? 4_000 : 12_000,
    competitors: { C: 'first', 'bare calls': 'calls-first.mjs', coreactor: 'coreactor-first.mjs', 'node:net': 'node-first.mjs' }
  },
  {
    name: 'udp',
    title: 'UDP echo, window 256, 64 bytes: CPU per packet',
    mode: 'udp',
    /** Datagrams in flight. */
    connections: 256,
    messages: quick ? 200_000 : 1_000_000,
    needsC: true,
    competitors: { C: 'udp', coreactor: 'coreactor-udp.mjs', 'node:dgram': 'node-udp.mjs' }
  },
  {
    name: 'http',
    title: 'HTTP "hello" through node:http, 50 connections: CPU per request',
    mode: 'http',
    connections: 50,
    messages: quick ? 20_000 : 60_000,
    competitors: { 'coreactor/net': 'coreactor-net-http.mjs', toNode: 'coreactor-to-node-http.mjs', 'node:net': 'node-http.mjs' }
  },
  {
    name: 'tls-down',
    title: 'TLS 1.3 through node:tls, sent by 4 connections: CPU per MiB',
    mode: 'tls-down',
    connections: 4,
    /** MiB. */
    messages: quick ? 128 : 512,
    loadOfNode: true,
    needsOpenssl: true,
    competitors: { 'coreactor/net': 'coreactor-net-tls.mjs', toNode: 'coreactor-to-node-tls.mjs', 'node:net': 'node-tls.mjs' }
  },
  {
    name: 'tls-up',
    title: 'TLS 1.3 through node:tls, received by 4 connections: CPU per MiB',
    mode: 'tls-up',
    connections: 4,
    /** MiB. */
    messages: quick ? 128 : 512,
    loadOfNode: true,
    needsOpenssl: true,
    competitors: { 'coreactor/net': 'coreactor-net-tls.mjs', toNode: 'coreactor-to-node-tls.mjs', 'node:net': 'node-tls.mjs' }
  },
  {
    name: 'net',
    title: 'TCP echo with sockets in the shape of net.Socket, 50 connections, 64 bytes: CPU per message',
    mode: 'echo',
    connections: 50,
    messages: quick ? 40_000 : 200_000,
    competitors: { 'coreactor/net': 'coreactor-net-echo.mjs', 'node:net': 'node-echo.mjs' }
  },
  {
    name: 'net-accept',
    title: 'accept and close with sockets in the shape of net.Socket: CPU per connection',
    mode: 'connect',
    connections: 1,
    messages: quick ? 5_000 : 20_000,
    competitors: { 'coreactor/net': 'coreactor-net-close.mjs', 'node:net': 'node-close.mjs' }
  },
  {
    name: 'dgram',
    title: 'UDP echo by one program, over node:dgram and over coreactor/dgram, window 256, 64 bytes: CPU per packet',
    mode: 'udp',
    connections: 256,
    messages: quick ? 200_000 : 1_000_000,
    needsC: true,
    competitors: { 'node:dgram': 'node-udp.mjs', 'coreactor/dgram': 'coreactor-dgram.mjs' }
  }
]

function canBeMeasured({ name, needsC, needsOpenssl }) {
  return wanted(name) && (peers !== null || needsC !== true) && (openssl || needsOpenssl !== true)
}

const only = options.only?.split(',')
const wanted = (name) => only === undefined || only.includes(name)
const peers = buildPeers(root)
const openssl = spawnSync('openssl', ['version']).status === 0
const pinned = spawnSync('taskset', ['-c', '0', 'true']).status === 0 && cpus().length > 1

console.log(`coreactor bench: node ${process.version}, ${process.platform}-${process.arch}, ${cpus().length} cores`)
console.log(pinned ? 'servers pinned to core 0, load to core 1' : 'not pinned: no taskset, or one core only')
if (!openssl) console.log('no openssl: no certificate, and no TLS rows')
if (peers === null) console.log('no C compiler: no C rows, and a slower load written in JavaScript; ratios are indicative only')

const results = []
for (const row of SERVER_ROWS.filter(canBeMeasured)) {
  results.push(await measureServers(row, { root, peers, pinned, rounds: quick ? 2 : 5 }))
  printTable(results.at(-1))
}
for (const [name, measureAll] of [['idle', measureIdle], ['tasks', measureTasks], ['time', measureTime]]) {
  if (!wanted(name)) continue
  for (const measured of await measureAll({ quick })) {
    results.push(measured)
    printTable(measured)
  }
}
if (options.json !== undefined) {
  const conditions = {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    system: `${type()} ${release()}`,
    pinned,
    quick
  }
  writeFileSync(options.json, `${JSON.stringify({ ...conditions, results }, null, 2)}\n`)
}
