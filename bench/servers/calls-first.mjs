/**
 * Accepts, reads the first byte and closes with the addon's calls alone: no reactor, no coroutine, no object for each
 * connection. What remains to C is what Node and Node-API cost; what coreactor takes beyond it is its own.
 */
import { nativeKernel } from '../../dist/kernel/native.js'
import { EDGE, EVENT_INTS, EVENT_READINESS, EVENT_SLOT, FIRST_SLOT, READABLE, WRITABLE } from '../../dist/kernel/layout.js'
import { control } from './control.mjs'

const kernel = nativeKernel()
const input = Buffer.allocUnsafeSlow(64 * 1024)
const listener = kernel.socket('IPv4')
kernel.bind(listener, { family: 'IPv4', address: '127.0.0.1', port: 0 })
kernel.listen(listener, 4096)

/** The fd of each slot, -1 for a free one. Generations are not needed where a slot is only freed by its own event. */
const fds = new Array(FIRST_SLOT + 1).fill(-1)
const free = []

kernel.open((count) => {
  const { events } = kernel
  for (let at = 0; at < count * EVENT_INTS; at += EVENT_INTS) {
    const slot = events[at + EVENT_SLOT]
    if (slot === FIRST_SLOT) acceptAll()
    else if (slot > FIRST_SLOT && fds[slot] >= 0 && (events[at + EVENT_READINESS] & READABLE) !== 0) answer(slot)
  }
  return Infinity
})
kernel.add(listener, READABLE, EDGE, FIRST_SLOT, 0)
kernel.ref()
control(kernel.localAddress(listener).port)

function acceptAll() {
  for (let fd; (fd = kernel.accept(listener)) >= 0; ) {
    const slot = free.pop() ?? fds.length
    fds[slot] = fd
    kernel.add(fd, READABLE | WRITABLE, EDGE, slot, 0)
  }
}

function answer(slot) {
  if (kernel.receive(fds[slot], input, 0, input.length) < 0) return
  kernel.closeFd(fds[slot])
  fds[slot] = -1
  free.push(slot)
}
