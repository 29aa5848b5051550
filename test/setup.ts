/** Around every test: it leaves no socket, no task and no registration behind. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect } from 'vitest'
import { ownRuntime } from '../lib/runtime/current.js'
import { openFiles } from './here.js'
import { SETTLE_MS } from './patience.js'

/** The sockets this process holds, as the kernel names them; pipes and files are the test runner's. */
export function openSockets(): string[] {
  return openFiles().filter((target) => target.startsWith('socket:'))
}

let before: Set<string>

beforeEach(() => {
  ownRuntime()
  before = new Set(openSockets())
})

afterEach(async () => {
  const left = (): object => ({
    sockets: openSockets().filter((socket) => !before.has(socket)),
    tasks: ownRuntime().scheduler.live,
    registrations: ownRuntime().reactor.size
  })
  const clean = { sockets: [], tasks: 0, registrations: 0 }
  const deadline = performance.now() + SETTLE_MS
  // Sockets of node:net peers close a few turns after their 'close' was asked for.
  while (performance.now() < deadline && JSON.stringify(left()) !== JSON.stringify(clean)) await nextTurn()
  expect(left()).toEqual(clean)
})
