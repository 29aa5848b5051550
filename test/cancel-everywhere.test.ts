/** Every operation that can park, apart from those of sockets, cancelled at every step: see `every-step.ts`. */
import assert from 'node:assert/strict'
import {
  all,
  allSettled,
  any,
  Barrier,
  Channel,
  ChannelClosedError,
  checkpoint,
  Condition,
  deferred,
  Event,
  interval,
  Limiter,
  map,
  moveOnAfter,
  Mutex,
  now,
  op,
  race,
  scope,
  Semaphore,
  shield,
  sleep,
  sleepUntil,
  spawn,
  TaskLocal,
  timeout,
  TimeoutError,
  until,
  type Coroutine,
  type Op,
  type Permit
} from 'coreactor'
import { allParked, Sequencer } from 'coreactor/testing'
import { cancelEverywhere, WAYS, type Row, type Stage } from './every-step.js'
import * as support from './support.js'

function* sleeping(ms: number): Coroutine<number> {
  yield* sleep(ms)
  return ms
}

/** Others that the victim's fate is nothing to: so many tasks that do something, and must come to their end. */
function bystanders(stage: Stage, count: number, body: (i: number) => Coroutine<unknown>): void {
  let ended = 0
  for (let i = 0; i < count; i++) {
    spawn(function* bystander() {
      yield* body(i)
      ended++
    })
  }
  stage.claim(() => assert.equal(ended, count, 'a bystander was cut off'))
}

const time: Row[] = [
  {
    name: 'sleep',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(1 + i))
      stage.victim(function* () {
        yield* stage.attempt(
          () => sleep(4),
          () => assert.equal(now(), 4)
        )
      })
    }
  },
  {
    name: 'sleepUntil',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(1 + i))
      stage.victim(function* () {
        yield* stage.attempt(
          () => sleepUntil(4),
          () => assert.equal(now(), 4)
        )
      })
    }
  },
  {
    name: 'Interval.tick',
    *play(stage) {
      const ticks = interval(2)
      let given = 0
      const count = (periods: number): void => void (given += periods)
      bystanders(stage, 2, (i) => sleeping(3 + i))
      const victim = stage.victim(function* () {
        for (let i = 0; i < 2; i++) if (!(yield* stage.attempt(() => ticks.tick(), count))) return
      })
      yield* allSettled([victim])
      count(yield* ticks.tick())
      assert.equal(given * 2, now(), 'a tick was lost or given twice')
    }
  },
  {
    name: 'timeout, in time',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', () => sleeping(3))
      stage.victim(function* () {
        yield* stage.attempt(
          () => timeout(5, body),
          (ms) => assert.equal(ms, 3)
        )
      })
    }
  },
  {
    name: 'timeout, too late',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', () => sleeping(5))
      stage.victim(function* () {
        try {
          yield* stage.attempt(
            () => timeout(3, body),
            () => assert.fail('it was not in time')
          )
        } catch (error) {
          if (!hasTimedOut(error)) throw error
          assert.equal(now(), 3)
        }
      })
    }
  },
  {
    name: 'moveOnAfter, in time',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', () => sleeping(3))
      stage.victim(function* () {
        yield* stage.attempt(
          () => moveOnAfter(5, body),
          (ms) => assert.equal(ms, 3)
        )
      })
    }
  },
  {
    name: 'moveOnAfter, too late',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', () => sleeping(5))
      stage.victim(function* () {
        yield* stage.attempt(
          () => moveOnAfter(3, body),
          (ms) => assert.deepEqual([ms, now()], [undefined, 3])
        )
      })
    }
  },
  {
    name: 'shield',
    patient: true,
    *play(stage) {
      let begun = false
      let ended = false
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', function* () {
        begun = true
        yield* checkpoint()
        yield* sleep(3)
        ended = true
      })
      stage.victim(function* () {
        yield* stage.attempt(() => shield(body))
      })
      stage.claim(() => assert.equal(ended, begun, 'what was shielded was cut off'))
    }
  },
  {
    name: 'shield, with little patience',
    patient: true,
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(2 + i))
      const body = stage.once('the body', () => sleeping(6))
      stage.victim(function* () {
        yield* stage.attempt(() => shield(body, { timeout: 2 }))
      })
    }
  }
]

function hasTimedOut(error: unknown): boolean {
  return error instanceof TimeoutError || (error instanceof AggregateError && error.errors.every(hasTimedOut))
}

/**
 * Not for a race inside another one: when it has been decided and waits for its losers, what it has received cannot be
 * given back any more.
 */
const OUTSIDE_RACES = WAYS.filter((way) => way !== 'race')

const task: Row[] = [
  {
    name: 'checkpoint',
    *play(stage) {
      const passing = function* (): Coroutine<void> {
        for (let i = 0; i < 3; i++) yield* checkpoint()
      }
      bystanders(stage, 2, passing)
      stage.victim(function* () {
        for (let i = 0; i < 3; i++) if (!(yield* stage.attempt(() => checkpoint()))) return
      })
    }
  },
  {
    name: 'until',
    *play(stage) {
      const { promise, resolve } = support.deferred<string>()
      bystanders(stage, 1, function* () {
        assert.equal(yield* until(promise), 'kept')
      })
      bystanders(stage, 1, function* () {
        yield* checkpoint()
        resolve('kept')
      })
      stage.victim(function* () {
        yield* stage.attempt(
          () => until(promise),
          (value) => assert.equal(value, 'kept')
        )
      })
    }
  },
  {
    name: 'joining a task',
    *play(stage) {
      const joined = spawn(stage.once('the task', () => sleeping(2)))
      bystanders(stage, 2, function* () {
        assert.equal(yield* joined, 2)
      })
      const victim = stage.victim(function* () {
        yield* stage.attempt(
          () => joined,
          (value) => assert.equal(value, 2)
        )
      })
      stage.claim(() => assert.equal(joined.outcome, 'returned'))
      yield* allSettled([victim])
      if (!joined.ended) assert.ok([joined['joiners']].flat().length <= 2, 'it is still among those who wait')
    }
  },
  {
    name: 'scope, waiting for its children',
    *play(stage) {
      const children = [1, 2, 3].map((ms) => stage.once('a child', () => sleeping(ms)))
      let open = 0
      stage.victim(function* () {
        yield* stage.attempt(
          () =>
            op(function* () {
              try {
                open++
                return yield* scope(function* (inside) {
                  return children.map((child) => inside.spawn(child))
                })
              } finally {
                open--
              }
            }),
          (tasks) => tasks.forEach((child, i) => assert.equal(child.result(), i + 1))
        )
      })
      stage.claim(() => assert.equal(open, 0))
    }
  },
  {
    name: 'spawn, the child',
    *play(stage) {
      const child = stage.once('the child', function* () {
        yield* checkpoint()
        yield* spawn(stage.once('its child', () => sleeping(2)))
      })
      bystanders(stage, 2, (i) => sleeping(1 + i))
      stage.victim(function* () {
        yield* stage.attempt(() => spawn(child))
      })
    }
  },
  {
    name: 'start',
    *play(stage) {
      const stop = new Event()
      let known = false
      let alive = false
      const task = function* (started: (value: string) => void): Coroutine<void> {
        try {
          yield* sleep(2)
          alive = true
          started('up')
          yield* stop.wait()
        } finally {
          alive = false
        }
      }
      yield* scope(function* (outside) {
        const victim = stage.victim(function* () {
          yield* stage.attempt(
            () => outside.start(task),
            (value) => {
              assert.equal(value, 'up')
              known = true
            }
          )
        })
        yield* allSettled([victim])
        yield* allParked()
        assert.equal(alive, known, known ? 'the task was cut off' : 'a task goes on that nobody knows of')
        stop.set()
      })
    }
  },
  {
    name: 'all',
    *play(stage) {
      const bodies = [1, 2, 3].map((ms) => stage.once('a body', () => sleeping(ms)))
      const joined = spawn(() => sleeping(4))
      stage.victim(function* () {
        yield* stage.attempt(
          () => all([...bodies.map((body) => op(body)), joined]),
          (values) => assert.deepEqual(values, [1, 2, 3, 4])
        )
      })
      stage.claim(() => assert.equal(joined.outcome, 'returned', 'a task that was only joined was cancelled'))
    }
  },
  {
    name: 'allSettled',
    *play(stage) {
      const bodies = [1, 2, 3].map((ms) =>
        stage.once('a body', function* () {
          yield* sleep(ms)
          if (ms === 2) throw new Error('two')
          return ms
        })
      )
      stage.victim(function* () {
        yield* stage.attempt(
          () => allSettled(bodies.map((body) => op(body))),
          (settled) => assert.deepEqual(settled.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled'])
        )
      })
    }
  },
  {
    name: 'race',
    ways: OUTSIDE_RACES,
    *play(stage) {
      yield* contest(stage, (ops) => race(ops))
    }
  },
  {
    name: 'any',
    ways: OUTSIDE_RACES,
    *play(stage) {
      const failing = op(function* (): Coroutine<number> {
        yield* checkpoint()
        throw new Error('not this one')
      })
      yield* contest(stage, (ops) => any([failing, ...ops]))
    }
  },
  {
    name: 'TaskLocal.run',
    *play(stage) {
      const local = new TaskLocal('local', 'outside')
      const body = stage.once('the body', function* () {
        assert.equal(local.get(), 'inside')
        yield* sleep(2)
        assert.equal(local.get(), 'inside')
      })
      bystanders(stage, 2, function* (i) {
        yield* sleep(1 + i)
        assert.equal(local.get(), 'outside')
      })
      stage.victim(function* () {
        try {
          yield* stage.attempt(() => local.run('inside', body))
        } finally {
          assert.equal(local.get(), 'outside')
        }
      })
    }
  }
]

/** Two channels into which somebody sends at the same time, and an operation that receives from one of them. */
function* contest(stage: Stage, combine: (ops: Op<number>[]) => Op<number>): Coroutine<void> {
  const channels = [new Channel<number>(), new Channel<number>()]
  const received: number[] = []
  const go = new Event()
  channels.forEach((channel, i) =>
    bystanders(stage, 1, function* () {
      yield* go.wait()
      yield* channel.send(i)
    })
  )
  bystanders(stage, 1, function* () {
    yield* checkpoint()
    go.set()
  })
  const victim = stage.victim(function* () {
    yield* stage.attempt(
      () => combine(channels.map((channel) => channel.receive())),
      (item) => received.push(item)
    )
  })
  yield* allSettled([victim])
  while (received.length < 2) received.push(yield* race(channels.map((channel) => channel.receive())))
  assert.deepEqual(received.toSorted(), [0, 1])
}

/** Items in the order in which they are taken, and whether whoever took them has said that it wants no more. */
function counted(stage: Stage, count: number): Iterable<number> {
  let taken = 0
  let closed = 0
  stage.claim(() => assert.equal(closed, taken > 0 ? 1 : closed, 'the items were not closed once'))
  return {
    *[Symbol.iterator]() {
      try {
        for (; taken < count; taken++) yield taken
      } finally {
        closed++
      }
    }
  }
}

/** A body for each item, that begins at most once and takes a while. */
function mapped(stage: Stage): (item: number) => Coroutine<number> {
  const bodies = Array.from({ length: 5 }, (_, item) => stage.once(`the body of ${item}`, () => sleeping(1 + (item % 3))))
  return function* (item) {
    yield* (bodies[item] as () => Coroutine<number>)()
    return item
  }
}

const sync: Row[] = [
  {
    name: 'map, all results',
    *play(stage) {
      stage.victim(function* () {
        yield* stage.attempt(
          () => map(counted(stage, 5), 2, mapped(stage)),
          (results) => assert.deepEqual(results, [0, 1, 2, 3, 4])
        )
      })
    }
  },
  {
    name: 'map, one by one',
    *play(stage) {
      const results: number[] = []
      stage.victim(function* () {
        yield* stage.attempt(
          () =>
            scope(async () => {
              for await (const result of map(counted(stage, 5), 2, mapped(stage))) results.push(result)
            }),
          () => assert.equal(results.length, 5)
        )
      })
      stage.claim(() => assert.deepEqual(results, [0, 1, 2, 3, 4].slice(0, results.length)))
    }
  },
  {
    name: 'Event.wait',
    *play(stage) {
      const event = new Event()
      bystanders(stage, 2, function* () {
        yield* event.wait()
      })
      bystanders(stage, 1, function* () {
        yield* checkpoint()
        event.set()
        event.clear()
      })
      const victim = stage.victim(function* () {
        yield* stage.attempt(() => event.wait())
      })
      yield* allParked()
      event.set()
      yield* allSettled([victim])
      assert.equal(event.waiting, 0)
    }
  },
  {
    name: 'Mutex.lock',
    *play(stage) {
      const mutex = new Mutex()
      const alone = exclusive(stage, 1)
      bystanders(stage, 3, () => mutex.use(alone) as unknown as Coroutine<void>)
      stage.victim(function* () {
        let lock: Permit | null = null
        try {
          yield* stage.attempt(
            () => mutex.lock(),
            (locked) => void (lock = locked)
          )
          if (lock !== null) yield* alone()
        } finally {
          ;(lock as Permit | null)?.release()
        }
      })
      stage.claim(() => assert.deepEqual([mutex.locked, mutex.owner, mutex.waiting], [false, null, 0]))
    }
  },
  {
    name: 'Mutex.use',
    *play(stage) {
      const mutex = new Mutex()
      const alone = exclusive(stage, 1)
      bystanders(stage, 3, () => mutex.use(alone) as unknown as Coroutine<void>)
      const body = stage.once('the body', alone)
      stage.victim(function* () {
        yield* stage.attempt(() => mutex.use(body))
      })
      stage.claim(() => assert.deepEqual([mutex.locked, mutex.owner, mutex.waiting], [false, null, 0]))
    }
  },
  ...[1, 3].map((permits) => ({
    name: `Semaphore.acquire, ${permits} of 3`,
    *play(stage: Stage) {
      const semaphore = new Semaphore(3)
      const few = exclusive(stage, 3)
      bystanders(stage, 4, () => semaphore.use(few) as unknown as Coroutine<void>)
      stage.victim(function* () {
        let permit: Permit | null = null
        try {
          yield* stage.attempt(
            () => semaphore.acquire(permits),
            (acquired) => void (permit = acquired)
          )
          if (permit !== null) yield* few()
        } finally {
          ;(permit as Permit | null)?.release()
        }
      })
      bystanders(stage, 1, function* () {
        const permit = yield* semaphore.acquire(2)
        yield* checkpoint()
        permit.release()
      })
      stage.claim(() => assert.deepEqual([semaphore.available, semaphore.waiting], [3, 0]))
    }
  })),
  {
    name: 'Semaphore.acquire, in front of those who want less',
    *play(stage) {
      const semaphore = new Semaphore(3)
      const held = yield* semaphore.acquire(2)
      const victim = stage.victim(function* () {
        let permit: Permit | null = null
        try {
          yield* stage.attempt(
            () => semaphore.acquire(3),
            (acquired) => void (permit = acquired)
          )
        } finally {
          ;(permit as Permit | null)?.release()
        }
      })
      bystanders(stage, 2, function* () {
        yield* semaphore.use(() => sleeping(1))
      })
      yield* sleep(5)
      if (victim.state === 'ended') assert.equal(semaphore.waiting, 0, 'they wait for one who has gone')
      held.release()
      stage.claim(() => assert.deepEqual([semaphore.available, semaphore.waiting], [3, 0]))
    }
  },
  {
    name: 'Semaphore.use',
    *play(stage) {
      const semaphore = new Semaphore(2)
      const few = exclusive(stage, 2)
      bystanders(stage, 3, () => semaphore.use(few) as unknown as Coroutine<void>)
      const body = stage.once('the body', few)
      stage.victim(function* () {
        yield* stage.attempt(() => semaphore.use(body))
      })
      stage.claim(() => assert.deepEqual([semaphore.available, semaphore.waiting], [2, 0]))
    }
  },
  {
    name: 'Limiter.acquire',
    *play(stage) {
      const limiter = new Limiter(2)
      const few = exclusive(stage, 2)
      bystanders(stage, 3, () => limiter.use(few) as unknown as Coroutine<void>)
      stage.victim(function* () {
        let permit: Permit | null = null
        try {
          yield* stage.attempt(
            () => limiter.acquire(),
            (acquired) => void (permit = acquired)
          )
          if (permit !== null) yield* few()
        } finally {
          ;(permit as Permit | null)?.release()
        }
      })
      stage.claim(() => assert.deepEqual([limiter.available, limiter.borrowed, limiter.waiting], [2, 0, 0]))
    }
  },
  {
    name: 'Limiter.use',
    *play(stage) {
      const limiter = new Limiter(1)
      const alone = exclusive(stage, 1)
      bystanders(stage, 3, () => limiter.use(alone) as unknown as Coroutine<void>)
      const body = stage.once('the body', alone)
      stage.victim(function* () {
        yield* stage.attempt(() => limiter.use(body))
      })
      stage.claim(() => assert.deepEqual([limiter.available, limiter.borrowed, limiter.waiting], [1, 0, 0]))
    }
  },
  {
    name: 'Condition.wait',
    *play(stage) {
      yield* market(stage, function* (condition, items) {
        while (items.length === 0) yield* condition.wait()
      })
    }
  },
  {
    name: 'Condition.waitFor',
    *play(stage) {
      yield* market(stage, function* (condition, items) {
        yield* condition.waitFor(() => items.length > 0)
      })
    }
  },
  {
    name: 'Barrier.wait',
    *play(stage) {
      const barrier = new Barrier(3)
      let passed = 0
      let came = false
      bystanders(stage, 2, function* (i) {
        yield* sleep(i)
        yield* barrier.wait()
        passed++
      })
      const victim = stage.victim(function* () {
        yield* stage.attempt(() =>
          op(function* () {
            yield* barrier.wait()
            passed++
            came = true
          })
        )
      })
      yield* allSettled([victim])
      if (!came) {
        yield* barrier.wait()
        passed++
      }
      stage.claim(() => assert.deepEqual([passed, barrier.waiting], [3, 0]))
    }
  },
  ...[0, 2, Infinity].flatMap((capacity): Row[] => [
    {
      name: `Channel.send, capacity ${capacity}`,
      *play(stage) {
        const channel = new Channel<string>(capacity)
        yield* sending(stage, channel, (item) => channel.send(item))
      }
    },
    {
      name: `Channel.receive, capacity ${capacity}`,
      *play(stage) {
        yield* receiving(stage, capacity, (channel, got) =>
          op(function* () {
            try {
              got(yield* channel.receive())
            } catch (error) {
              if (!(error instanceof ChannelClosedError)) throw error
            }
          })
        )
      }
    },
    {
      name: `Channel.next, capacity ${capacity}`,
      *play(stage) {
        yield* receiving(stage, capacity, (channel, got) =>
          op(function* () {
            const { done, value } = yield* channel.next()
            if (done !== true) got(value)
          })
        )
      }
    }
  ]),
  {
    name: 'Producer.send',
    *play(stage) {
      const channel = new Channel<string>(1)
      const producer = channel.producer()
      yield* sending(stage, channel, (item) => producer.send(item))
      producer.close()
    }
  },
  {
    name: 'waiting for a deferred',
    *play(stage) {
      const answer = deferred<number>()
      bystanders(stage, 2, function* () {
        assert.equal(yield* answer, 42)
      })
      bystanders(stage, 1, function* () {
        yield* sleep(1)
        answer.resolve(42)
      })
      const victim = stage.victim(function* () {
        yield* stage.attempt(
          () => answer,
          (value) => assert.equal(value, 42)
        )
      })
      yield* allSettled([victim])
      assert.ok(answer.waiters.size <= (answer.settled ? 0 : 2), 'it is still among those who wait')
    }
  }
]

/** A body that at most `most` are in at a time. */
function exclusive(stage: Stage, most: number): () => Coroutine<void> {
  let inside = 0
  stage.claim(() => assert.equal(inside, 0))
  return function* () {
    assert.ok(++inside <= most, `${inside} are inside at a time`)
    try {
      yield* checkpoint()
      yield* sleep(1)
    } finally {
      inside--
    }
  }
}

/** Items, one notification for each, and three who want them, of whom the victim wants one. */
function* market(
  stage: Stage,
  ready: (condition: Condition, items: number[]) => Coroutine<void>
): Coroutine<void> {
  const condition = new Condition()
  const items: number[] = []
  const taken: number[] = []
  const take = function* (): Coroutine<void> {
    try {
      yield* ready(condition, items)
    } finally {
      assert.equal(condition.mutex.locked, true, 'the lock was not taken again')
    }
    taken.push(items.shift() as number)
  }
  const rivals = [1, 2].map(() =>
    spawn(function* rival() {
      for (;;) yield* condition.use(take)
    })
  )
  const victim = stage.victim(function* () {
    yield* stage.attempt(() => condition.use(take))
  })
  let made = 0
  while (made < 4 || victim.state !== 'ended') {
    yield* condition.use(function* () {
      items.push(made++)
      condition.notify()
    })
    yield* checkpoint()
    // The first two at once, the others when all are waiting.
    if (made === 1) continue
    yield* allParked()
    assert.deepEqual([items.length, taken.length], [0, made], 'an item is left, and nobody was told')
  }
  assert.deepEqual(new Set(taken).size, made, 'an item was taken twice')
  for (const rival of rivals) rival.cancel()
  stage.claim(() => assert.deepEqual([condition.mutex.locked, condition.mutex.waiting, condition.waiting], [false, 0, 0]))
}

/** The victim sends; so do two others, and one receives. What was accepted arrives, in order, and nothing else. */
function* sending(stage: Stage, channel: Channel<string>, send: (item: string) => Op<void>): Coroutine<void> {
  const accepted: string[] = []
  const received: string[] = []
  const sendAll = function* (name: string, deliver: (sent: Op<void>) => Coroutine<boolean>): Coroutine<void> {
    for (let i = 0; i < 2; i++) {
      const item = `${name}${i}`
      const sent = op(function* () {
        yield* send(item)
        accepted.push(item)
      })
      if (!(yield* deliver(sent))) return
    }
  }
  const others = ['a', 'b'].map((name) =>
    spawn(sendAll, name, function* (sent) {
      yield* sent
      return true
    })
  )
  const victim = stage.victim(() => sendAll('v', (sent) => stage.attempt(() => sent)))
  bystanders(stage, 1, function* () {
    for (let next; (next = yield* channel.next()).done !== true; ) {
      received.push(next.value)
      yield* checkpoint()
    }
  })
  yield* allSettled([victim, ...others])
  channel.close()
  stage.claim(() => {
    assert.deepEqual(received.toSorted(), accepted.toSorted())
    for (const name of ['a', 'b', 'v']) {
      const own = received.filter((item) => item.startsWith(name))
      assert.deepEqual(own, ['0', '1'].slice(0, own.length).map((i) => name + i), 'items overtook each other')
    }
    assertIdle(channel, accepted.length)
  })
}

/** The victim receives two, others send five and receive the rest. */
function* receiving(
  stage: Stage,
  capacity: number,
  receive: (channel: Channel<number>, got: (item: number) => void) => Op<void>
): Coroutine<void> {
  const channel = new Channel<number>(capacity)
  const received: number[] = []
  const got = (item: number): void => void received.push(item)
  const victim = stage.victim(function* () {
    for (let i = 0; i < 2; i++) if (!(yield* stage.attempt(() => receive(channel, got)))) return
  })
  const senders = [0, 3].map((first) =>
    spawn(function* sender() {
      for (let item = first; item < first + 3; item++) {
        yield* channel.send(item)
        if (item === 3) yield* sleep(1)
      }
    })
  )
  bystanders(stage, 2, function* () {
    for (let next; (next = yield* channel.next()).done !== true; yield* checkpoint()) got(next.value)
  })
  yield* all(senders)
  yield* allParked()
  assert.equal(received.length, 6, 'an item is left, and somebody waits for one')
  channel.close()
  yield* allSettled([victim])
  stage.claim(() => {
    assert.deepEqual(received.toSorted(), [0, 1, 2, 3, 4, 5])
    assertIdle(channel, 6)
  })
}

function assertIdle<T>(channel: Channel<T>, count: number): void {
  const { peak, ...statistics } = channel.statistics()
  assert.deepEqual(statistics, { sent: count, received: count, buffered: 0, waitingSenders: 0, waitingReceivers: 0 })
  assert.ok(peak <= channel.capacity + 1)
}

const testing: Row[] = [
  {
    name: 'allParked',
    *play(stage) {
      bystanders(stage, 2, (i) => sleeping(1 + i))
      stage.victim(function* () {
        yield* stage.attempt(() => allParked())
      })
      yield* sleep(1)
      yield* allParked()
      assert.equal(now(), 1)
      yield* sleep(3)
      let moving = true
      spawn(function* () {
        for (let i = 0; i < 5; i++) yield* checkpoint()
        moving = false
      })
      yield* allParked()
      assert.equal(moving, false, 'it did not wait for a task that moves')
    }
  },
  {
    name: 'Sequencer.at',
    *play(stage) {
      const sequencer = new Sequencer()
      const order: number[] = []
      const body = (position: number): (() => Coroutine<void>) =>
        stage.once(`the body of ${position}`, function* () {
          order.push(position)
          yield* checkpoint()
          order.push(position)
        })
      const others = [3, 2, 0].map((position) => sequencer.at(position, body(position)))
      bystanders(stage, 3, function* (i) {
        yield* others[i] as Op<void>
      })
      stage.victim(function* () {
        yield* stage.attempt(() => sequencer.at(1, body(1)))
      })
      stage.claim(() => assert.deepEqual(order, order.toSorted(), 'they came out of order'))
    }
  }
]

cancelEverywhere('time', time)
cancelEverywhere('tasks', task)
cancelEverywhere('synchronisation', sync)
cancelEverywhere('the testing kit', testing)
