/** What the system does to a process, and what a process does to its neighbours: fds, signals, errors, floods. */
import { spawn as spawnProcess, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { on, once } from 'node:events'
import { createConnection, type AddressInfo, type Socket } from 'node:net'
import { setImmediate as nextIteration } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { checkpoint, connect, listen, run, serve, spawn, type Connection, type Coroutine } from 'coreactor'
import * as errno from '../lib/kernel/errno.js'
import type { Kernel } from '../lib/kernel/kernel.js'
import { READABLE } from '../lib/kernel/layout.js'
import { nativeKernel } from '../lib/kernel/native.js'
import { Reactor } from '../lib/reactor/reactor.js'
import { Registration } from '../lib/reactor/registration.js'
import { ownRuntime } from '../lib/runtime/current.js'
import { ENDS_MS } from './patience.js'
import { deferred } from './support.js'

const HERE = { port: 0, host: '127.0.0.1' }
/** What a process may take for something that has happened once; a spin takes one in each of the iterations. */
const A_FEW_TURNS = 5
const ITERATIONS = 200

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

const children: ChildProcess[] = []

/** A child that does not outlive its test. */
function started<T extends ChildProcess>(child: T): T {
  children.push(child)
  return child
}

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})

function inProcess(command: string, ...args: string[]) {
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: ENDS_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 2 ** 26
  })
  return { status, signal, stdout, stderr }
}

/** The turns that pass while the host loop iterates, busy with nothing of ours. Only in async bodies: those need no turn. */
async function turnsMeanwhile(each: (i: number) => void = () => {}): Promise<number> {
  // What is on its way arrives first.
  for (let i = 0; i < 50; i++) await nextIteration()
  const before = ownRuntime().turns
  for (let i = 0; i < ITERATIONS; i++) {
    each(i)
    await nextIteration()
  }
  return ownRuntime().turns - before
}

function* echo(connection: Connection): Coroutine<void> {
  for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
}

/** A connection of ours, and its peer in node:net, whose doings are no turns of ours. */
async function foreignPair(): Promise<[connection: Connection, peer: Socket]> {
  const listener = await listen(HERE)
  const peer = createConnection(listener.address.port, '127.0.0.1')
  peer.on('error', () => {})
  const connection = await listener.accept()
  await listener.close()
  return [connection, peer]
}

describe('turns', () => {
  it('an idle server with idle connections takes no turns', async () => {
    await run(async () => {
      const server = await serve(HERE, echo)
      const clients = await Promise.all(Array.from({ length: 10 }, () => connect({ port: server.address.port })))
      for (const client of clients) await client.write('hello')
      for (const client of clients) await client.readSome()
      expect(await turnsMeanwhile()).toBe(0)
      for (const client of clients) client.reset()
      await server.close()
    })
  })

  it('hazard 3: an fd that lives on in a child process does not spin after close', async () => {
    await run(async () => {
      const [connection, peer] = await foreignPair()
      const holder = started(spawnProcess('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', connection.fd] }))
      await once(holder, 'spawn')
      await connection.close()
      // The description lives on, and gets one event for each of these unless epoll has forgotten it.
      const turns = await turnsMeanwhile((i) => i % 10 === 0 && peer.write('for nobody'))
      expect(turns).toBeLessThanOrEqual(A_FEW_TURNS)
      expect(peer.closed).toBe(false)
      const closed = new Promise((resolve) => peer.once('close', resolve))
      holder.kill('SIGKILL')
      // And it did have the description: only now does the peer see the end.
      await closed
    })
  })

  it.each<[name: string, act: (peer: Socket) => void]>([
    ['a reset', (peer) => void peer.resetAndDestroy()],
    ['a half-close', (peer) => void peer.end()],
    ['data and a half-close', (peer) => void peer.end('unread')],
    ['data and a reset', (peer) => void peer.write('unread', () => peer.resetAndDestroy())]
  ])('hazard 5: %s of a connection nobody reads from causes no turns', async (_, act) => {
    await run(async () => {
      const [connection, peer] = await foreignPair()
      act(peer)
      expect(await turnsMeanwhile()).toBeLessThanOrEqual(A_FEW_TURNS)
      connection.reset()
      peer.destroy()
    })
  })

  it('hazard 5: a connection whose reader has gone, and whose writer waits for room, causes no turns', async () => {
    await run(async () => {
      const [connection, peer] = await foreignPair()
      const reading = spawn(function* () {
        yield* connection.readSome()
      })
      const writing = spawn(function* () {
        for (;;) yield* connection.write(Buffer.alloc(100_000))
      })
      while (reading.state !== 'parked' || writing.state !== 'parked') await checkpoint()
      reading.cancel()
      expect(await turnsMeanwhile()).toBeLessThanOrEqual(A_FEW_TURNS)
      writing.cancel()
      await writing.then(() => {}, () => {})
      connection.reset()
      peer.destroy()
    })
  })
})

it('hazard 1: of two events in one batch the first closes the fd of the second, whose number is taken again at once', async () => {
  const kernel = nativeKernel()
  const reactor = new Reactor(kernel)
  const listeners = [0, 1].map(() => {
    const fd = kernel.socket('IPv4')
    kernel.bind(fd, { family: 'IPv4', address: '127.0.0.1', port: 0 })
    kernel.listen(fd, 10)
    return { fd, registration: new Registration(), port: (kernel.localAddress(fd) as AddressInfo).port }
  })
  const batches: number[] = []
  const closed: number[] = []
  const taken = new Registration()
  let takenFd = -1
  const done = deferred()

  for (const [i, { registration }] of listeners.entries()) {
    registration.reader = {
      wake() {
        closed.push(i)
        if (takenFd >= 0) return
        const other = listeners[1 - i] as (typeof listeners)[0]
        reactor.remove(other.registration, other.fd)
        kernel.closeFd(other.fd)
        // Lower numbers may be free: until it is the very one.
        const spare: number[] = []
        while ((takenFd = kernel.socket('IPv4')) !== other.fd) spare.push(takenFd)
        for (const fd of spare) kernel.closeFd(fd)
        kernel.bind(takenFd, { family: 'IPv4', address: '127.0.0.1', port: 0 })
        kernel.listen(takenFd, 10)
        const { slot } = other.registration
        expect(slot).toBe(-1)
        reactor.add(taken, takenFd)
      }
    }
  }
  kernel.open((count) => {
    batches.push(count)
    reactor.deliver(count)
    if (count > 0) done.resolve()
    return Infinity
  })
  for (const { fd, registration } of listeners) reactor.add(registration, fd)
  kernel.ref()
  // Both connect in this step, so that both listeners are ready before the kernel is asked.
  const peers = listeners.map(({ port }) => {
    const fd = kernel.socket('IPv4')
    kernel.connect(fd, { family: 'IPv4', address: '127.0.0.1', port })
    return fd
  })
  await done.promise

  expect(batches).toEqual([2])
  expect(closed).toHaveLength(1)
  // The same fd number, the same slot, and nothing of the old one.
  expect(taken.slot).toBe(closed[0] === 0 ? 3 : 2)
  expect(taken.readiness & READABLE).toBe(0)
  const survivor = (listeners[closed[0] as number] as (typeof listeners)[0]).fd
  for (const fd of [...peers, survivor, takenFd]) kernel.closeFd(fd)
  kernel.close()
})

describe('system calls that fail', () => {
  const BYTES = 300_000
  // The same as echo.mjs sends.
  const sent = Buffer.alloc(BYTES, Uint8Array.from({ length: 251 }, (_, i) => i))
  const expected = `${createHash('sha256').update(sent).update(sent).update(sent).digest('hex')}\n`
  const hasStrace = process.platform === 'linux' && spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0
  const unless = hasStrace ? '' : ' (skipped: strace is missing, or ptrace is forbidden)'

  /** The system calls made, of those that were asked for, and how often each was made to fail. */
  function traced(calls: readonly string[], inject?: string): { made: string[]; failed: Map<string, number>; echoed: string } {
    const injection = inject === undefined ? [] : ['-e', `inject=${calls.join(',')}:${inject}`]
    const args = ['-f', '-qq', '-e', `trace=${calls.join(',')}`, ...injection, process.execPath, fixture('echo.mjs'), `${BYTES}`]
    const { status, signal, stdout, stderr } = inProcess('strace', ...args)
    expect({ status, signal, inject }).toEqual({ status: 0, signal: null, inject })
    const made = new Set<string>()
    const failed = new Map<string, number>()
    for (const line of stderr.split('\n')) {
      const call = /([a-z_0-9]+)\(/.exec(line)?.[1] ?? /<\.\.\. ([a-z_0-9]+) resumed/.exec(line)?.[1]
      if (call === undefined) continue
      made.add(call)
      if (line.includes('(INJECTED)')) failed.set(call, (failed.get(call) ?? 0) + 1)
    }
    return { made: [...made].toSorted(), failed, echoed: stdout }
  }

  it.runIf(hasStrace)(`hazard 15: EINTR of every other call loses and doubles nothing${unless}`, () => {
    // Not connect, which an injected error keeps from happening at all, nor epoll_ctl, at whose errors libuv aborts.
    const calls = ['accept4', 'epoll_wait', 'recvfrom', 'sendmsg', 'sendto', 'shutdown']
    const plain = traced(calls)
    expect(plain).toEqual({ made: calls, failed: new Map(), echoed: expected })
    const interrupted = traced(calls, 'error=EINTR:when=1+2')
    expect(interrupted.echoed).toBe(expected)
    expect([...interrupted.failed.keys()].toSorted()).toEqual(calls)
  })

  const goneBefore = ['ECONNABORTED', 'EPROTO', 'EPERM', 'ENETDOWN', 'EOPNOTSUPP']
  it.runIf(hasStrace).each(goneBefore)(`hazard 17: %s from accept4 does not stop the server${unless}`, (name) => {
    const { failed, echoed } = traced(['accept4'], `error=${name}:when=2+2`)
    expect(echoed).toBe(expected)
    expect(failed.get('accept4')).toBeGreaterThan(1)
  })

  it('hazard 17: ECONNABORTED, EPROTO, EPERM, ENETDOWN from accept do not stop the server', async () => {
    const native = nativeKernel()
    const { ECONNABORTED, EPROTO, EPERM, ENETDOWN, EOPNOTSUPP } = errno
    const errors = [ECONNABORTED, EPROTO, EPERM, ENETDOWN, EOPNOTSUPP]
    let calls = 0
    let failures = 0
    const accept = (fd: number): number => {
      if (calls++ % 2 === 0) return native.accept(fd)
      return errors[failures++ % errors.length] as number
    }
    const kernel = Object.assign(Object.create(native) as Kernel, { accept })
    await run(
      function* () {
        const server = yield* serve(HERE, echo)
        for (let i = 0; i < 20; i++) {
          // Two at a time: the second is met by the call that fails.
          const clients = [yield* connect({ port: server.address.port }), yield* connect({ port: server.address.port })]
          for (const client of clients) {
            yield* client.write(`${i}`)
            expect(String(yield* client.readSome())).toBe(`${i}`)
            yield* client.close()
          }
        }
        yield* server.close()
      },
      { kernel }
    )
    expect(failures).toBeGreaterThan(errors.length)
  })
})

/** Enough to load the library with: Node's loader opens many modules at a time. */
const FDS = 256

it('hazard 16: out of fds, accepting pauses with one warning, takes few turns, and recovers when fds are free', async () => {
  // The shell limits that process alone.
  const script = `ulimit -n ${FDS}; exec "$0" "$1"`
  const child = started(
    spawnProcess('sh', ['-c', script, process.execPath, fixture('few-fds.mjs')], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
  )
  child.stderr?.resume()
  const ended = once(child, 'exit')
  const warnings: string[] = []
  const messages = on(child, 'message')
  /** The next message with `key`. */
  const told = async (key: string): Promise<unknown> => {
    for (;;) {
      const [message] = (await messages.next()).value as [Record<string, unknown>]
      if (typeof message['warning'] === 'string') warnings.push(message['warning'])
      if (key in message) return message[key]
    }
  }
  const ask = async (request: string, key: string): Promise<unknown> => {
    child.send(request)
    return told(key)
  }

  const port = (await told('port')) as number
  // More than it has fds for, but few enough that those which wait find room when the others have gone.
  const greeted: boolean[] = []
  const clients = Array.from({ length: FDS }, (_, i) => {
    const client = createConnection(port, '127.0.0.1')
    client.on('error', () => {})
    client.once('data', () => (greeted[i] = true))
    return client
  })
  await told('warning')
  // For as long as it takes to try again, in vain, a few times.
  for (let taken = 0; taken < 3; ) {
    const turns = (await ask('turns', 'turns')) as number
    expect(turns).toBeLessThanOrEqual(A_FEW_TURNS)
    taken += turns
  }
  expect(warnings).toEqual(['COREACTOR_ACCEPT_PAUSED'])
  const freed = (await ask('free', 'freed')) as number
  expect(freed).toBeGreaterThan(10)
  expect(freed).toBeLessThan(clients.length)
  // All of those that had to wait are served, and accepting goes on.
  while (greeted.filter(Boolean).length < clients.length) await nextIteration()
  const last = createConnection(port, '127.0.0.1')
  await once(last, 'data')
  expect(await ask('turns', 'turns')).toBeLessThanOrEqual(A_FEW_TURNS)
  expect(warnings).toEqual(['COREACTOR_ACCEPT_PAUSED'])
  child.send('end')
  expect(await ended).toEqual([0, null])
  for (const client of [...clients, last]) client.destroy()
})

it('hazard 22: writing to a closed peer raises no SIGPIPE, in a program that listens to it or has ceased to', () => {
  const { status, signal, stdout, stderr } = inProcess(process.execPath, fixture('sigpipe.mjs'))
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  const EPIPE = -32
  const results = `${EPIPE} ${EPIPE} write ${EPIPE} write ${EPIPE} write ${EPIPE}`
  expect(stdout).toBe(`${results}: 0 signals\n${results}: alive\n`)
})

// In a process of its own: one that starves its host loop could not even fail.
it('hazard 65: a flood on our server does not starve node:net in the same process, nor the other way round', () => {
  const rounds = 50
  const { status, signal, stdout, stderr } = inProcess(process.execPath, fixture('neighbours.mjs'), `${rounds}`)
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  expect(JSON.parse(stdout)).toEqual({ netRounds: rounds, oursFlooded: true, ourRounds: rounds, theirsFlooded: true })
})
