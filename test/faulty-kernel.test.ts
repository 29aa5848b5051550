/** The kernel that fails: what it has happen, when, and how it says so. */
import { expect, it } from 'vitest'
import { checkpoint, run, spawn, type Coroutine } from 'coreactor'
import { allParked, FaultyKernel, MemoryKernel, memoryPair, type FaultyKernelOptions, type Faults } from 'coreactor/testing'
import { caught, pair, pattern, readAll } from './support.js'

/** Sends 50,000 bytes over TCP, and gives what the kernel says of it. */
async function transfer(faults: Faults, seed: number, over?: MemoryKernel): Promise<FaultyKernel> {
  const kernel = new FaultyKernel({ faults, seed, over })
  await run(
    function* () {
      const [writer, reader] = yield* pair()
      const reading = spawn(readAll, reader)
      yield* writer.write(pattern(50_000))
      yield* writer.close()
      expect((yield* reading).equals(pattern(50_000))).toBe(true)
      yield* reader.close()
    },
    { kernel }
  )
  expect([kernel.openFds, kernel.watched]).toEqual([0, 0])
  return kernel
}

const RELUCTANT: Faults = {
  receive: [
    { fault: 'EAGAIN', percent: 50 },
    { fault: 'short', percent: 60 }
  ],
  send: { fault: 'short', percent: 60 }
}

it('the same seed hits the same calls, another one others, and the kernel says which', async () => {
  const days = [7, 7, 8].map((seed) => transfer(RELUCTANT, seed, new MemoryKernel()))
  const [first, again, other] = (await Promise.all(days)).map(String)
  expect(first).toMatch(/^faults with the seed 7: .*receive EAGAIN \d+ times/)
  expect(again).toBe(first)
  expect(other).not.toBe(first)
})

it('counts calls and hits, by operation and by fault', async () => {
  const kernel = await transfer(RELUCTANT, 7)
  const [eagain, short] = [kernel.injected('receive', 'EAGAIN'), kernel.injected('receive', 'short')]
  expect(eagain).toBeGreaterThan(0)
  expect(short).toBeGreaterThan(0)
  expect(kernel.injected('receive')).toBe(eagain + short)
  expect(kernel.injected()).toBe(eagain + short + kernel.injected('send'))
  expect(kernel.calls('receive')).toBeGreaterThan(eagain + short)
  expect(kernel.injected('accept')).toBe(0)
})

it('hits the n-th call, once, several times or from then on', () => {
  for (const [times, expected] of [
    [undefined, [false, true, false, false]],
    [2, [false, true, true, false]],
    [Infinity, [false, true, true, true]]
  ] as const) {
    const over = new MemoryKernel()
    const kernel = new FaultyKernel({ over, faults: { socket: { fault: 'EMFILE', nth: 2, times } } })
    const fds = [1, 2, 3, 4].map(() => kernel.socket('IPv4'))
    expect(fds.map((fd) => fd < 0)).toEqual(expected)
    expect(over.openSockets).toBe(kernel.openFds)
    for (const fd of fds) if (fd >= 0) kernel.closeFd(fd)
    expect(kernel.openFds).toBe(0)
  }
})

it('a close that fails has closed all the same', () => {
  const over = new MemoryKernel()
  const kernel = new FaultyKernel({ over, faults: { closeFd: { fault: 'EIO', percent: 100 } } })
  expect(kernel.closeFd(kernel.socket('IPv4'))).toBeLessThan(0)
  expect([over.openSockets, kernel.openFds]).toEqual([0, 0])
})

it('who is told that a call would block is told when it does not, although nothing has changed since', async () => {
  const kernel = new FaultyKernel({
    over: new MemoryKernel(),
    faults: { receive: { fault: 'EAGAIN', nth: 1, times: 3 }, send: { fault: 'EAGAIN', nth: 1, times: 3 } }
  })
  await run(
    function* () {
      const { client, server } = memoryPair()
      yield* client.write('here already')
      yield* client.flush()
      expect(String(yield* server.readSome())).toBe('here already')
      yield* client.close()
      yield* server.close()
    },
    { kernel }
  )
  expect([kernel.injected('receive'), kernel.injected('send')]).toEqual([3, 3])
})

it('an injected reset is one for everybody: this side in both directions, and the peer when the fd is closed', async () => {
  const kernel = new FaultyKernel({ over: new MemoryKernel(), faults: { receive: { fault: 'ECONNRESET', nth: 1 } } })
  await run(
    function* (): Coroutine<void> {
      const { client, server } = memoryPair()
      yield* client.write('lost')
      yield* client.flush()
      expect((yield* caught(() => server.readSome())).code).toBe('ECONNRESET')
      yield* server.write('lost, too')
      expect((yield* caught(() => server.flush())).code).toBe('EPIPE')
      yield* server.close()
      yield* allParked()
      expect((yield* caught(() => client.readSome())).code).toBe('ECONNRESET')
      yield* checkpoint()
      yield* client.close()
    },
    { kernel }
  )
})

it('refuses a plan that could not be carried out', () => {
  const plan = (faults: unknown, more: object = {}) => (): FaultyKernel =>
    new FaultyKernel({ over: new MemoryKernel(), faults, ...more } as FaultyKernelOptions)
  for (const [make, code] of [
    [() => new FaultyKernel(null as never), 'ERR_INVALID_ARG_TYPE'],
    [plan(null), 'ERR_INVALID_ARG_TYPE'],
    [plan({}, { seed: -1 }), 'ERR_OUT_OF_RANGE'],
    [plan({ now: { fault: 'EIO', nth: 1 } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ nothing: { fault: 'EIO', nth: 1 } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ send: 5 }), 'ERR_INVALID_ARG_TYPE'],
    [plan({ send: { fault: 5, nth: 1 } }), 'ERR_INVALID_ARG_TYPE'],
    [plan({ send: { fault: 'EWHATEVER', nth: 1 } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ accept: { fault: 'short', nth: 1 } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ send: { fault: 'EIO' } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ send: { fault: 'EIO', nth: 1, percent: 1 } }), 'ERR_INVALID_ARG_VALUE'],
    [plan({ send: { fault: 'EIO', percent: 101 } }), 'ERR_OUT_OF_RANGE'],
    [plan({ send: { fault: 'EIO', percent: '1' } }), 'ERR_INVALID_ARG_TYPE'],
    [plan({ send: { fault: 'EIO', nth: 0 } }), 'ERR_OUT_OF_RANGE'],
    [plan({ send: [{ fault: 'EIO', nth: 1, times: 0 }] }), 'ERR_OUT_OF_RANGE']
  ] as const) {
    expect(make).toThrow(expect.objectContaining({ code }))
  }
})
