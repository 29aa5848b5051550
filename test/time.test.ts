/** Deadlines and sleeping. */
import { expect, it } from 'vitest'
import { checkpoint, run, scope, sleep, spawn } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { ownRuntime } from '../lib/runtime/current.js'
import { Deadlines, type Deadline } from '../lib/time/deadlines.js'
import { onEveryKernel, randomFrom } from './support.js'

const entry = (when: number, fired: number[] = []): Deadline & { when: number } => ({ when, index: -1, fire: () => fired.push(when) })

it('deadlines fire in their order, whatever was added and removed in between', () => {
  const random = randomFrom(11)
  const deadlines = new Deadlines()
  const fired: number[] = []
  const inside = new Set<Deadline & { when: number }>()
  let latest = 0
  for (let i = 0; i < 20_000; i++) {
    const draw = random()
    if (draw < 0.5) {
      const added = entry(latest + random() * 100, fired)
      deadlines.add(added, added.when)
      inside.add(added)
    } else if (draw < 0.8) {
      const [some] = inside
      if (some !== undefined) deadlines.remove(some)
      if (some !== undefined) inside.delete(some)
    } else {
      latest += random() * 5
      const due = [...inside].filter(({ when }) => when <= latest)
      fired.length = 0
      deadlines.expire(latest)
      expect(fired).toEqual(due.map(({ when }) => when).sort((a, b) => a - b))
      for (const each of due) inside.delete(each)
    }
    expect(deadlines.size).toBe(inside.size)
    if (i % 100 === 0) expect(deadlines.next).toBe(Math.min(Infinity, ...[...inside].map(({ when }) => when)))
  }
})

it('a deadline that has fired, or was never added, can be removed', () => {
  const deadlines = new Deadlines()
  const one = entry(1)
  deadlines.remove(one)
  deadlines.add(one, 1)
  deadlines.expire(1)
  deadlines.remove(one)
  expect(deadlines.size).toBe(0)
})

onEveryKernel('sleep', (kernel) => {
  it('sleepers wake in the order of their deadlines', async () => {
    const order: number[] = []
    await kernel.run(function* () {
      for (const ms of [60, 20, 40, 0.5]) {
        spawn(function* () {
          yield* sleep(ms)
          order.push(ms)
        })
      }
    })
    expect(order).toEqual([0.5, 20, 40, 60])
  })

  it('0 and negative times let the others run once', async () => {
    const order: string[] = []
    await kernel.run(function* () {
      spawn(function* () {
        order.push('other')
      })
      yield* sleep(-5)
      order.push('slept')
    })
    expect(order).toEqual(['other', 'slept'])
  })

  it('Infinity waits until it is cancelled', async () => {
    await kernel.run(() =>
      scope(function* (tasks) {
        const sleeper = tasks.spawn(() => sleep(Infinity))
        yield* sleep(1)
        expect(sleeper.state).toBe('parked')
        tasks.cancel()
      })
    )
  })
})

it('no sleep ends early, by the clock the library sleeps by and by the process clock', async () => {
  await run(function* () {
    for (const ms of [0.1, 0.25, 0.5, 1, 1.5, 2.5, 5]) {
      const before = process.hrtime.bigint()
      yield* sleep(ms)
      expect(Number(process.hrtime.bigint() - before) / 1e6).toBeGreaterThanOrEqual(ms)
    }
  })
})

it('a sleeping process takes no turns', async () => {
  await run(function* () {
    yield* sleep(1)
    const before = ownRuntime().turns
    yield* sleep(30)
    expect(ownRuntime().turns - before).toBeLessThanOrEqual(3)
  })
})

it('a deadline set before an earlier one was cancelled still fires on time', async () => {
  await run(function* () {
    const early = spawn(() => sleep(2))
    const late = spawn(() => sleep(6))
    yield* checkpoint()
    early.cancel()
    yield* late
  })
})

it('on a virtual clock an hour passes at once', async () => {
  const kernel = new MemoryKernel()
  await run(() => sleep(3_600_000), { kernel })
  expect(kernel.now()).toBe(3_600_000)
})
