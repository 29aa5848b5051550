/**
 * `npm run bench:syscalls`: counts, with strace, what one echoed message costs in system calls. The server is traced from
 * its start; what it does before the load and what strace itself causes is small against the messages.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildPeers } from './peers.mjs'

const MESSAGES = 20_000
const COUNTED = ['recvfrom', 'sendto', 'sendmsg', 'epoll_wait', 'epoll_pwait', 'epoll_ctl', 'timerfd_settime', 'accept4']

const root = new URL('..', import.meta.url)
const peers = buildPeers(root)
if (peers === null || spawnSync('strace', ['-V']).status !== 0) {
  console.log('needs strace and a C compiler')
  process.exit(1)
}

async function count(connections) {
  const folder = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const summary = join(folder, 'summary')
  const server = fileURLToPath(new URL('bench/servers/coreactor-echo.mjs', root))
  const strace = spawn('strace', ['-c', '-o', summary, process.execPath, server], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { value } = await createInterface({ input: strace.stdout })[Symbol.asyncIterator]().next()
  const load = spawn(peers.load, ['echo', String(JSON.parse(value).port), String(connections), String(MESSAGES)])
  await once(load, 'close')
  strace.stdin.end()
  await once(strace, 'close')
  const calls = new Map()
  for (const line of readFileSync(summary, 'utf8').split('\n')) {
    // % time, seconds, usecs/call, calls, [errors], syscall
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line)
    if (match !== null) calls.set(match[2], Number(match[1]))
  }
  rmSync(folder, { recursive: true })
  return calls
}

console.log(`system calls of the echo server's loop thread, ${MESSAGES.toLocaleString('en')} messages of 64 bytes\n`)
for (const connections of [1, 50]) {
  const calls = await count(connections)
  console.log(`${connections} connection${connections === 1 ? '' : 's'}`)
  for (const name of COUNTED) {
    const n = calls.get(name) ?? 0
    console.log(`  ${name.padEnd(16)} ${String(n).padStart(7)}   ${(n / MESSAGES).toFixed(3)} a message`)
  }
  console.log()
}
