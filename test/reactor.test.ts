/** Events find the registration they were meant for, or nobody. */
import { expect, it } from 'vitest'
import { checkpoint, connect, listen, run, spawn, type Connection } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import {
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_SLOT,
  FIRST_SLOT,
  READABLE,
  READ_CLOSED,
  WRITABLE
} from '../lib/kernel/layout.js'
import { Reactor } from '../lib/reactor/reactor.js'
import { Registration } from '../lib/reactor/registration.js'
import { caught, onEveryKernel } from './support.js'

/** A kernel whose batch the test writes itself. */
function scripted(firstGeneration = 0) {
  const kernel = new MemoryKernel()
  const tokens: [slot: number, generation: number][] = []
  kernel.add = (_fd, _interest, _mode, slot, generation) => {
    tokens.push([slot, generation])
    return 0
  }
  kernel.remove = () => 0
  const reactor = new Reactor(kernel, firstGeneration)
  const report = (...events: [token: [number, number] | undefined, readiness: number][]): void => {
    for (const [i, [token, readiness]] of events.entries()) {
      kernel.events[i * EVENT_INTS + EVENT_SLOT] = token?.[0] as number
      kernel.events[i * EVENT_INTS + EVENT_GENERATION] = token?.[1] as number
      kernel.events[i * EVENT_INTS + EVENT_READINESS] = readiness
    }
    reactor.deliver(events.length)
  }
  return { kernel, reactor, tokens, report }
}

it('hazard 1: an event for a slot that was freed and taken again is dropped', () => {
  const { reactor, tokens, report } = scripted()
  const first = new Registration()
  const second = new Registration()
  reactor.add(first, 10)
  reactor.remove(first, 10)
  reactor.add(second, 10)
  expect(second.slot).toBe(FIRST_SLOT)
  report([tokens[0], READABLE])
  expect([first.readiness, second.readiness]).toEqual([0, 0])
  report([tokens[1], WRITABLE])
  expect([first.readiness, second.readiness]).toEqual([0, WRITABLE])
})

it('hazard 71: generations wrap around at 32 bits and still tell slots apart', () => {
  const { reactor, tokens, report } = scripted(0x7fff_ffff)
  const first = new Registration()
  const second = new Registration()
  reactor.add(first, 10)
  reactor.remove(first, 10)
  reactor.add(second, 10)
  expect(tokens.map(([, generation]) => generation)).toEqual([0x7fff_ffff, -0x8000_0000])
  report([tokens[0], READABLE], [tokens[1], WRITABLE])
  expect(second.readiness).toBe(WRITABLE)
})

it('a slot the kernel refused is used for the next one', () => {
  const { kernel, reactor } = scripted()
  kernel.add = () => -1
  expect(reactor.add(new Registration(), 10)).toBe(-1)
  expect(reactor.size).toBe(0)
  kernel.add = () => 0
  const next = new Registration()
  reactor.add(next, 11)
  expect([next.slot, reactor.size]).toEqual([FIRST_SLOT, 1])
})

it('readiness is sticky until it is exhausted, and one direction does not touch the other', () => {
  const { reactor, tokens, report } = scripted()
  const registration = new Registration()
  const woken: string[] = []
  registration.reader = { wake: () => woken.push('reader') }
  registration.writer = { wake: () => woken.push('writer') }
  reactor.add(registration, 10)
  report([tokens[0], READABLE])
  report([tokens[0], WRITABLE])
  registration.exhausted(WRITABLE)
  expect([registration.readiness, woken]).toEqual([READABLE, ['reader', 'writer']])
  report([tokens[0], READABLE | READ_CLOSED])
  expect(registration.readiness).toBe(READABLE | READ_CLOSED)
})

it('events for slots that never were, and for the kernel’s own, are dropped', () => {
  const { report } = scripted()
  report([[0, 0], READABLE], [[1, 0], READABLE], [[99, 0], READABLE])
})

onEveryKernel('fd numbers', (kernel) => {
  it('hazard 1: a handler that closes another connection of its batch and opens one with the same fd confuses nobody', async () => {
    await kernel.run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const { port } = listener.address
      const clients: Connection[] = []
      const servers: Connection[] = []
      for (let i = 0; i < 2; i++) {
        clients.push(yield* connect({ port }))
        servers.push(yield* listener.accept())
      }
      const [first, second] = servers as [Connection, Connection]
      const { fd } = second
      const victim = spawn(() => caught(() => second.readSome()))
      const reader = spawn(function* () {
        yield* first.readSome()
        second.reset()
        const client = yield* connect({ port })
        const server = yield* listener.accept()
        expect([client.fd, server.fd]).toContain(fd)
        const reading = spawn(function* () {
          return String(yield* server.readSome())
        })
        for (let i = 0; i < 5; i++) yield* checkpoint()
        expect(reading.state).toBe('parked')
        yield* client.write('mine')
        expect(yield* reading).toBe('mine')
        client.reset()
        server.reset()
      })
      yield* checkpoint()
      // Both in one turn: both servers become ready in one batch.
      for (const client of clients) client.tryWrite('ready')
      yield* reader
      yield* victim
      for (const each of [...clients, first]) each.reset()
      yield* listener.close()
    })
  })
})

it('the memory kernel gives the same run for the same seed', async () => {
  const trace = async (): Promise<unknown[]> => {
    const kernel = new MemoryKernel({ capacity: 7, seed: 5 })
    const seen: unknown[] = [kernel.entropy(), kernel.entropy()]
    await run(
      function* () {
        const listener = yield* listen({ port: 0, host: '127.0.0.1' })
        const client = yield* connect({ port: listener.address.port })
        const server = yield* listener.accept()
        spawn(function* () {
          yield* client.write('a stream that does not fit')
          yield* client.close()
        })
        for (let chunk; (chunk = yield* server.readSome()) !== null; ) seen.push(String(chunk), kernel.now())
        yield* server.close()
        yield* listener.close()
      },
      { kernel }
    )
    return seen
  }
  const first = await trace()
  expect(first.length).toBeGreaterThan(6)
  expect(await trace()).toEqual(first)
})
