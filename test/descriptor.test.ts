/** Any descriptor: every kind the system has, borrowed and owned, and what others do to it behind our back. */
import { execFileSync, spawn as spawnProcess, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { constants as osConstants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextIteration } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  connect,
  fd,
  FdInUseError,
  listen,
  NotPollableError,
  run,
  scope,
  sleep,
  spawn,
  SystemError,
  timeout,
  TimeoutError,
  type Coroutine,
  type Descriptor,
  type Task
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { EEXIST, WATCH_CALL } from '../lib/kernel/errno.js'
import { currentRuntime, ownRuntime } from '../lib/runtime/current.js'
import { system } from './fixtures/descriptor/system-calls.mjs'
import { epoll, kqueueOf, linux, needs, watchesFifos } from './here.js'
import { caught, onEveryKernel, pair, pattern } from './support.js'

/** What a process may take for something that has happened once; a spin takes one in each of the iterations. */
const A_FEW_TURNS = 5
const ITERATIONS = 200

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/descriptor/${name}`, import.meta.url))

// --- around every test: it leaves no fd of any kind, and no child -------------------------------------------------------

function openFds(): Map<string, string> {
  return new Map(
    readdirSync('/proc/self/fd').flatMap((n) => {
      try {
        return [[n, readlinkSync(`/proc/self/fd/${n}`)]]
      } catch {
        return [] // The fd of the listing itself.
      }
    })
  )
}

/** The fds that some queue of this process watches, as the kernel tells it. */
function watched(): number[] {
  return [...openFds()].flatMap(([n, link]) => {
    if (!link.includes('eventpoll')) return []
    const entries = readFileSync(`/proc/self/fdinfo/${n}`, 'utf8').matchAll(/^tfd:\s*(\d+)/gm)
    return [...entries].map(([, fd]) => Number(fd))
  })
}

// The fixture calls Linux; what the library does with descriptors elsewhere is in readiness.test.ts and pipe.test.ts.
needs(linux)

const children: ChildProcess[] = []
let before = new Map<string, string>()

beforeEach(() => {
  before = openFds()
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const left = (): string[] => [...openFds()].filter(([n, link]) => before.get(n) !== link).map(([n, link]) => `${n} ${link}`)
  for (let i = 0; i < 1000 && left().length > 0; i++) await nextIteration()
  expect(left()).toEqual([])
})

/** A child that does not outlive its test. */
function started<T extends ChildProcess>(child: T): T {
  children.push(child)
  return child
}

/** The turns that pass while the host loop iterates, busy with nothing of ours. Only in async bodies: those need no turn. */
async function turnsMeanwhile(each: (i: number) => void = () => {}): Promise<number> {
  for (let i = 0; i < 50; i++) await nextIteration()
  const turns = ownRuntime().turns
  for (let i = 0; i < ITERATIONS; i++) {
    each(i)
    await nextIteration()
  }
  return ownRuntime().turns - turns
}

/** Runs `act` while `count` tasks wait, all of them parked; gives what each has come to. */
function* whileWaiting(waits: (() => Iterable<unknown, unknown, unknown>)[], act: () => void): Coroutine<unknown[]> {
  const tasks = waits.map((wait) =>
    spawn(function* () {
      return yield* wait() as Coroutine<unknown>
    })
  )
  yield* allParked()
  expect(tasks.map((task) => task.state)).toEqual(waits.map(() => 'parked'))
  act()
  const results: unknown[] = []
  for (const task of tasks) results.push(yield* task)
  return results
}

// --- every kind ---------------------------------------------------------------------------------------------------------

interface Kind {
  /** Blocking, as it is made by default. */
  fd: number
  /** Makes it readable. */
  trigger(): void
  /** What is to be read then; null where that is for the kind to know. */
  expected: string | null
  /** Whether it stays readable after that was read. */
  stays?: boolean
  others?: number[]
  end?(): void
}

const one = Buffer.from('\x01\0\0\0\0\0\0\0', 'latin1')

function ends([near, far]: [number, number]): Kind {
  return { fd: near, trigger: () => void writeSync(far, 'hello'), expected: 'hello', others: [far] }
}

function FIFO(): Kind {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'fifo')
  execFileSync('mkfifo', [path])
  const far = openSync(path, 'r+')
  const near = openSync(path, 'r')
  rmSync(directory, { recursive: true })
  return ends([near, far])
}

const KINDS: Record<string, () => Kind> = {
  pipe: () => ends(system.pipe()),
  socket: () => ends(system.sockets()),
  ...(watchesFifos && { FIFO }),
  'terminal, the program’s side'() {
    const terminal = system.terminal()
    const near = system.otherSide(terminal)
    return { ...ends([near, terminal]), trigger: () => void writeSync(terminal, 'hello\n'), expected: 'hello\n' }
  },
  'terminal, the emulator’s side'() {
    const terminal = system.terminal()
    return ends([terminal, system.otherSide(terminal)])
  },
  eventfd() {
    const counter = system.eventfd(0)
    return { fd: counter, trigger: () => void writeSync(counter, one), expected: one.toString('latin1') }
  },
  timerfd() {
    const timer = system.timerfd()
    return { fd: timer, trigger: () => void system.setTimer(timer, 1), expected: one.toString('latin1') }
  },
  signalfd: () => ({
    fd: system.signalfd(osConstants.signals.SIGUSR2),
    trigger: () => void system.raise(osConstants.signals.SIGUSR2),
    expected: null
  }),
  inotify() {
    let directory = ''
    return {
      fd: system.inotify(),
      trigger: () => void (directory = mkdtempSync('/tmp/coreactor-')),
      expected: null,
      // Others make files there, too.
      stays: true,
      end: () => rmSync(directory, { recursive: true })
    }
  },
  netlink() {
    const socket = system.netlink()
    // RTM_GETLINK, a dump of all interfaces: struct nlmsghdr and struct rtgenmsg.
    const request = Buffer.alloc(20)
    request.writeUInt32LE(20, 0)
    request.writeUInt16LE(18, 4)
    request.writeUInt16LE(0x301, 6)
    return { fd: socket, trigger: () => void writeSync(socket, request), expected: null, stays: true }
  }
}

describe.each(Object.entries(KINDS))('a %s', (_, make) => {
  let kind: Kind

  beforeEach(() => {
    kind = make()
  })

  afterEach(() => {
    for (const n of [kind.fd, ...(kind.others ?? [])]) closeSync(n)
    kind.end?.()
  })

  it('wakes everybody who waits for it by one event, is read without blocking, and keeps its flags', async () => {
    const flags = system.flags(kind.fd)
    expect(flags & system.nonBlocking()).toBe(0)
    await run(function* () {
      const descriptor = fd(kind.fd)
      const into = Buffer.alloc(4096)
      if (kind.expected !== null) expect(descriptor.tryRead(into)).toBeNull()
      yield* whileWaiting([() => descriptor.readable(), () => descriptor.readable(), () => descriptor.readable()], kind.trigger)
      expect(system.flags(kind.fd)).toBe(flags)
      const count = yield* descriptor.read(into)
      expect(count).toBeGreaterThan(0)
      if (kind.expected !== null) expect(into.toString('latin1', 0, count)).toBe(kind.expected)
      if (kind.stays !== true) expect(descriptor.tryRead(into)).toBeNull()
      yield* descriptor.close()
    })
    expect(system.flags(kind.fd)).toBe(flags)
  })

  it('is read by who waits in read', async () => {
    await run(function* () {
      const descriptor = fd(kind.fd)
      const [chunk] = yield* whileWaiting([() => descriptor.readSome()], kind.trigger)
      expect((chunk as Buffer).length).toBeGreaterThan(0)
      if (kind.expected !== null) expect((chunk as Buffer).toString('latin1')).toBe(kind.expected)
      yield* descriptor.close()
    })
  })
})

it('a pidfd is readable when the process has ended, and says itself that it cannot be read', async () => {
  const child = started(spawnProcess('sleep', ['1000']))
  await once(child, 'spawn')
  const pidfd = system.pidfd(child.pid as number)
  await run(function* () {
    const ended = fd(pidfd, { own: true })
    yield* whileWaiting([() => ended.readable(), () => ended.readable()], () => child.kill('SIGKILL'))
    expect(yield* caught(() => ended.read(Buffer.alloc(8)))).toMatchObject({ code: 'EINVAL', syscall: 'read' })
    yield* ended.close()
  })
})

it.runIf(kqueueOf !== 'freebsd')('urgent data is for who waits for priority, and for nobody else', async () => {
  await run(function* () {
    const [client, server] = yield* pair()
    const copy = fd(system.dup(server.fd), { own: true })
    const reader = spawn(() => copy.readSome() as unknown as Coroutine<Buffer | null>)
    yield* whileWaiting([() => copy.priority(), () => copy.priority()], () => system.urgent(client.fd))
    yield* allParked()
    expect(reader.state).toBe('parked')
    yield* client.write('in band')
    expect(String(yield* reader)).toBe('in band')
    yield* copy.close()
    yield* client.close()
    yield* server.close()
  })
})

if (kqueueOf === 'freebsd') {
  it('FreeBSD cannot wait for urgent data, says so, and goes on watching for the rest', async () => {
    await run(function* () {
      const [client, server] = yield* pair()
      const copy = fd(system.dup(server.fd), { own: true })
      expect(yield* caught(() => copy.priority())).toMatchObject({ code: expect.stringMatching(/^E(OP)?NOTSUPP?$/), syscall: WATCH_CALL })
      yield* whileWaiting([() => copy.readable()], () => client.tryWrite('x'))
      yield* copy.close()
      yield* client.close()
      yield* server.close()
    })
  })
}

it('hazard 8: what is always ready cannot be waited for, and is read and written by threads', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'file')
  writeFileSync(path, 'contents')
  const open = {
    file: openSync(path, 'r+'),
    memory: system.memory(),
    null: openSync('/dev/null', 'r+'),
    zero: openSync('/dev/zero', 'r+'),
    proc: openSync('/proc/self/status', 'r')
  }
  const found: Record<string, string | null> = {}
  await run(function* () {
    for (const [name, n] of Object.entries(open)) {
      const descriptor = fd(n, { own: true })
      const into = Buffer.alloc(8)
      for (const wait of [descriptor.readable(), descriptor.writable(), descriptor.priority()]) {
        const error = yield* caught(() => wait)
        expect([name, error.constructor, error.code]).toEqual([name, NotPollableError, 'ERR_COREACTOR_NOT_POLLABLE'])
      }
      expect(() => fd(n, { own: true })).toThrow(FdInUseError)
      expect(() => descriptor.tryRead(into)).toThrow(NotPollableError)
      expect(() => descriptor.tryWrite('x')).toThrow(NotPollableError)
      expect(into.equals(Buffer.alloc(8))).toBe(true)
      found[name] = into.toString('latin1', 0, yield* descriptor.read(into))
      if (name === 'proc') expect(yield* caught(() => descriptor.write('x'))).toMatchObject({ code: 'EBADF', syscall: 'write' })
      else yield* descriptor.write('written')
      yield* descriptor.close()
      expect(yield* caught(() => descriptor.read(into))).toBeInstanceOf(ClosedError)
    }
  })
  expect(found).toEqual({ file: 'contents', memory: '', null: '', zero: '\0'.repeat(8), proc: expect.stringMatching(/^Name:/) })
  expect(readFileSync(path, 'utf8')).toBe('contentswritten')
  rmSync(directory, { recursive: true })
})

it('hazard 8: what can be neither watched nor read is NotPollableError for everything, and nothing has happened', async () => {
  const directory = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY)
  await run(function* () {
    const descriptor = fd(directory, { own: true })
    for (const use of [descriptor.readable(), descriptor.read(Buffer.alloc(1)), descriptor.readSome(), descriptor.write('x')]) {
      expect(yield* caught(() => use)).toBeInstanceOf(NotPollableError)
    }
    yield* descriptor.close()
  })
})

it('a file is read to its end, chunk by chunk, and written to where it stands', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'file')
  const contents = pattern(300_000)
  const n = openSync(path, 'w+')
  const chunks = await run(async () => {
    const descriptor = fd(n, { own: true })
    await descriptor.write(contents)
    await descriptor.close()
    const again = fd(openSync(path, 'r'), { own: true })
    const read: Buffer[] = []
    for await (const chunk of again) read.push(chunk)
    await again.close()
    return read
  })
  expect(chunks.length).toBeGreaterThan(1)
  expect(Buffer.concat(chunks).equals(contents)).toBe(true)
  rmSync(directory, { recursive: true })
})

it('a read of a file that is called off has read nothing: the next one gets what the thread has found', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  const path = join(directory, 'file')
  writeFileSync(path, 'abcdefgh')
  await run(function* () {
    const descriptor = fd(openSync(path, 'r'), { own: true })
    const first = spawn(() => descriptor.readSome(4))
    // The thread has begun by then, or even ended; the task has not been resumed.
    yield* checkpoint()
    first.cancel()
    expect(yield* caught(() => first)).toBeInstanceOf(Error)
    expect(String(yield* descriptor.readSome(3))).toBe('abc')
    expect(String(yield* descriptor.readSome(100))).toBe('d')
    expect(String(yield* descriptor.readSome(100))).toBe('efgh')
    expect(yield* descriptor.readSome()).toBeNull()
    yield* descriptor.close()
  })
  rmSync(directory, { recursive: true })
})

it('a second reader of a file is busy, and a disk that is full says so', async () => {
  await run(function* () {
    const zero = fd(openSync('/dev/zero', 'r'), { own: true })
    const reading = spawn(() => zero.readSome(10))
    yield* checkpoint()
    expect(yield* caught(() => zero.readSome(10))).toBeInstanceOf(BusyError)
    expect((yield* reading)?.length).toBe(10)
    yield* zero.close()
    const full = fd(openSync('/dev/full', 'w'), { own: true })
    expect(yield* caught(() => full.write('x'))).toMatchObject({ code: 'ENOSPC', syscall: 'write' })
    yield* full.close()
  })
})

// --- reading and writing ------------------------------------------------------------------------------------------------

onEveryKernel('a descriptor', (kernel) => {
  /** Two connected sockets that nothing of the library has wrapped. */
  function raw(): [number, number] {
    const fds = currentRuntime().kernel.socketPair()
    if (typeof fds === 'number') throw new Error('no sockets')
    return [...fds]
  }

  function* both(): Coroutine<[Descriptor, Descriptor]> {
    const [first, second] = raw()
    return [fd(first, { own: true }), fd(second, { own: true })]
  }

  it('writes all of what it is given, and reads until the end', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      const sent = pattern(3_000_000)
      const writing = spawn(function* () {
        yield* near.write('text: ')
        yield* near.write(sent)
        yield* near.write('')
        yield* near.close()
      })
      const chunks: Buffer[] = []
      for (let chunk; (chunk = yield* far.readSome(50_000)) !== null; ) chunks.push(chunk)
      expect(Buffer.concat(chunks).equals(Buffer.concat([Buffer.from('text: '), sent]))).toBe(true)
      expect(yield* far.read(Buffer.alloc(1))).toBe(0)
      yield* writing
      yield* far.close()
    })
  })

  it('tryRead and tryWrite say as a value that it would block', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      const into = Buffer.alloc(100_000)
      expect(near.tryRead(into)).toBeNull()
      let total = 0
      for (let n; (n = near.tryWrite(pattern(50_000))) !== null; ) total += n
      expect(total).toBeGreaterThan(0)
      for (let n; (n = far.tryRead(into)) !== null; ) total -= n
      expect(total).toBe(0)
      yield* near.close()
      expect(far.tryRead(into)).toBe(0)
      yield* far.close()
    })
  })

  it('readable and writable complete at once for what is ready, and can be waited for by many', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      yield* near.writable()
      yield* far.write('x')
      yield* near.readable()
      yield* near.readable()
      expect(near.tryRead(Buffer.alloc(10))).toBe(1)
      const waiting = Array.from({ length: 50 }, () => () => near.readable())
      expect(yield* whileWaiting(waiting, () => void far.tryWrite('y'))).toHaveLength(50)
      yield* near.close()
      yield* far.close()
    })
  })

  it('hazard 14: of two directions that are waited for each has its own event, and cancelling one leaves the other', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      while (near.tryWrite(pattern(10_000)) !== null);
      const reading = spawn(function* () {
        yield* near.readable()
      })
      yield* scope(function* (tasks) {
        const writing = tasks.spawn(function* () {
          yield* near.writable()
        })
        const others = [1, 2].map(() =>
          tasks.spawn(function* () {
            yield* near.readable()
          })
        )
        yield* allParked()
        writing.cancel()
        for (const task of others) task.cancel()
        yield* allParked()
      })
      expect(reading.state).toBe('parked')
      const writing = spawn(function* () {
        yield* near.writable()
      })
      yield* allParked()
      yield* far.write('x')
      yield* reading
      yield* allParked()
      expect(writing.state).toBe('parked')
      for (let n; (n = far.tryRead(Buffer.alloc(100_000))) !== null; ) expect(n).toBeGreaterThan(0)
      yield* writing
      yield* near.close()
      yield* far.close()
    })
  })

  it('hazard 14: a second reader or writer gets BusyError, and the first goes on undisturbed', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      const first = spawn(function* () {
        return String(yield* near.readSome())
      })
      const writer = spawn(function* () {
        yield* near.write(pattern(5_000_000))
      })
      yield* allParked()
      expect(yield* caught(() => near.read(Buffer.alloc(1)))).toBeInstanceOf(BusyError)
      expect(yield* caught(() => near.write('x'))).toBeInstanceOf(BusyError)
      expect(() => near.tryRead(Buffer.alloc(1))).toThrow(BusyError)
      expect(() => near.tryWrite('x')).toThrow(BusyError)
      yield* far.write('for the first')
      expect(yield* first).toBe('for the first')
      for (let left = 5_000_000; left > 0; ) left -= ((yield* far.readSome()) as Buffer).length
      yield* writer
      yield* near.close()
      yield* far.close()
    })
  })

  it('hazard 32: a cancelled wait has done nothing; a write that was cut off says how much has gone', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      expect(yield* caught(() => timeout(1, () => far.readSome()))).toBeInstanceOf(TimeoutError)
      yield* near.write('kept')
      expect(String(yield* far.readSome())).toBe('kept')
      let error: unknown
      yield* scope(function* (tasks) {
        tasks.spawn(function* () {
          try {
            yield* near.write(pattern(5_000_000))
          } catch (reason) {
            error = reason
            throw reason
          }
        })
        yield* allParked()
        tasks.cancel()
      })
      expect(error).toBeInstanceOf(Cancelled)
      const { bytesWritten } = error as { bytesWritten: number }
      expect(bytesWritten).toBeGreaterThan(0)
      yield* near.close()
      const chunks: Buffer[] = []
      for (let chunk; (chunk = yield* far.readSome()) !== null; ) chunks.push(chunk)
      expect(Buffer.concat(chunks).equals(pattern(5_000_000).subarray(0, bytesWritten))).toBe(true)
      yield* far.close()
    })
  })

  it('close gives ClosedError to everybody who waits, and to every use after it; twice does no harm', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      const waiting = spawn(function* () {
        return [
          yield* caught(() => near.readable()),
          yield* caught(() => near.readSome()),
          yield* caught(() => near.writable()),
          yield* caught(() => near.write('x'))
        ]
      })
      const reading = spawn(function* () {
        return yield* caught(() => near.readSome())
      })
      yield* allParked()
      expect(near.closed).toBe(false)
      yield* near.close()
      yield* near.close()
      expect([near.fd, near.closed]).toEqual([-1, true])
      expect(yield* reading).toBeInstanceOf(ClosedError)
      expect((yield* waiting).map((error) => error.constructor)).toEqual([ClosedError, ClosedError, ClosedError, ClosedError])
      expect(() => near.tryRead(Buffer.alloc(1))).toThrow(ClosedError)
      expect(yield* far.readSome()).toBeNull()
      yield* far.close()
    })
  })

  it('close happens in a cancelled scope, too', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      yield* scope(function* (tasks) {
        tasks.cancel()
        yield* near.close()
      })
      expect(near.closed).toBe(true)
      expect(yield* far.readSome()).toBeNull()
      yield* far.close()
    })
  })

  it('a borrowed fd is forgotten by close, and stays open for the next who wraps it', async () => {
    await kernel.run(function* () {
      const [near, far] = raw()
      const owner = fd(far, { own: true })
      for (const text of ['once', 'twice']) {
        const borrowed = fd(near)
        const reading = spawn(function* () {
          return String(yield* borrowed.readSome())
        })
        yield* allParked()
        yield* owner.write(text)
        expect(yield* reading).toBe(text)
        yield* borrowed.close()
      }
      yield* fd(near, { own: true }).close()
      expect(yield* owner.readSome()).toBeNull()
      yield* owner.close()
    })
  })

  it('hazard 7, hazard 14: an fd that another has is refused, and what the other waits for is not disturbed', async () => {
    await kernel.run(function* () {
      const [near, far] = yield* both()
      expect(() => fd(near.fd, { own: true })).toThrow(FdInUseError)
      const second = fd(near.fd)
      expect(yield* caught(() => second.readable())).toMatchObject({ code: 'ERR_COREACTOR_FD_IN_USE' })
      const [client, server] = yield* pair()
      expect(() => fd(client.fd, { own: true })).toThrow(FdInUseError)
      const stolen = fd(client.fd)
      const received = spawn(function* () {
        return String(yield* client.readSome())
      })
      yield* allParked()
      for (const use of [stolen.readable(), stolen.read(Buffer.alloc(1)), stolen.write('x')]) {
        expect(yield* caught(() => use)).toBeInstanceOf(FdInUseError)
      }
      expect(() => stolen.tryRead(Buffer.alloc(1))).toThrow(FdInUseError)
      yield* server.write('for the connection')
      expect(yield* received).toBe('for the connection')
      for (const each of [stolen, second, near, far, client, server]) yield* each.close()
    })
  })

  it('hazard 7: of two that borrow one fd the second waits in vain, with an error, while the first waits', async () => {
    await kernel.run(function* () {
      const [near, far] = raw()
      const [first, second, other] = [fd(near), fd(near), fd(far, { own: true })]
      const waiting = spawn(function* () {
        yield* first.readable()
      })
      yield* allParked()
      expect(yield* caught(() => second.readable())).toBeInstanceOf(FdInUseError)
      yield* other.write('x')
      yield* waiting
      yield* second.readable()
      yield* second.close()
      yield* fd(near, { own: true }).close()
      yield* other.close()
    })
  })

  it('hazard 1: closed by somebody else while it is waited for, it is EBADF once its number is another’s, who keeps it', async () => {
    await kernel.run(function* () {
      const [near, far] = raw()
      const [lost, other] = [fd(near, { own: true }), fd(far, { own: true })]
      const waiting = spawn(function* () {
        return yield* caught(() => lost.readSome())
      })
      yield* allParked()
      currentRuntime().kernel.closeFd(near)
      const [reused, peer] = raw()
      expect(reused).toBe(near)
      const [found, its] = [fd(reused), fd(peer, { own: true })]
      const reading = spawn(function* () {
        return String(yield* found.readSome())
      })
      expect(yield* waiting).toMatchObject({ code: 'EBADF' })
      yield* lost.close()
      yield* its.write('for the new one')
      expect(yield* reading).toBe('for the new one')
      yield* found.close()
      yield* fd(reused, { own: true }).close()
      yield* its.close()
      yield* other.close()
    })
  })

  it('arguments that fit nothing are refused at once', async () => {
    await kernel.run(function* () {
      expect(() => fd(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      expect(() => fd('0' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => fd(654_321)).toThrow(expect.objectContaining({ code: 'EBADF' }))
      expect(() => fd(654_321, { own: true })).toThrow(expect.objectContaining({ code: 'EBADF' }))
      const [near, far] = yield* both()
      expect(() => near.read(Buffer.alloc(0))).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
      expect(() => near.read('x' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => near.write(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => near.readSome(0)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      yield* near.close()
      yield* far.close()
    })
  })
})

it('is async-disposable, and its chunks are iterable', async () => {
  const [near, far] = system.pipe()
  writeSync(far, 'abc')
  closeSync(far)
  await run(async () => {
    const descriptor = fd(near, { own: true })
    let text = ''
    for await (const chunk of descriptor) text += String(chunk)
    expect(text).toBe('abc')
    await descriptor[Symbol.asyncDispose]()
    expect(descriptor.closed).toBe(true)
  })
})

// --- what others do behind our back -------------------------------------------------------------------------------------

describe('an fd that is closed behind our back', () => {
  it('hazard 4: is EBADF for what begins after it', async () => {
    await run(function* () {
      const [near, far] = system.pipe()
      const [used, fresh] = [fd(near), fd(near)]
      expect(used.tryRead(Buffer.alloc(1))).toBeNull()
      closeSync(near)
      for (const descriptor of [used, fresh]) {
        for (const use of [descriptor.readable(), descriptor.read(Buffer.alloc(1))]) {
          expect(yield* caught(() => use)).toMatchObject({ code: 'EBADF' })
        }
        yield* descriptor.close()
      }
      closeSync(far)
    })
  })

  it('hazard 4: leaves who waits for it waiting, until that is cancelled', async () => {
    await run(function* () {
      const [near, far] = system.pipe()
      const descriptor = fd(near)
      yield* scope(function* (tasks) {
        tasks.spawn(function* () {
          yield* descriptor.readable()
        })
        yield* allParked()
        closeSync(near)
        yield* allParked()
        tasks.cancel()
      })
      yield* descriptor.close()
      closeSync(far)
    })
  })

  it('hazard 4: with a dup that lives on, cancelling one of two that wait leaves the other, which can be cancelled, too', async () => {
    await run(function* () {
      const [near, far] = system.sockets()
      const descriptor = fd(near)
      while (descriptor.tryWrite(pattern(50_000)) !== null);
      const copy = system.dup(near)
      yield* scope(function* (tasks) {
        const [reading, writing] = [descriptor.readable(), descriptor.writable()].map((wait) =>
          tasks.spawn(function* () {
            yield* wait
          })
        ) as [Task<void>, Task<void>]
        yield* allParked()
        closeSync(near)
        reading.cancel()
        yield* allParked()
        expect(writing.state).toBe('parked')
        tasks.cancel()
      })
      yield* descriptor.close()
      closeSync(copy)
      closeSync(far)
    })
  })

  it.runIf(epoll)('hazard 4: with a dup that lives on, an event of it wakes who waited for it, and gives the rest EBADF', async () => {
    await run(function* () {
      const [near, far] = system.sockets()
      const descriptor = fd(near)
      while (descriptor.tryWrite(pattern(50_000)) !== null);
      const copy = system.dup(near)
      const writing = spawn(function* () {
        return yield* caught(() => descriptor.writable())
      })
      yield* whileWaiting([() => descriptor.readable()], () => {
        closeSync(near)
        writeSync(far, 'x')
      })
      // Waiting goes on by adding the fd again, which is closed.
      expect(yield* writing).toMatchObject({ code: 'EBADF', syscall: WATCH_CALL })
      yield* descriptor.close()
      closeSync(copy)
      closeSync(far)
    })
  })

  it('hazard 1: is EBADF for who waits, once its number is a new connection’s, which hears nothing and loses nothing', async () => {
    await run(function* () {
      const [near, far] = system.pipe()
      const descriptor = fd(near)
      const waiting = spawn(function* () {
        return yield* caught(() => descriptor.readSome())
      })
      yield* allParked()
      closeSync(near)
      const [client, server] = yield* pair()
      const reused = [client, server].find((connection) => connection.fd === near)
      expect([client.fd, server.fd, near]).toContain(near)
      expect(yield* waiting).toMatchObject({ code: 'EBADF' })
      expect([descriptor.closed, descriptor.fd]).toEqual([true, -1])
      expect(yield* caught(() => descriptor.readable())).toMatchObject({ code: 'EBADF' })
      yield* descriptor.close()
      // The connection is watched as before.
      const received = spawn(function* () {
        return String(yield* client.readSome())
      })
      yield* allParked()
      yield* server.write('still here')
      expect(yield* received).toBe('still here')
      if (reused !== undefined) expect(reused.fd).toBe(near)
      yield* client.close()
      yield* server.close()
      closeSync(far)
    })
  })

  it('hazard 1: whose number another has now takes nothing from it when the wait is cancelled', async () => {
    await run(function* () {
      const [near, far] = system.pipe()
      const lost = fd(near)
      yield* scope(function* (tasks) {
        tasks.spawn(function* () {
          yield* caught(() => lost.readable())
        })
        yield* allParked()
        closeSync(near)
        const [reader, writer] = system.pipe()
        expect(reader).toBe(near)
        const found = fd(reader, { own: true })
        const reading = tasks.spawn(function* () {
          return String(yield* found.readSome())
        })
        yield* allParked()
        yield* lost.close()
        writeSync(writer, 'for the new one')
        expect(yield* reading).toBe('for the new one')
        yield* found.close()
        closeSync(writer)
      })
      closeSync(far)
    })
  })

  it.each(['close and open', 'dup2'] as const)(
    'hazard 1: of two events in one batch the first handler replaces the fd of the second by %s, and the new one hears nothing',
    async (how) => {
      await run(function* () {
        const [first, toFirst] = system.pipe()
        const [second, toSecond] = system.pipe()
        const [spare, toSpare] = system.pipe()
        const [a, b] = [fd(first, { own: true }), fd(second, { own: how === 'close and open' })]
        let heard = false
        let replaced: number[] = []
        const handler = spawn(function* () {
          yield* a.readable()
          yield* b.close()
          let number = second
          if (how === 'dup2') system.dup2(spare, second)
          else [number] = replaced = system.pipe()
          expect(number).toBe(second)
          const c = fd(number, { own: true })
          const waiting = spawn(function* () {
            yield* caught(() => c.readable())
            heard = !c.closed
          })
          yield* allParked()
          expect([heard, waiting.state]).toEqual([false, 'parked'])
          yield* c.close()
        })
        const other = spawn(function* () {
          yield* caught(() => b.readable())
        })
        yield* allParked()
        // Both before the next turn: one batch has both.
        writeSync(toFirst, 'x')
        writeSync(toSecond, 'x')
        yield* handler
        yield* other
        expect(heard).toBe(false)
        yield* a.close()
        for (const n of [toFirst, toSecond, spare, toSpare, ...replaced.slice(1)]) closeSync(n)
      })
    }
  )

  it.runIf(epoll)('hazard 3: of a connection that was accepted and duplicated is out of the queue before it is closed', async () => {
    await run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const client = yield* connect({ port: listener.address.port })
      const connection = yield* listener.accept()
      const number = connection.fd
      const copy = system.dup(number)
      expect(watched()).toContain(number)
      yield* connection.close()
      expect(watched()).not.toContain(number)
      closeSync(copy)
      yield* client.close()
      yield* listener.close()
    })
  })

  it.runIf(epoll)('of a connection that was accepted, and its number told to nobody, is out of the queue once it is closed', async () => {
    await run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const client = yield* connect({ port: listener.address.port })
      const before = watched()
      const connection = yield* listener.accept()
      expect(watched().length).toBe(before.length + 1)
      yield* connection.close()
      expect(watched()).toEqual(before)
      yield* client.close()
      yield* listener.close()
    })
  })

  it.runIf(epoll)('hazard 3: whose description lives on in a dup gives no more than one event, and works again when dup2 brings it back', async () => {
    await run(async () => {
      const [near, far] = system.sockets()
      const copy = system.dup(near)
      const descriptor = fd(near)
      await run(function* (tasks) {
        tasks.spawn(function* () {
          yield* descriptor.readable()
        })
        yield* allParked()
        closeSync(near)
        tasks.cancel()
      })
      expect(await turnsMeanwhile((i) => i % 10 === 0 && writeSync(far, 'x'))).toBeLessThanOrEqual(A_FEW_TURNS)
      readSync(copy, Buffer.alloc(1000))
      system.dup2(copy, near)
      await descriptor.close()
      const again = fd(near, { own: true })
      const reading = run(() => again.readSome() as unknown as Coroutine<Buffer>)
      await allTurned()
      writeSync(far, 'again')
      expect(String(await reading)).toBe('again')
      await again.close()
      closeSync(copy)
      closeSync(far)
    })
  })
})

/** The tasks that were started have come as far as they can. */
async function allTurned(): Promise<void> {
  for (let i = 0; i < 10; i++) await checkpoint()
}

it('hazard 5: an end, an error or data that nobody waits for causes no turns', async () => {
  await run(async () => {
    const [pipeReader, pipeWriter] = system.pipe()
    const [near, far] = system.sockets()
    const descriptors = [pipeReader, pipeWriter, near].map((n) => fd(n, { own: true }))
    for (const descriptor of descriptors) await caughtPromise(run(() => timeout(0, () => descriptor.priority() as unknown as Coroutine<void>)))
    writeSync(far, 'unread')
    await descriptors[0]?.close()
    closeSync(far)
    expect(await turnsMeanwhile()).toBe(0)
    // And they are there for who asks.
    await descriptors[1]?.priority()
    await descriptors[2]?.priority()
    expect(await turnsMeanwhile()).toBeLessThanOrEqual(1)
    for (const descriptor of descriptors) await descriptor.close()
  })
})

async function caughtPromise(promise: Promise<unknown>): Promise<void> {
  try {
    await promise
  } catch {
    // Only that it has ended.
  }
}

it('hazard 7: an EEXIST that nobody accounts for is an error, has taken nothing away, and passes', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      const [near, far] = kernel.socketPair()
      const [descriptor, other] = [fd(near, { own: true }), fd(far, { own: true })]
      const { add, remove } = kernel
      const removed: number[] = []
      kernel.remove = (n) => {
        removed.push(n)
        return remove.call(kernel, n)
      }
      kernel.add = () => EEXIST
      expect(yield* caught(() => descriptor.readable())).toBeInstanceOf(FdInUseError)
      expect(removed).toEqual([])
      kernel.add = add
      expect(yield* whileWaiting([() => descriptor.readable()], () => void other.tryWrite('x'))).toHaveLength(1)
      yield* descriptor.close()
      yield* other.close()
    },
    { kernel }
  )
  expect(kernel.openSockets).toBe(0)
})

it('hazard 9: the library’s own fds, and queues that watch one another, are an error that changes nothing', async () => {
  const [near, far] = system.pipe()
  await run(function* () {
    const own = [...openFds()].filter(([, link]) => /eventpoll|timerfd|eventfd/.test(link))
    expect(own.length).toBeGreaterThan(3)
    const results = new Set<string | undefined>()
    for (const [n] of own) {
      const descriptor = fd(Number(n))
      // Some are nobody's that we know: the host loop's. Waiting for those is nothing but a wait, and over at once for the
      // one that threads write to and nobody reads.
      const wait = (): Coroutine<void> => descriptor.readable() as unknown as Coroutine<void>
      try {
        yield* timeout(0, wait)
      } catch (error) {
        results.add((error as SystemError).code)
      }
      yield* descriptor.close()
    }
    expect(results).toContain('EINVAL')
    if (epoll) expect(results).toContain('ELOOP')
    // A kqueue has its clock and its wake-up inside, and no fds of their own.
    if (epoll) expect(results).toContain('ERR_COREACTOR_FD_IN_USE')
    // Clock, wake-up and readiness work as before.
    yield* sleep(1)
    const pipe = fd(near)
    yield* whileWaiting([() => pipe.readable()], () => void writeSync(far, 'x'))
    yield* pipe.close()
  })
  closeSync(near)
  closeSync(far)
})

it('hazard 9: a queue can be waited for, and one that is nested too deep is refused', async () => {
  const [near, far] = system.pipe()
  const queues = Array.from({ length: 6 }, () => system.queue())
  system.enqueue(queues[0] as number, near)
  await run(function* () {
    const shallow = fd(queues[0] as number)
    yield* whileWaiting([() => shallow.readable(), () => shallow.readable()], () => void writeSync(far, 'x'))
    for (let i = 1; i < 4; i++) system.enqueue(queues[i] as number, queues[i - 1] as number)
    const deep = fd(queues[3] as number)
    expect(yield* caught(() => deep.readable())).toMatchObject({ code: epoll ? 'ELOOP' : 'EINVAL', syscall: WATCH_CALL })
    yield* shallow.readable()
    yield* shallow.close()
  })
  for (const n of [near, far, ...queues]) closeSync(n)
})

it('hazard 10: five thousand fds that are ready at once all make progress', async () => {
  const COUNT = 5000
  await run(function* () {
    const counters = Array.from({ length: COUNT }, () => system.eventfd(0))
    const descriptors = counters.map((n) => fd(n, { own: true }))
    const progress = new Array<number>(COUNT).fill(0)
    const tasks = descriptors.map((descriptor, i) =>
      spawn(function* () {
        const into = Buffer.alloc(8)
        while ((progress[i] as number) < 3) {
          yield* descriptor.read(into)
          progress[i] = (progress[i] as number) + 1
        }
      })
    )
    for (let round = 1; round <= 3; round++) {
      yield* allParked()
      for (const n of counters) writeSync(n, one)
      yield* allParked()
      expect(Math.min(...progress)).toBe(round)
    }
    for (const task of tasks) yield* task
    for (const descriptor of descriptors) yield* descriptor.close()
  })
})

it('hazard 11: an fd that always has more lets others have their turn', async () => {
  const [near, far] = system.pipe()
  started(spawnProcess('yes', { stdio: ['ignore', far, 'ignore'] }))
  closeSync(far)
  const random = openSync('/dev/random', 'r')
  await run(function* () {
    // Of devices a kqueue watches only terminals.
    const floods = [near, ...(epoll ? [random] : [])].map((n) => fd(n, { own: true }))
    const read = floods.map(() => 0)
    yield* scope(function* (tasks) {
      for (const [i, flood] of floods.entries()) {
        tasks.spawn(function* () {
          const into = Buffer.alloc(256)
          for (;;) read[i] = (read[i] as number) + (yield* flood.read(into))
        })
      }
      for (let i = 0; i < 20; i++) yield* sleep(1)
      tasks.cancel()
    })
    expect(Math.min(...read)).toBeGreaterThan(10_000)
    for (const flood of floods) yield* flood.close()
  })
  if (!epoll) closeSync(random)
})

it('hazard 11: a write that is taken byte by byte lets others have their turn, and comes to its end', async () => {
  const kernel = new MemoryKernel()
  await run(
    function* () {
      const [near, far] = kernel.socketPair()
      const [descriptor, other] = [fd(near, { own: true }), fd(far, { own: true })]
      const { write } = kernel
      let calls = 0
      kernel.write = (n, from, offset) => (calls++, write.call(kernel, n, from, offset, 1))
      const writing = spawn(function* () {
        yield* descriptor.write(pattern(1000))
      })
      let most = 0
      while (writing.state !== 'ended') {
        const before = calls
        yield* checkpoint()
        most = Math.max(most, calls - before)
      }
      expect(calls).toBe(1000)
      expect(most).toBeLessThan(100)
      expect(String(yield* other.readSome())).toBe(String(pattern(1000)))
      yield* descriptor.close()
      yield* other.close()
    },
    { kernel }
  )
})

it('hazard 19: an fd of another thread has its events there and here, each its own', async () => {
  await run(async () => {
    const [near, far] = system.sockets()
    const here = fd(near)
    const waiting = run(function* () {
      yield* here.readable()
    })
    const worker = new Worker(fixture('other-thread.mjs'), { workerData: near })
    expect(await once(worker, 'message')).toEqual(['waiting'])
    const heard = once(worker, 'message')
    writeSync(far, 'for both')
    await waiting
    expect(await heard).toEqual(['readable'])
    await once(worker, 'exit')
    expect(here.tryRead(Buffer.alloc(10))).toBe(8)
    await here.close()
    closeSync(near)
    closeSync(far)
  })
})

// --- standard input and output ------------------------------------------------------------------------------------------

describe('hazard 46: standard input and output, shared with the parent,', () => {
  it.each(['end', 'SIGKILL'] as const)('are never made non-blocking: before, while and after a child uses them, until %s', async (how) => {
    const [stdin, toStdin] = system.pipe()
    const [fromStdout, stdout] = system.pipe()
    const flags = (): number[] => [stdin, stdout].map((n) => system.flags(n) & system.nonBlocking())
    expect(flags()).toEqual([0, 0])
    const child = started(spawnProcess(process.execPath, [fixture('copy.mjs')], { stdio: [stdin, stdout, 'inherit'] }))
    await run(async () => {
      const output = fd(fromStdout, { own: true })
      const input = fd(toStdin, { own: true })
      // More than a pipe holds: the child waits in both directions on the way.
      const text = pattern(300_000)
      const writing = run(function* () {
        yield* input.write(text)
      })
      const chunks: Buffer[] = []
      for (let total = 0; total < text.length; ) {
        const chunk = (await output.readSome()) as Buffer
        chunks.push(chunk)
        total += chunk.length
        expect(flags()).toEqual([0, 0])
      }
      await writing
      expect(Buffer.concat(chunks).equals(text)).toBe(true)
      expect(flags()).toEqual([0, 0])
      const ended = once(child, 'exit')
      if (how === 'SIGKILL') child.kill('SIGKILL')
      await input.close()
      expect(await ended).toEqual(how === 'SIGKILL' ? [null, 'SIGKILL'] : [0, null])
      expect(flags()).toEqual([0, 0])
      await output.close()
    })
    closeSync(stdin)
    closeSync(stdout)
  })

  it('carry three hundred thousand lines through a child to a slow reader, and lose none', () => {
    const script = `seq 300000 | "$1" "$2" | (sleep 0.2; cat) | cksum; seq 300000 | cksum`
    const { stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', process.execPath, fixture('copy.mjs')], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const [copied, original] = stdout.trim().split('\n')
    expect(copied).toBe(original)
  })
})

it('what is non-blocking already stays so', async () => {
  const [near, far] = system.pipe()
  system.setFlags(near, system.nonBlocking())
  await run(function* () {
    const descriptor = fd(near, { own: true })
    yield* whileWaiting([() => descriptor.readable()], () => void writeSync(far, 'x'))
    expect(system.flags(near) & system.nonBlocking()).toBe(system.nonBlocking())
    yield* descriptor.close()
  })
  closeSync(far)
})

it('an error of the system is its own: EIO of a terminal whose other side is closed, EPIPE of a pipe', async () => {
  await run(function* () {
    const terminal = system.terminal()
    closeSync(system.otherSide(terminal))
    const emulator = fd(terminal, { own: true })
    const error = yield* caught(() => emulator.read(Buffer.alloc(10)))
    expect(error).toBeInstanceOf(SystemError)
    expect(error).toMatchObject({ code: 'EIO', syscall: 'read' })
    yield* emulator.close()

    const [near, far] = system.pipe()
    const writer = fd(far, { own: true })
    const writing = spawn(function* () {
      return yield* caught(() => writer.write(pattern(500_000)))
    })
    yield* allParked()
    closeSync(near)
    const failure = (yield* writing) as Error & { bytesWritten?: number }
    expect(failure).toMatchObject({ code: 'EPIPE', syscall: 'write' })
    expect(failure.bytesWritten).toBeGreaterThan(0)
    yield* writer.close()
  })
})

it('a listening socket can be waited for without being accepted from', async () => {
  await run(function* () {
    const listener = yield* listen({ port: 0, host: '127.0.0.1' })
    const copy = fd(system.dup(listener.fd), { own: true })
    const waiting = spawn(function* () {
      yield* copy.readable()
    })
    yield* allParked()
    const client = yield* connect({ port: listener.address.port })
    yield* waiting
    const server = yield* listener.accept()
    for (const each of [copy, client, server, listener]) yield* each.close()
  })
})
