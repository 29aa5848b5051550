/** What the service manager hears. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { MemoryKernel } from 'coreactor/testing'
import { checkpoint, notify, run, sleep, spawn, timeout, TimeoutError, until, watchdog, watchdogInterval, type NotifyFields } from 'coreactor'
import { linux } from './here.js'
import { NotifyReceiver } from './notify-receiver.js'
import { caught, thrownBy } from './support.js'

async function startManager(address: string): Promise<NotifyReceiver> {
  const manager = await NotifyReceiver.start(address)
  cleanUps.push(() => manager.stop())
  return manager
}

const cleanUps: (() => unknown)[] = []
const names = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const
afterEach(async () => {
  for (const name of names) delete process.env[name]
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

function freshPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-notify-'))
  cleanUps.push(() => rmSync(directory, { recursive: true }))
  return join(directory, 'socket')
}

const places: [name: string, address: () => string][] = [['a path', freshPath]]
if (linux) places.push(['an abstract name', () => `@coreactor-${process.pid}-notify`])

it.each(places)('one message with all that is given goes to the socket in NOTIFY_SOCKET: %s', async (_, address) => {
  const name = (process.env['NOTIFY_SOCKET'] = address())
  const manager = await startManager(name)
  await run(function* () {
    expect(yield* notify({ READY: 1, STATUS: 'listening, on "7000" = é', MAINPID: process.pid, X_MINE: false })).toBe(true)
    expect(yield* until(manager.heard())).toBe(`READY=1\nSTATUS=listening, on "7000" = é\nMAINPID=${process.pid}\nX_MINE=0\n`)
    expect(yield* notify({ STOPPING: true })).toBe(true)
    expect(yield* until(manager.heard())).toBe('STOPPING=1\n')
  })
})

it('a reload comes with its time, by the clock that all processes share', async () => {
  const manager = await startManager((process.env['NOTIFY_SOCKET'] = freshPath()))
  await run(function* () {
    const before = Number(process.hrtime.bigint() / 1000n)
    yield* notify({ RELOADING: 1 })
    const after = Number(process.hrtime.bigint() / 1000n)
    const [, time] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)\n$/.exec(yield* until(manager.heard())) ?? []
    expect(Number(time)).toBeGreaterThanOrEqual(before - 1)
    expect(Number(time)).toBeLessThanOrEqual(after + 1)
  })
})

it.runIf(linux)('a manager that is behind is waited for, and gets everything', async () => {
  const manager = await startManager((process.env['NOTIFY_SOCKET'] = freshPath()))
  const more = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8')) + 5
  await run(function* () {
    let sent = 0
    const telling = spawn(function* () {
      for (let i = 0; i < more; i++, sent++) yield* notify({ X_NUMBER: i })
    })
    for (let last = -1; sent === 0 || sent !== last; yield* checkpoint()) last = sent
    expect(sent).toBeLessThan(more)
    for (let i = 0; i < more; i++) expect(yield* until(manager.heard())).toBe(`X_NUMBER=${i}\n`)
    yield* telling
  })
})

it('waiting for a manager that is behind can be called off', async () => {
  await startManager((process.env['NOTIFY_SOCKET'] = freshPath()))
  await run(function* () {
    const error = yield* caught(function* () {
      yield* timeout(20, function* () {
        for (;;) yield* notify({ READY: 1 })
      })
    })
    expect(error).toBeInstanceOf(TimeoutError)
  })
})

it('is false where nobody has asked', async () => {
  await run(function* () {
    expect(yield* notify({ READY: 1 })).toBe(false)
    process.env['NOTIFY_SOCKET'] = ''
    expect(yield* notify({ READY: 1 })).toBe(false)
  })
})

it('is an error if there is no such socket, and what says so names it', async () => {
  const path = (process.env['NOTIFY_SOCKET'] = freshPath())
  expect(await thrownBy(() => run(() => notify({ READY: 1 })))).toMatchObject({ code: 'ENOENT', syscall: 'connect', address: path })
  process.env['NOTIFY_SOCKET'] = 'relative'
  expect(await thrownBy(() => run(() => notify({ READY: 1 })))).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
})

it.each([
  [{}, 'ERR_INVALID_ARG_VALUE'],
  [null, 'ERR_INVALID_ARG_TYPE'],
  [{ STATUS: 'two\nlines' }, 'ERR_INVALID_ARG_VALUE'],
  [{ 'READY=1\nX': 1 }, 'ERR_INVALID_ARG_VALUE'],
  [{ ready: 1 }, 'ERR_INVALID_ARG_VALUE'],
  [{ STATUS: {} }, 'ERR_INVALID_ARG_TYPE']
])('refuses %j', (fields, code) => {
  expect(() => notify(fields as NotifyFields)).toThrow(expect.objectContaining({ code }))
})

it('the interval of the watchdog is in milliseconds, and only for the process that it is meant for', () => {
  expect(watchdogInterval()).toBe(null)
  process.env['WATCHDOG_USEC'] = '1500'
  expect(watchdogInterval()).toBe(1.5)
  process.env['WATCHDOG_PID'] = String(process.pid)
  expect(watchdogInterval()).toBe(1.5)
  process.env['WATCHDOG_PID'] = String(process.ppid)
  expect(watchdogInterval()).toBe(null)
  delete process.env['WATCHDOG_PID']
  for (const nonsense of ['', '0', '-1', 'soon']) {
    process.env['WATCHDOG_USEC'] = nonsense
    expect(watchdogInterval()).toBe(null)
  }
})

it('pings until it is cancelled', async () => {
  const manager = await startManager((process.env['NOTIFY_SOCKET'] = freshPath()))
  process.env['WATCHDOG_USEC'] = '20000'
  await run(function* () {
    const alive = spawn(watchdog)
    for (let i = 0; i < 3; i++) expect(yield* until(manager.heard())).toBe('WATCHDOG=1\n')
    alive.cancel()
    expect(yield* caught(() => alive)).toMatchObject({ code: 'ERR_COREACTOR_TASK_CANCELLED' })
  })
})

it('pings twice per interval', async () => {
  // In memory there is no manager: what would be sent to it is noted in its place.
  const kernel = new MemoryKernel()
  const pings: number[] = []
  const socket = kernel.socket.bind(kernel)
  kernel.socket = (family, type) => {
    if (type === 'datagram') pings.push(kernel.now())
    return socket(family, 'stream')
  }
  kernel.connect = () => 0
  kernel.write = (_fd, _from, _offset, length) => length
  process.env['NOTIFY_SOCKET'] = '/none'
  process.env['WATCHDOG_USEC'] = '30000000'
  await run(
    function* (main) {
      spawn(watchdog)
      yield* sleep(50_000)
      main.cancel()
    },
    { kernel }
  ).catch(() => {})
  expect(pings).toEqual([0, 15_000, 30_000, 45_000])
})

it('does nothing where there is no watchdog', async () => {
  expect(await run(watchdog)).toBe(undefined)
})
