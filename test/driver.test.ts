/**
 * The addon by itself, with nothing of lib/ above it but the constants: turns, the clock, what keeps a process alive, how
 * an environment ends, and what becomes of wrong arguments.
 */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextPass } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import {
  CLOCK,
  CLOCK_SLOT,
  CONTROL_INTS,
  CONTROL_REQUESTED,
  EDGE,
  FIRST_SLOT,
  LAYOUT,
  ONE_SHOT,
  READ_CLOSED,
  READABLE,
  SHUT_WRITE,
  SocketOption,
  WRITABLE
} from '../lib/kernel/layout.js'
import { addon, loopback, queuesAndTimers, reports, type Driver, type Report } from './fixtures/driver/addon.mjs'
import { epoll, openFds } from './here.js'
import { ENDS_MS } from './patience.js'

const EBADF = -constants.errno.EBADF
const EINVAL = -constants.errno.EINVAL

// --- vocabulary ---------------------------------------------------------------------------------------------------------

const opened: { close(): void }[] = []

afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

/** Has it closed after the test. */
function brief<T extends { close(): void }>(resource: T): T {
  opened.push(resource)
  return resource
}

/** A driver, with its turns one by one: what they reported, and what they answer. */
class Turns {
  readonly driver: Driver
  readonly control: Int32Array
  taken = 0
  /** What is done in a turn. */
  during: () => void = () => {}
  /** What a turn answers: the time of the next, or something that is no time at all. */
  answer: unknown = Infinity
  private readonly reported: Report[][] = []
  private waiting: (() => void) | null = null

  constructor() {
    this.driver = brief(new addon.Driver((count) => this.turn(count)))
    this.driver.ref()
    this.control = new Int32Array(this.driver.buffer, 0, CONTROL_INTS)
  }

  /** The next turn that has not been looked at. */
  async next(): Promise<Report[]> {
    while (this.reported.length === 0) await new Promise<void>((resolve) => (this.waiting = resolve))
    return this.reported.shift() as Report[]
  }

  /** The next turn that was reported something. */
  async nextEvents(): Promise<Report[]> {
    for (;;) {
      const events = await this.next()
      if (events.length > 0) return events
    }
  }

  private turn(count: number): unknown {
    this.taken++
    this.reported.push(reports(this.driver, count))
    this.waiting?.()
    this.during()
    return this.answer
  }
}

interface Ending {
  code: number | string | null
  stdout: string
  stderr: string
}

/** Runs a fixture in a process of its own, to its end. */
function play(fixture: string, args: string[] = [], options: string[] = []): Promise<Ending> {
  const path = fileURLToPath(new URL(`fixtures/driver/${fixture}`, import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [...options, path, ...args], { timeout: ENDS_MS }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr })
    )
  })
}

const saying = (...lines: string[]): Ending => ({ code: 0, stdout: lines.map((line) => `${line}\n`).join(''), stderr: '' })


// --- turns --------------------------------------------------------------------------------------------------------------

it('the addon was built from the constants of layout.ts', () => {
  expect(addon.layout).toEqual(LAYOUT)
})

describe('turns', () => {
  it('come with what happened on the fds that are watched, under their slot and generation', async () => {
    const turns = new Turns()
    const { near, far } = brief(loopback())
    expect(addon.add(turns.driver.handle, near, READABLE | WRITABLE, EDGE, FIRST_SLOT, -1)).toBe(0)
    expect(addon.add(turns.driver.handle, far, READABLE, EDGE, 4_000_000_000, 5)).toBe(0)
    expect(await turns.nextEvents()).toEqual([{ slot: FIRST_SLOT, generation: -1, readiness: WRITABLE }])

    const hello = Buffer.from('hello')
    expect(addon.send(near, hello, 0, 5)).toBe(5)
    expect(await turns.nextEvents()).toEqual([{ slot: 4_000_000_000 | 0, generation: 5, readiness: READABLE }])
    const into = Buffer.alloc(10)
    expect(addon.receive(far, into, 2, 8)).toBe(5)
    expect(into.toString()).toBe('\0\0hello\0\0\0')
    expect(addon.receive(far, into, 0, 10)).toBe(-constants.errno.EAGAIN)

    expect(addon.shutdown(near, SHUT_WRITE)).toBe(0)
    expect(await turns.nextEvents()).toContainEqual({ slot: 4_000_000_000 | 0, generation: 5, readiness: READABLE | READ_CLOSED })
    expect(addon.receive(far, into, 0, 10)).toBe(0)
    expect(addon.remove(turns.driver.handle, near)).toBe(0)
    expect(addon.remove(turns.driver.handle, near)).toBe(0)
  })

  it('come once for a one-shot registration, and again when it is removed and added again', async () => {
    const turns = new Turns()
    const { near, far } = brief(loopback())
    for (let generation = 0; generation < 3; generation++) {
      expect(addon.add(turns.driver.handle, far, READABLE, ONE_SHOT, FIRST_SLOT, generation)).toBe(0)
      addon.send(near, Buffer.from('a'), 0, 1)
      expect(await turns.nextEvents()).toMatchObject([{ generation, readiness: READABLE }])
      expect(addon.add(turns.driver.handle, far, READABLE, ONE_SHOT, FIRST_SLOT, generation)).toBe(epoll ? -constants.errno.EEXIST : 0)
      expect(addon.remove(turns.driver.handle, far)).toBe(0)
    }
  })

  it('come when they are asked for, and not without', async () => {
    const turns = new Turns()
    turns.driver.requestTurn()
    turns.driver.requestTurn()
    expect(await turns.next()).toEqual([])
    for (let i = 0; i < 10; i++) await nextPass()
    expect(turns.taken).toBe(1)
  })

  it('come before the host loop goes on, if the microtasks of one ask for it', async () => {
    const turns = new Turns()
    const order: string[] = []
    turns.during = () => {
      order.push('turn')
      if (turns.taken > 3) return
      if (turns.taken === 1) setImmediate(() => order.push('the host loop'))
      queueMicrotask(() => {
        order.push('microtask')
        turns.control[CONTROL_REQUESTED] = 1
      })
    }
    turns.driver.requestTurn()
    while (!order.includes('the host loop')) await nextPass()
    expect(order).toEqual(['turn', 'microtask', 'turn', 'microtask', 'turn', 'microtask', 'turn', 'the host loop'])
  })

  it('come again if they ask the driver itself', async () => {
    const turns = new Turns()
    turns.during = () => {
      if (turns.taken < 20) turns.driver.requestTurn()
    }
    turns.driver.requestTurn()
    while (turns.taken < 20) await nextPass()
    for (let i = 0; i < 10; i++) await nextPass()
    expect(turns.taken).toBe(20)
  })

  it('leave the host loop its share, although each wants another at once', async () => {
    const turns = new Turns()
    turns.answer = 0
    turns.during = () => (turns.control[CONTROL_REQUESTED] = 1)
    turns.driver.requestTurn()
    await new Promise((resolve) => setTimeout(resolve, 5))
    for (let i = 0; i < 10; i++) await nextPass()
    expect(turns.taken).toBeGreaterThan(10)
  })

  it('come soon again if the answer of one is no time', async () => {
    for (const answer of [NaN, -1, -Infinity, 0, undefined, null, 'soon', {}, 10n, Symbol('soon')]) {
      const turns = new Turns()
      turns.answer = answer
      turns.during = () => {
        if (turns.taken === 20) turns.answer = Infinity
      }
      turns.driver.requestTurn()
      for (let i = 0; i < 20; i++) await turns.next()
    }
  })

  it.runIf(epoll)('report everything that is ready, in batches', async () => {
    const turns = new Turns()
    const ready = LAYOUT['BATCH_CAPACITY'] as number + 100
    const sockets = Array.from({ length: ready }, () => addon.socket('IPv4'))
    brief({ close: () => sockets.forEach((fd) => addon.closeFd(fd)) })
    // An unconnected socket hangs up at once.
    sockets.forEach((fd, i) => expect(addon.add(turns.driver.handle, fd, 0, EDGE, FIRST_SLOT + i, i)).toBe(0))
    const seen = new Set<number>()
    while (seen.size < ready) for (const { generation } of await turns.nextEvents()) seen.add(generation)
    expect(turns.taken).toBeGreaterThan(1)
  })
})

// --- the clock ----------------------------------------------------------------------------------------------------------

describe('the clock', () => {
  it('has the turn called at the time that the turn before answered, never earlier', async () => {
    const turns = new Turns()
    let leastDelay = Infinity
    for (let ms = 0.1; ms <= 2.5; ms += 0.1) {
      const deadline = addon.now() + ms
      turns.answer = deadline
      turns.driver.requestTurn()
      await turns.next()
      turns.answer = Infinity
      expect(await turns.next()).toEqual([{ slot: CLOCK_SLOT, generation: 0, readiness: CLOCK }])
      const delay = addon.now() - deadline
      expect(delay).toBeGreaterThanOrEqual(0)
      leastDelay = Math.min(leastDelay, delay)
    }
    // A timer of the host loop would be a millisecond late at the best of times.
    expect(leastDelay).toBeLessThan(0.5)
  })

  it('moves to an earlier deadline', async () => {
    const turns = new Turns()
    turns.answer = addon.now() + 1e6
    turns.driver.requestTurn()
    await turns.next()
    turns.answer = addon.now() + 1
    turns.driver.requestTurn()
    await turns.next()
    turns.answer = Infinity
    expect(await turns.next()).toMatchObject([{ slot: CLOCK_SLOT }])
  })

  it('has a turn called at once for a time that has passed', async () => {
    const turns = new Turns()
    turns.answer = 1e-9
    turns.during = () => {
      if (turns.taken === 20) turns.answer = Infinity
    }
    turns.driver.requestTurn()
    for (let i = 0; i < 20; i++) await turns.next()
  })

  it('takes no notice of times that never come', async () => {
    const turns = new Turns()
    for (const answer of [1e300, Number.MAX_VALUE, 1e15, Infinity]) {
      turns.answer = answer
      turns.driver.requestTurn()
      await turns.next()
    }
    for (let i = 0; i < 10; i++) await nextPass()
    expect(turns.taken).toBe(4)
  })
})

// --- closing ------------------------------------------------------------------------------------------------------------

describe('a driver that is closed', () => {
  const closed = (driver: Driver): void => {
    driver.close()
    driver.requestTurn()
    driver.ref()
    driver.unref()
    expect(addon.add(driver.handle, 0, READABLE, EDGE, FIRST_SLOT, 0)).toBe(EBADF)
    expect(addon.remove(driver.handle, 0)).toBe(0)
    driver.close()
  }

  it('takes no turns any more, and frees what it held', async () => {
    const before = queuesAndTimers()
    const turns = new Turns()
    const { near } = brief(loopback())
    addon.add(turns.driver.handle, near, WRITABLE, EDGE, FIRST_SLOT, 0)
    turns.driver.requestTurn()
    closed(turns.driver)
    expect(turns.driver.buffer).toBeUndefined()
    while (queuesAndTimers() > before) await nextPass()
    expect(turns.taken).toBe(0)
  })

  it('hazard 2: takes no turns any more if that was in a turn, whatever the turn asked for', async () => {
    const before = queuesAndTimers()
    const turns = new Turns()
    const { near } = brief(loopback())
    addon.add(turns.driver.handle, near, WRITABLE, EDGE, FIRST_SLOT, 0)
    turns.answer = 0
    turns.during = () => {
      turns.control[CONTROL_REQUESTED] = 1
      closed(turns.driver)
      queueMicrotask(() => closed(turns.driver))
    }
    turns.driver.requestTurn()
    await turns.next()
    while (queuesAndTimers() > before) await nextPass()
    expect(turns.taken).toBe(1)
  })

  it('hazard 2: may be closed in the turn of another one, or in its microtasks', async () => {
    const before = queuesAndTimers()
    const three = [new Turns(), new Turns(), new Turns()]
    // Whichever has the first turn.
    for (const one of three) {
      one.during = () => {
        const [other, third] = three.filter((each) => each !== one) as [Turns, Turns]
        other.driver.close()
        queueMicrotask(() => {
          third.driver.close()
          one.driver.close()
        })
      }
      one.driver.requestTurn()
    }
    while (queuesAndTimers() > before) await nextPass()
    expect(three.map(({ taken }) => taken).sort()).toEqual([0, 0, 1])
  })

  it('may be collected; one that is open may not', async () => {
    expect(await play('collected.mjs', [], ['--expose-gc'])).toEqual(saying('open: kept, and takes turns', 'closed: collected'))
  })
})

// --- the process around it ----------------------------------------------------------------------------------------------

describe('the process', () => {
  it('hazard 59: lives while a driver is ref’d, and no longer', async () => {
    expect(await play('liveness.mjs', ['ref'])).toEqual(saying('the deadline was seen', '2 turns'))
    expect(await play('liveness.mjs', ['unref'])).toEqual(saying('1 turns'))
    expect(await play('liveness.mjs', ['both'])).toEqual(saying('1 turns'))
  })

  it('hazard 60: sees an error of a turn, or after it, as an uncaught exception, and the next turn comes', async () => {
    const { code, stdout } = await play('throwing-turn.mjs', ['listen'])
    expect(code).toBe(0)
    expect(stdout.split('\n').sort()).toEqual([
      '',
      '3 turns',
      'microtask of turn 1',
      'microtask of turn 2',
      'microtask of turn 3',
      'uncaughtException: thrown after a turn',
      'uncaughtException: thrown in a turn'
    ])
  })

  it('hazard 60: ends with such an error if nobody listens', async () => {
    const { code, stdout, stderr } = await play('throwing-turn.mjs')
    expect(code).toBe(1)
    expect(stdout).toBe('1 turns\n')
    expect(stderr).toContain('Error: thrown in a turn')
  })

  it('hazard 61: may run the host loop inside a turn: no turn begins inside another, and closing is safe', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
    try {
      const nestedLoop = join(directory, 'nested-loop.node')
      const source = fileURLToPath(new URL('fixtures/driver/nested-loop.c', import.meta.url))
      const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-fPIC']
      // Not with a sanitizer that is preloaded for the addon.
      execFileSync('cc', [...shared, source, '-o', nestedLoop], { env: { ...process.env, LD_PRELOAD: '' } })
      expect(await play('nested.mjs', [nestedLoop])).toEqual(
        saying('turns inside one another: 0; the host loop ran inside: true', 'closed in a nested loop')
      )
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('hazard 57: hears of a driver whose memory was transferred, and nothing is written there', async () => {
    const error = 'uncaught: coreactor: the memory of a driver\'s events was transferred to somebody else'
    expect(await play('transferred.mjs', ['between'])).toEqual(saying(error, '0 turns, untouched'))
    expect(await play('transferred.mjs', ['inside'])).toEqual(saying(error, '1 turns, untouched'))
  })
})

// --- worker threads -----------------------------------------------------------------------------------------------------

describe('a worker', () => {
  it('hazard 53: may be terminated at any moment, a hundred times', async () => {
    const { code, stdout, stderr } = await play('terminate-storm.mjs')
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^seed \d+\nsurvived\n$/), stderr: '' })
  })

  it('hazard 60: may be terminated in the midst of a call: an argument that cannot be read any more aborted the process', async () => {
    expect(await play('terminated-in-call.mjs')).toEqual(saying('survived'))
  })

  it('hazard 53: may end in any other way while a driver is open', async () => {
    expect(await play('worker-ends.mjs')).toEqual(
      saying(
        'nothing keeps it alive: 0',
        'exit outside a turn: 3',
        'exit in a turn: 3',
        'exit in the microtasks of a turn: 3',
        'throw in a turn: 1',
        'close and exit in a turn: 3',
        'close, and end: 0',
        'turns in an exit handler: 0',
        'terminated while it waits: 1',
        'terminated in a turn: 1',
        'left behind: 0'
      )
    )
  })

  it('hazard 54: may be the only one to have loaded the addon, which stays when it ends', async () => {
    expect(await play('worker-only.mjs')).toEqual(
      saying('after the first worker: still mapped', 'after the second worker: still mapped')
    )
  })

  it('hazard 56: has turns of its own, beside other workers and the main thread, whoever ends first', async () => {
    expect(await play('three-environments.mjs')).toEqual(
      saying(...['mab', 'mba', 'amb', 'abm', 'bma', 'bam'].map((order) => `${order}: ended`))
    )
  })
})

// --- wrong arguments ----------------------------------------------------------------------------------------------------

describe('wrong arguments', () => {
  const detached = new Uint8Array(8)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const NO_INTEGERS: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['a boolean', true],
    ['text', 'three'],
    ['digits', '3'],
    ['a fraction', 3.5],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['2^32 + 3', 2 ** 32 + 3],
    ['-2^32 + 3', -(2 ** 32) + 3],
    ['2^53 + 2', 2 ** 53 + 2],
    ['a bigint', 3n],
    ['a symbol', Symbol('3')],
    ['an array', [3]],
    ['an object', { valueOf: () => 3 }],
    ['a function', () => 3]
  ]
  const NO_BYTES: [string, unknown][] = [
    ...NO_INTEGERS,
    ['an ArrayBuffer', new ArrayBuffer(8)],
    ['a DataView', new DataView(new ArrayBuffer(8))],
    ['16-bit numbers', new Uint16Array(4)],
    ['bytes that were detached', detached],
    ['a Proxy of bytes', new Proxy(new Uint8Array(8), {})],
    ['an object with the prototype of bytes', Object.create(Uint8Array.prototype)]
  ]

  /** Every call, with right arguments for the two ends of a connection. */
  const calls = (near: number, far: number): Record<string, unknown[]> => ({
    bind: [near, '127.0.0.1', 0],
    listen: [near, 1],
    connect: [near, '127.0.0.1', 80],
    accept: [near],
    localAddress: [near],
    remoteAddress: [near],
    setOption: [near, SocketOption.NO_DELAY, 1],
    getOption: [near, SocketOption.NO_DELAY],
    receive: [near, new Uint8Array(8), 0, 8],
    send: [far, new Uint8Array(8), 0, 8],
    sendVector: [far, [new Uint8Array(8)], 0],
    shutdown: [far, SHUT_WRITE],
    poll: [near, READABLE],
    read: [near, new Uint8Array(8), 0, 8],
    write: [far, new Uint8Array(8), 0, 8],
    writeVector: [far, [new Uint8Array(8)], 0],
    takeFd: [near],
    closeFd: [near]
  })
  const call = addon as unknown as Record<string, (...args: unknown[]) => unknown>

  it('are EBADF for an fd that is none, and nothing is closed', () => {
    const before = openFds()
    const { near, far } = brief(loopback())
    for (const [name, args] of Object.entries(calls(near, far))) {
      for (const [what, fd] of [...NO_INTEGERS, ['-1', -1], ['-2^31', -(2 ** 31)], ['2^31', 2 ** 31]] as [string, unknown][]) {
        expect([name, what, call[name]?.(fd, ...args.slice(1))]).toEqual([name, what, EBADF])
      }
      expect([name, call[name]?.()]).toEqual([name, expect.toSatisfy((result) => result === EBADF || result === EINVAL)])
    }
    expect(openFds()).toBe(before + 3)
  })

  it('are EINVAL in any other place, and nothing is done', () => {
    const { near, far } = brief(loopback())
    for (const [name, args] of Object.entries(calls(near, far))) {
      for (let i = 1; i < args.length; i++) {
        const wrong = typeof args[i] === 'number' ? NO_INTEGERS : NO_BYTES
        for (const [what, value] of wrong) {
          const result = call[name]?.(...args.with(i, value))
          expect([name, i, what, result]).toEqual([name, i, what, EINVAL])
        }
      }
    }
    expect(call['receive']?.(near, new Uint8Array(8), 0, 8)).toBe(-constants.errno.EAGAIN)
  })

  it('are EINVAL for an address that is none', () => {
    const { near } = brief(loopback())
    for (const text of ['', 'localhost', '127.0.0.1\0', '127.0.0.1\0.evil', ' 127.0.0.1', `fe80::1%${'0'.repeat(300)}1`, '\ud800']) {
      expect([text, addon.connect(near, text, 80)]).toEqual([text, EINVAL])
    }
    for (const port of [-1, 65536, 1e9]) expect(addon.connect(near, '127.0.0.1', port)).toBe(EINVAL)
    expect(addon.socket('IPv5')).toBe(-constants.errno.EAFNOSUPPORT)
    expect(addon.socket()).toBe(-constants.errno.EAFNOSUPPORT)
  })

  it('are EINVAL for a part that reaches outside of its bytes', () => {
    const { near, far } = brief(loopback())
    const bytes = new Uint8Array(8)
    for (const [offset, length] of [[0, 9], [8, 1], [9, 0], [4, 5], [-1, 1], [0, -1], [2 ** 32 - 1, 2], [1, 2 ** 32 - 1]]) {
      expect([offset, length, addon.send(far, bytes, offset, length)]).toEqual([offset, length, EINVAL])
      expect([offset, length, addon.receive(near, bytes, offset, length)]).toEqual([offset, length, EINVAL])
    }
    for (const skip of [9, -1, 2 ** 32 - 1]) expect(addon.sendVector(far, [bytes], skip)).toBe(EINVAL)
    expect(addon.sendVector(far, [], 1)).toBe(EINVAL)
    // No bytes are no mistake, except to receive into: its 0 says that the peer has finished.
    expect(addon.send(far, bytes, 8, 0)).toBe(0)
    expect(addon.sendVector(far, [bytes], 8)).toBe(0)
    expect(addon.sendVector(far, [], 0)).toBe(0)
    expect(addon.receive(near, bytes, 8, 0)).toBe(EINVAL)
  })

  it('of add are refused one by one', () => {
    const { driver } = new Turns()
    const { near } = brief(loopback())
    const right = [near, READABLE, EDGE, FIRST_SLOT, 0]
    const add = (...args: unknown[]): number => addon.add(driver.handle, ...args)
    for (const [what, value] of NO_INTEGERS) {
      expect([what, add(...right.with(0, value as number))]).toEqual([what, EBADF])
      for (let i = 1; i < right.length; i++) {
        expect([what, i, add(...right.with(i, value as number))]).toEqual([what, i, EINVAL])
      }
    }
    // Other directions, modes and slots than there are.
    for (const args of [right.with(1, 8), right.with(1, -1), right.with(2, 2), right.with(3, 1), right.with(3, -1)]) {
      expect([args, add(...args)]).toEqual([args, EINVAL])
    }
    expect(add()).toBe(EINVAL)
    expect(addon.remove(driver.handle)).toBe(epoll ? EBADF : 0)
    for (const nobody of [undefined, null, {}, driver, 7]) {
      expect(addon.add(nobody, ...right)).toBe(EBADF)
      expect(addon.remove(nobody, near)).toBe(0)
    }
    expect(add(...right)).toBe(0)
  })

  it('make no driver, and its methods work on nothing else', () => {
    const Any = addon.Driver as unknown as new (turn?: unknown) => Driver
    for (const turn of [undefined, null, {}, 3]) expect(() => new Any(turn)).toThrow(TypeError)
    expect(() => (addon.Driver as unknown as () => void)()).toThrow(TypeError)
    const { requestTurn } = addon.Driver.prototype as Driver
    for (const receiver of [{}, null, new Date(), Object.create(addon.Driver.prototype as object)]) {
      expect(() => requestTurn.call(receiver as Driver)).toThrow()
    }
  })

  it('that are getters do not make a vector reach into memory that they took away', () => {
    const { near, far } = brief(loopback())
    const first = new Uint8Array(100_000).fill(1)
    const chunks = [first, Buffer.from('second')]
    Object.defineProperty(chunks, 1, {
      get() {
        structuredClone(first.buffer, { transfer: [first.buffer] })
        return Buffer.from('second')
      }
    })
    expect(addon.sendVector(far, chunks, 0)).toBe(6)
    const into = Buffer.alloc(100)
    expect(into.toString('utf8', 0, addon.receive(near, into, 0, 100))).toBe('second')
  })

  it('that throw when they are looked at throw', () => {
    const { far } = brief(loopback())
    const chunks: Uint8Array[] = []
    Object.defineProperty(chunks, 0, {
      get() {
        throw new Error('on purpose')
      }
    })
    expect(() => addon.sendVector(far, chunks, 0)).toThrow('on purpose')
  })
})

it('entropy draws 32 bits, different ones each time', () => {
  const drawn = Array.from({ length: 100 }, () => addon.entropy())
  expect(new Set(drawn).size).toBeGreaterThan(95)
  for (const value of drawn) expect(value === value >>> 0).toBe(true)
})

it('memory is freed at once if it is a whole, and left alone if it is a part, shared, or none', () => {
  const [whole, larger, shared] = [new Uint8Array(10), new Uint8Array(10), new Uint8Array(new SharedArrayBuffer(10))]
  const view = new Uint8Array(whole.buffer)
  expect(addon.freeMemory(whole)).toBe(0)
  expect([whole.length, view.length]).toEqual([0, 0])
  for (const refused of [larger.subarray(1), larger.subarray(0, 9), shared, {}, undefined]) {
    expect(addon.freeMemory(refused as Uint8Array)).toBe(-constants.errno.EINVAL)
  }
  expect([larger.length, shared.length]).toEqual([10, 10])
})

it('a connection knows the addresses of its ends', () => {
  const { near, far, listener } = brief(loopback())
  expect(addon.localAddress(listener)).toMatchObject({ family: 'IPv4', address: '127.0.0.1' })
  expect(addon.remoteAddress(near)).toEqual(addon.localAddress(far))
  expect(addon.localAddress(near)).toEqual(addon.remoteAddress(far))
  expect(addon.remoteAddress(listener)).toBe(-constants.errno.ENOTCONN)
})

it('a connect that is refused says so in the option ERROR, once', async () => {
  const turns = new Turns()
  const [nobody, refused] = [addon.socket('IPv4'), addon.socket('IPv4')]
  brief({ close: () => [nobody, refused].forEach((fd) => addon.closeFd(fd)) })
  // Bound, so that the port is nobody else's, and not listening.
  expect(addon.bind(nobody, '127.0.0.1', 0)).toBe(0)
  const { port } = addon.localAddress(nobody) as { port: number }
  expect(addon.connect(refused, '127.0.0.1', port)).toBe(-constants.errno.EINPROGRESS)
  addon.add(turns.driver.handle, refused, WRITABLE, EDGE, FIRST_SLOT, 0)
  await turns.nextEvents()
  expect(addon.getOption(refused, SocketOption.ERROR)).toBe(constants.errno.ECONNREFUSED)
  expect(addon.getOption(refused, SocketOption.ERROR)).toBe(0)
})
