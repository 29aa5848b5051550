/**
 * Properties, checked on random sequences of operations against models that are plain arrays. What fails is shrunk and
 * printed with its seed; the ready tasks of each run come in a random order, too, which `seed` among the arguments decides.
 *
 * Operations begin one at a time, so that the order of arrival is known. What hands something to those who wait, and what
 * calls waits off, happens in bursts without a turn in between: then everything depends on who is resumed first.
 */
import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  Cancelled,
  Channel,
  Condition,
  deferred,
  op,
  race,
  run,
  Semaphore,
  spawn,
  type Coroutine,
  type Deferred,
  type Permit,
  type ScopeError,
  type Task
} from 'coreactor'
import { allParked, MemoryKernel } from 'coreactor/testing'
import { Deadlines, type Deadline } from '../lib/time/deadlines.js'

/** A few seconds each. */
const RUNS = 250
const seeds = fc.integer({ min: 0, max: 0xffff_ffff })
const any = fc.nat(99)

/** An operation under way in a task of its own, and in a race that can be decided against it. */
class Attempt<T> {
  /** A decision against it has been made since the last look. */
  losing = false
  private readonly other: Deferred<'lost'> = deferred()
  private readonly task: Task<{ value: T } | 'lost' | { error: unknown }>

  constructor(body: () => Coroutine<T>) {
    const { other } = this
    this.task = spawn(function* () {
      try {
        return yield* race([other, op(function* () {
          return { value: yield* body() }
        })])
      } catch (error) {
        if (error instanceof Cancelled) throw error
        return { error: (error as ScopeError).errors[0] as unknown }
      }
    })
  }

  lose(): void {
    this.losing = true
    this.other.resolve('lost')
  }

  cancel(): void {
    this.task.cancel()
  }

  get outcome(): { value: T } | 'lost' | 'cancelled' | 'waits' | { error: unknown } {
    const { outcome } = this.task
    return outcome === null ? 'waits' : outcome === 'cancelled' ? 'cancelled' : this.task.result()
  }
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from.length === 0 ? undefined : from[n % from.length]
}

/** Takes `item` out of `from`; false if it was not in. */
function take<T>(from: T[], item: T): boolean {
  const at = from.indexOf(item)
  if (at >= 0) from.splice(at, 1)
  return at >= 0
}

function inMemory(seed: number, main: () => Coroutine<void>): Promise<void> {
  return run(main, { kernel: new MemoryKernel(), seed })
}

type ChannelAction = ['send' | 'receive' | 'trySend' | 'tryReceive' | 'settle'] | ['cancel' | 'lose', number] | ['close', boolean]

const channelActions = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<ChannelAction>(['send'], ['receive']) },
    { weight: 5, arbitrary: fc.constantFrom<ChannelAction>(['trySend'], ['tryReceive'], ['trySend'], ['tryReceive'], ['settle']) },
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('cancel' as const, 'lose' as const), any) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('close' as const), fc.boolean()) }
  ),
  { maxLength: 60, size: 'max' }
)

/** What a channel should do. Its values are numbers that ascend as they are sent, so that the order shows. */
class ChannelModel {
  readonly buffer: number[] = []
  readonly senders: { attempt: Attempt<void>; item: number }[] = []
  readonly receivers: Attempt<number>[] = []
  /** What each attempt should have come to by the next look. */
  readonly expected = new Map<Attempt<unknown>, unknown>()
  /** Handed over since the last look. */
  readonly handed = new Map<Attempt<number>, number>()
  sent = 0
  received = 0
  closed: Error | null = null

  constructor(readonly capacity: number) {}

  /** Undefined: it waits. */
  send(item: number): 'sent' | 'closed' | undefined {
    if (this.closed !== null) return 'closed'
    const receiver = this.receivers.shift()
    if (receiver === undefined && this.buffer.length >= this.capacity) return undefined
    this.sent++
    if (receiver === undefined) {
      this.buffer.push(item)
    } else {
      this.received++
      this.handed.set(receiver, item)
      this.expected.set(receiver, { value: item })
    }
    return 'sent'
  }

  receive(): number | 'closed' | undefined {
    const item = this.buffer.shift()
    if (item !== undefined) this.received++
    if (item === undefined || this.buffer.length < this.capacity) {
      const sender = this.senders.shift()
      if (sender !== undefined) {
        this.sent++
        this.expected.set(sender.attempt, { value: undefined })
        if (item === undefined) {
          this.received++
          return sender.item
        }
        this.buffer.push(sender.item)
      }
    }
    return item ?? (this.closed === null ? undefined : 'closed')
  }

  close(error: Error | undefined): void {
    if (this.closed !== null) return
    this.closed = error ?? new Error('the channel is closed')
    for (const { attempt } of this.senders.splice(0)) this.expected.set(attempt, 'closed')
    for (const attempt of this.receivers.splice(0)) this.expected.set(attempt, 'closed')
  }

  /** It is in a line no longer, if it was. */
  leave(attempt: Attempt<unknown>): boolean {
    const at = this.senders.findIndex((sender) => sender.attempt === attempt)
    if (at >= 0) this.senders.splice(at, 1)
    return at >= 0 || take(this.receivers, attempt as Attempt<number>)
  }

  /** Looks at what no model can say: who of those that were handed something has lost a race before, and given it back. */
  settle(): void {
    const returned: unknown[] = []
    for (const [attempt, expected] of this.expected) {
      if (!attempt.losing || attempt.outcome !== 'lost') continue
      const item = this.handed.get(attempt as Attempt<number>)
      if (item !== undefined) returned.push(item)
      // What a sender has sent is sent, and a close that came first is as good.
      else expect(expected === 'lost' || expected === 'closed' || 'value' in (expected as object)).toBe(true)
      this.expected.set(attempt, 'lost')
    }
    // Nor who of those that wait, or were just told of the end, gets which of it.
    const closed = [...this.expected].filter(([, what]) => what === 'closed').map(([attempt]) => attempt)
    for (const attempt of [...this.receivers, ...closed]) {
      const { outcome } = attempt
      if (typeof outcome !== 'object' || !('value' in outcome)) continue
      expect(take(returned, outcome.value)).toBe(true)
      take(this.receivers, attempt as Attempt<number>)
      this.expected.set(attempt, outcome)
    }
    if (returned.length > 0) expect(this.receivers).toEqual([])
    this.received -= returned.length
    this.buffer.unshift(...(returned as number[]).sort((a, b) => a - b))
    this.handed.clear()
  }
}

it('a channel loses nothing, doubles nothing and keeps the order, whoever is cancelled or loses a race', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1, 2, 3, Infinity), channelActions, seeds, (capacity, actions, seed) =>
      inMemory(seed, function* () {
        const channel = new Channel<number>(capacity)
        const model = new ChannelModel(capacity)
        const attempts: Attempt<unknown>[] = []
        let item = 0

        function* look(): Coroutine<void> {
          yield* allParked()
          for (const attempt of attempts) if (attempt.losing && model.leave(attempt)) model.expected.set(attempt, 'lost')
          model.settle()
          for (const attempt of attempts) {
            attempt.losing = false
            const expected = model.expected.get(attempt) ?? 'waits'
            const { outcome } = attempt
            if (expected !== 'closed') expect(outcome).toEqual(expected)
            else expect((outcome as { error: Error }).error.message).toBe(model.closed?.message)
          }
          const { sent, received, buffer, senders, receivers } = model
          expect(channel.statistics()).toMatchObject({
            sent,
            received,
            buffered: buffer.length,
            waitingSenders: senders.length,
            waitingReceivers: receivers.length
          })
        }

        for (const [verb, argument] of actions) {
          if (verb === 'send' || verb === 'receive') yield* look()
          if (verb === 'send') {
            const mine = ++item
            const attempt = new Attempt(function* () {
              yield* channel.send(mine)
            })
            attempts.push(attempt)
            const result = model.send(mine)
            if (result === undefined) model.senders.push({ attempt, item: mine })
            else model.expected.set(attempt, result === 'sent' ? { value: undefined } : result)
            yield* look()
          } else if (verb === 'receive') {
            const attempt = new Attempt(function* () {
              return yield* channel.receive()
            })
            attempts.push(attempt)
            const result = model.receive()
            if (result === undefined) model.receivers.push(attempt)
            else model.expected.set(attempt, result === 'closed' ? result : { value: result })
            yield* look()
          } else if (verb === 'trySend') {
            const mine = ++item
            expect(attemptNow(() => channel.trySend(mine))).toBe({ sent: true, closed: 'closed', waits: false }[model.send(mine) ?? 'waits'])
          } else if (verb === 'tryReceive') {
            expect(attemptNow(() => channel.tryReceive())).toBe(model.receive())
          } else if (verb === 'cancel') {
            const attempt = pick(attempts, argument as number)
            attempt?.cancel()
            if (attempt !== undefined && model.leave(attempt)) model.expected.set(attempt, attempt.losing ? 'lost' : 'cancelled')
          } else if (verb === 'lose') {
            pick(attempts, argument as number)?.lose()
          } else if (verb === 'close') {
            const error = argument === true ? new Error('of close') : undefined
            channel.close(error)
            model.close(error)
          } else {
            yield* look()
          }
        }
        yield* look()
        for (let next; typeof (next = attemptNow(() => channel.tryReceive())) === 'number'; ) expect(next).toBe(model.receive())
        expect([model.buffer, model.senders]).toEqual([[], []])
        for (const attempt of attempts) attempt.cancel()
      })
    ),
    { numRuns: RUNS }
  )
})

/** The result of what does not wait; 'closed' instead of the error of a closed channel. */
function attemptNow<T>(act: () => T): T | 'closed' {
  try {
    return act()
  } catch {
    return 'closed'
  }
}

type SemaphoreAction = ['acquire' | 'tryAcquire', number] | ['release' | 'cancel' | 'lose', number] | ['settle']

const semaphoreActions = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('acquire' as const, 'tryAcquire' as const), fc.integer({ min: 1, max: 4 })) },
    { weight: 8, arbitrary: fc.tuple(fc.constantFrom('release' as const, 'release' as const, 'cancel' as const, 'lose' as const), any) },
    { weight: 1, arbitrary: fc.constant<SemaphoreAction>(['settle']) }
  ),
  { maxLength: 60, size: 'max' }
)

it('a semaphore serves in the order of arrival, and no permit is lost or made, whoever is cancelled or loses a race', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 4, max: 6 }), semaphoreActions, seeds, (permits, actions, seed) =>
      inMemory(seed, function* () {
        const semaphore = new Semaphore(permits)
        interface Claim {
          readonly attempt: Attempt<Permit>
          readonly count: number
        }
        const claims: Claim[] = []
        const held: { permit: Permit; count: number }[] = []
        // The model: permits that are free, those who wait, those who were handed some since the last look.
        let free = permits
        const line: Claim[] = []
        const handed: Claim[] = []
        const expected = new Map<Attempt<Permit>, 'had' | 'cancelled' | 'lost'>()

        const serve = (): void => {
          for (let first; (first = line[0]) !== undefined && first.count <= free; line.shift()) {
            free -= first.count
            handed.push(first)
            expected.set(first.attempt, 'had')
          }
        }

        function* look(): Coroutine<void> {
          yield* allParked()
          for (const claim of claims) {
            if (claim.attempt.losing && take(line, claim)) expected.set(claim.attempt, 'lost')
          }
          for (const { attempt, count } of handed) {
            if (!attempt.losing || attempt.outcome !== 'lost') continue
            free += count
            expected.set(attempt, 'lost')
          }
          serve()
          for (const { attempt, count } of handed.splice(0)) {
            const { outcome } = attempt
            if (typeof outcome === 'object' && 'value' in outcome) held.push({ permit: outcome.value, count })
          }
          for (const { attempt } of claims) {
            attempt.losing = false
            const { outcome } = attempt
            expect(typeof outcome === 'object' ? 'had' : outcome).toBe(expected.get(attempt) ?? 'waits')
          }
          expect([semaphore.available, semaphore.waiting]).toEqual([free, line.length])
        }

        for (const [verb, n = 0] of actions as [string, number?][]) {
          if (verb === 'acquire') {
            yield* look()
            const attempt = new Attempt(function* () {
              return yield* semaphore.acquire(n)
            })
            const claim = { attempt, count: n }
            claims.push(claim)
            line.push(claim)
            serve()
            yield* look()
          } else if (verb === 'tryAcquire') {
            const permit = semaphore.tryAcquire(n)
            expect(permit !== null).toBe(line.length === 0 && free >= n)
            if (permit === null) continue
            free -= n
            held.push({ permit, count: n })
          } else if (verb === 'release') {
            const some = pick(held, n)
            if (some === undefined) continue
            take(held, some)
            some.permit.release()
            free += some.count
            serve()
          } else if (verb === 'cancel') {
            const claim = pick(claims, n)
            claim?.attempt.cancel()
            if (claim === undefined || !take(line, claim)) continue
            expected.set(claim.attempt, claim.attempt.losing ? 'lost' : 'cancelled')
            serve()
          } else if (verb === 'lose') {
            pick(claims, n)?.attempt.lose()
          } else {
            yield* look()
          }
        }
        yield* look()
        for (const { attempt } of claims) attempt.cancel()
        for (const { permit } of held) permit.release()
        yield* allParked()
        for (const { attempt } of claims) {
          const { outcome } = attempt
          if (typeof outcome === 'object' && 'value' in outcome) outcome.value[Symbol.dispose]()
        }
        expect([semaphore.available, semaphore.waiting]).toEqual([permits, 0])
      })
    ),
    { numRuns: RUNS }
  )
})

type ConditionAction = ['wait' | 'notifyAll' | 'settle'] | ['notify' | 'cancel' | 'lose', number]

const conditionActions = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<ConditionAction>(['wait']) },
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom('notify' as const, 'cancel' as const, 'lose' as const), fc.integer({ min: 1, max: 9 })) },
    { weight: 1, arbitrary: fc.constantFrom<ConditionAction>(['notifyAll'], ['settle']) }
  ),
  { maxLength: 60, size: 'max' }
)

it('a condition wakes as many as it was told while there are any, in order, whoever is cancelled or loses a race', async () => {
  await fc.assert(
    fc.asyncProperty(conditionActions, seeds, (actions, seed) =>
      inMemory(seed, function* () {
        const condition = new Condition()
        const attempts: Attempt<void>[] = []
        // The model: those who wait, those who were notified since the last look, and how many of these were called off.
        const line: Attempt<void>[] = []
        const notified: Attempt<void>[] = []
        const calledOff = new Set<Attempt<void>>()
        const expected = new Map<Attempt<void>, 'woken' | 'cancelled' | 'lost'>()
        let lock = yield* condition.lock()

        function* look(): Coroutine<void> {
          lock.release()
          yield* allParked()
          for (const attempt of attempts) {
            if (attempt.losing && take(line, attempt)) expected.set(attempt, 'lost')
          }
          let passedOn = 0
          for (const attempt of notified.splice(0)) {
            const lost = attempt.losing && attempt.outcome === 'lost'
            if (lost) expected.set(attempt, 'lost')
            else if (calledOff.has(attempt)) expected.set(attempt, 'cancelled')
            if (lost || calledOff.has(attempt)) passedOn++
          }
          for (const attempt of line.splice(0, passedOn)) expected.set(attempt, 'woken')
          for (const attempt of attempts) {
            attempt.losing = false
            const { outcome } = attempt
            expect(typeof outcome === 'object' ? 'woken' : outcome).toBe(expected.get(attempt) ?? 'waits')
          }
          expect([condition.waiting, condition.mutex.locked, condition.mutex.waiting]).toEqual([line.length, false, 0])
          lock = yield* condition.lock()
        }

        const notify = (count: number): void => {
          for (const attempt of line.splice(0, count)) {
            notified.push(attempt)
            expected.set(attempt, 'woken')
          }
        }

        for (const [verb, n = 0] of actions as [string, number?][]) {
          if (verb === 'wait') {
            yield* look()
            const attempt = new Attempt(() =>
              condition.use(function* () {
                yield* condition.wait()
              })[Symbol.iterator]() as Coroutine<void>
            )
            attempts.push(attempt)
            yield* allParked()
            line.push(attempt)
            yield* look()
          } else if (verb === 'notify') {
            condition.notify(n)
            notify(n)
          } else if (verb === 'notifyAll') {
            condition.notifyAll()
            notify(Infinity)
          } else if (verb === 'cancel') {
            const attempt = pick(attempts, n)
            attempt?.cancel()
            if (attempt === undefined) continue
            if (take(line, attempt)) expected.set(attempt, attempt.losing ? 'lost' : 'cancelled')
            else if (notified.includes(attempt)) calledOff.add(attempt)
          } else if (verb === 'lose') {
            pick(attempts, n)?.lose()
          } else {
            yield* look()
          }
        }
        yield* look()
        for (const attempt of attempts) attempt.cancel()
        lock.release()
      })
    ),
    { numRuns: RUNS }
  )
})

/** More than there are open chains, so that chains break off. */
const DURATIONS = [0, 1, 2, 5, 7, 10, 30, 60, 100, 1000]

type DeadlineAction =
  | ['add', { duration: number; then: { adds: number[]; removes: number[] } }]
  | ['remove' | 'expire', number]
  | ['many', { count: number; durations: number[] }]
  | ['clear', 'forward' | 'backward' | 'inside out']

const durations = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...DURATIONS) }, { weight: 1, arbitrary: fc.double({ min: 0, max: 50, noNaN: true }) })

const deadlineActions = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(
        fc.constant('add' as const),
        fc.record({
          duration: durations,
          // What it does when it fires: adds deadlines, due ones among them, and removes some, due ones among them.
          then: fc.record({ adds: fc.array(durations, { maxLength: 3 }), removes: fc.array(fc.nat(999), { maxLength: 3 }) })
        })
      )
    },
    { weight: 5, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(999)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('expire' as const), fc.constantFrom(0, 1, 3, 10, 70)) },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.constant('many' as const),
        fc.record({ count: fc.integer({ min: 1, max: 700 }), durations: fc.array(durations, { minLength: 1, maxLength: 12 }) })
      )
    },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const), fc.constantFrom('forward' as const, 'backward' as const, 'inside out' as const)) }
  ) as fc.Arbitrary<DeadlineAction>,
  { maxLength: 80, size: 'max' }
)

type Due = Deadline & { when: number }

it('deadlines fire when they are due, each once, the earliest first, whatever is added and removed meanwhile', () => {
  fc.assert(
    fc.property(deadlineActions, (actions) => {
      const deadlines = new Deadlines()
      let now = 0
      /** The model: in ascending order of their times. */
      const sorted: Due[] = []
      const gone: Due[] = []

      const add = (duration: number, fired: (deadline: Due) => void = () => {}): void => {
        const deadline: Due = {
          when: now + duration,
          index: -1,
          fire() {
            ok(deadline.index === -1, 'it is out when it fires')
            ok(deadline.when <= now, 'it is due')
            ok(deadline.when === sorted[0]?.when, 'it is the earliest')
            ok(take(sorted, deadline), 'it was in, and fires once')
            gone.push(deadline)
            fired(deadline)
          }
        }
        let at = sorted.length
        while (at > 0 && (sorted[at - 1] as Due).when > deadline.when) at--
        sorted.splice(at, 0, deadline)
        deadlines.add(deadline, deadline.when)
      }
      const remove = (deadline: Due | undefined): void => {
        if (deadline === undefined) return
        deadlines.remove(deadline)
        ok(deadline.index === -1, 'it is out when it was removed')
        if (take(sorted, deadline)) gone.push(deadline)
      }

      for (const [verb, what] of actions) {
        if (verb === 'add') {
          add(what.duration, () => {
            for (const duration of what.then.adds) add(duration)
            for (const n of what.then.removes) remove(pick(sorted, n))
          })
        } else if (verb === 'remove') {
          remove(pick(sorted, what))
          remove(pick(gone, what))
        } else if (verb === 'expire') {
          now += what
          deadlines.expire(now)
          expect(sorted[0]?.when ?? Infinity).toBeGreaterThan(now)
        } else if (verb === 'many') {
          for (let i = 0; i < what.count; i++) add(what.durations[i % what.durations.length] as number)
        } else {
          const order = what === 'backward' ? sorted.toReversed() : [...sorted]
          if (what === 'inside out') order.sort((a, b) => (a.index & 15) - (b.index & 15))
          for (const deadline of order) remove(deadline)
        }
        expect(deadlines.size).toBe(sorted.length)
        expect(deadlines.next).toBe(sorted[0]?.when ?? Infinity)
      }
      now = Infinity
      deadlines.expire(now)
      expect([sorted.length, deadlines.size, deadlines.next]).toEqual([0, 0, Infinity])
    }),
    { numRuns: RUNS }
  )
})
