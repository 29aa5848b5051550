/** The life of an environment, main thread or worker: begun, used, and ended at any moment and in any way. */
import { spawn as spawnProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setImmediate as nextIteration } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFailed } from 'vitest'
import {
  checkpoint,
  ClosedError,
  connect,
  currentTask,
  listen,
  run,
  scope,
  serve,
  sleep,
  spawn,
  until,
  type Coroutine,
  type Scope
} from 'coreactor'
import { linux, openFiles } from './here.js'
import { ENDS_MS, SETTLE_MS } from './patience.js'
import { caught, deferred, pair } from './support.js'

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

interface Ending {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** Runs a fixture in a process of its own, to its end. */
function inProcess(file: string, ...args: string[]): Ending {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture(file), ...args], {
    encoding: 'utf8',
    timeout: ENDS_MS,
    killSignal: 'SIGKILL'
  })
  return { status, signal, stdout, stderr }
}

/** Plays a scene in a worker, to its end; terminates it at the message `terminateAt`. */
async function inWorker(scene: string, terminateAt?: string): Promise<{ code: number; said: string[]; errors: string[] }> {
  const worker = new Worker(fixture('scenes.mjs'), { workerData: scene })
  const said: string[] = []
  const errors: string[] = []
  worker.on('message', (line: string) => {
    said.push(line)
    if (line === terminateAt) void worker.terminate()
  })
  worker.on('error', (error: Error) => errors.push(error.message))
  const code = await new Promise<number>((resolve) => worker.once('exit', resolve))
  return { code, said, errors }
}

/** Pollers, clocks, wake-ups and threads; the sockets are counted around every test of every file. */
function held(): { anonymous: number; threads: number } {
  return {
    anonymous: openFiles().filter((target) => target.startsWith('anon_inode:')).length,
    threads: linux ? readdirSync('/proc/self/task').length : 0
  }
}

let before: ReturnType<typeof held>

beforeAll(async () => {
  // Whatever Node opens for its first worker stays open.
  await inWorker('has nothing to do')
})

beforeEach(() => {
  before = held()
})

afterEach(async () => {
  const deadline = performance.now() + SETTLE_MS
  while (performance.now() < deadline && JSON.stringify(held()) !== JSON.stringify(before)) await nextIteration()
  expect(held()).toEqual(before)
})

describe('workers', () => {
  // In a process of its own: what goes wrong here aborts the process.
  it('hazard 53: a hundred workers with listeners, connections and deadlines are terminated at random moments', () => {
    const seed = Number(process.env['COREACTOR_SEED'] ?? Date.now() % 2 ** 31)
    onTestFailed(() => console.error(`repeat with COREACTOR_SEED=${seed}`))
    const { status, signal, stdout, stderr } = inProcess('storm.mjs', String(seed))
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
    const { before, after, wrong, echoed, exitCodes } = JSON.parse(stdout) as Record<string, unknown>
    expect(after).toEqual(before)
    expect({ wrong, echoed }).toEqual({ wrong: 0, echoed: true })
    expect(exitCodes).toContain(1)
  })

  // Four workers and this thread, in ten orders: every one is first, last, and next to every other one.
  const ways = ['close', 'exit', 'throw', 'terminate', 'main'] as const
  const orders = ways.flatMap((_, i) => {
    const rotated = [...ways.slice(i), ...ways.slice(0, i)]
    return [rotated, rotated.toReversed()]
  })
  it.each(orders.map((order) => [order.join(', ')]))(
    'hazard 56: four workers and the main thread each run a server, and end in the order %s',
    async (order) => {
      const servers = new Map<string, { port: number; end(): Promise<void> }>()
      const starting = ways.map(async (way) => servers.set(way, way === 'main' ? await mainServer() : await workerServer(way)))
      await Promise.all(starting)
      const talks = new Map<string, Talk>()
      for (const [way, { port }] of servers) talks.set(way, await Talk.with(port))

      for (const way of order.split(', ')) {
        for (const talk of talks.values()) await talk.roundTrip()
        const talk = talks.get(way) as Talk
        talks.delete(way)
        await servers.get(way)?.end()
        // The connections of a thread end with it, even though the process lives on.
        await talk.ended
      }
    }
  )

  async function mainServer(): Promise<{ port: number; end(): Promise<void> }> {
    const stop = deferred()
    const port = deferred<number>()
    const ended = run(function* () {
      const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
        for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
      })
      port.resolve(server.address.port)
      yield* until(stop.promise)
      yield* server.close()
    })
    return {
      port: await port.promise,
      async end() {
        stop.resolve()
        await ended
      }
    }
  }

  async function workerServer(way: 'close' | 'exit' | 'throw' | 'terminate'): Promise<{ port: number; end(): Promise<void> }> {
    const codes = { close: 0, exit: 3, throw: 1, terminate: 1 }
    const worker = new Worker(fixture('server-worker.mjs'))
    const errors: string[] = []
    worker.on('error', (error) => errors.push(error.message))
    const [port] = (await once(worker, 'message')) as [number]
    return {
      port,
      async end() {
        const exited = new Promise((resolve) => worker.once('exit', resolve))
        if (way === 'terminate') void worker.terminate()
        else worker.postMessage(way)
        expect({ way, code: await exited, errors }).toEqual({ way, code: codes[way], errors: way === 'throw' ? ['on purpose'] : [] })
      }
    }
  }

  it.runIf(linux)('hazard 54: an addon loaded only by a worker stays mapped after the worker has ended', () => {
    expect(inProcess('worker-owns-addon.mjs')).toEqual({ status: 0, signal: null, stdout: 'before: no\nafter: yes\n', stderr: '' })
  })

  it.each(['loops in a turn', 'loops between turns'])('hazard 60: a worker that %s for ever can be terminated', async (scene) => {
    expect(await inWorker(scene, 'looping')).toEqual({ code: 1, said: ['looping'], errors: [] })
  })
})

/** A conversation with an echo server, through node:net. */
class Talk {
  readonly ended: Promise<unknown>
  private readonly socket: Socket
  private rounds = 0

  private constructor(socket: Socket) {
    this.socket = socket
    // Reset or finished: both are ends.
    socket.on('error', () => {})
    this.ended = new Promise((resolve) => socket.once('close', resolve))
  }

  static async with(port: number): Promise<Talk> {
    const socket = createConnection(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Talk(socket)
  }

  async roundTrip(): Promise<void> {
    const said = `round ${this.rounds++}`
    this.socket.write(said)
    const [heard] = (await once(this.socket, 'data')) as [Buffer]
    expect(String(heard)).toBe(said)
  }
}

describe.each([
  ['process', (scene: string) => inProcess('scenes.mjs', scene)],
  ['worker', inWorker]
] as const)('a %s', (where, play) => {
  /** How it ended and what it said, in one shape for both. */
  async function ending(scene: string): Promise<{ code: number | null; said: string[]; complaint: string }> {
    const end = await play(scene)
    if ('code' in end) return { code: end.code, said: end.said, complaint: end.errors.join('\n') }
    expect(end.signal).toBeNull()
    return { code: end.status, said: end.stdout.split('\n').filter(Boolean), complaint: end.stderr }
  }

  it.each(['exits in a turn', 'exits between turns', 'exits while the driver closes', 'uses connections while it exits'])(
    'hazard 59: %s, and its exit code is the one it gave',
    async (scene) => {
      expect(await ending(scene)).toEqual({ code: 7, said: [], complaint: '' })
    }
  )

  it('hazard 53: ends with an uncaught error and everything open', async () => {
    const { code, complaint } = await ending('throws with everything open')
    expect(code).toBe(1)
    expect(complaint).toContain('on purpose')
  })

  it('hazard 53: ends although it has opened many drivers and closed only some', async () => {
    expect(await ending('opens many drivers and closes some')).toEqual({ code: 0, said: ['opened'], complaint: '' })
  })

  it('hazard 59: ends by itself when nothing runs, although the runtime exists', async () => {
    expect(await ending('has nothing to do')).toEqual({ code: 0, said: ['hello', '0 tasks, 0 fds'], complaint: '' })
  })

  it('hazard 59: stays alive while a task is parked on a sleep, and no longer', async () => {
    expect(await ending('is parked on a sleep')).toEqual({ code: 0, said: ['slept', 'nothing left'], complaint: '' })
  })

  it('hazard 59: ends with its tasks parked once nothing keeps it alive', async () => {
    expect(await ending('leaves its tasks parked and lets go')).toEqual({ code: 0, said: ['parked at exit'], complaint: '' })
  })

  it('hazard 61: closes the driver in its own turn; no turn of it follows, and another driver opened there has its own', async () => {
    const said = ['the second driver’s turn', 'turns: 1']
    expect(await ending('closes the driver in its turn')).toEqual({ code: 0, said, complaint: '' })
  })

  it('hazard 61: closes the driver in the microtasks after a turn, with another turn asked for', async () => {
    expect(await ending('closes the driver between turns')).toEqual({ code: 0, said: ['turns: 1'], complaint: '' })
  })

  it('hazard 60: an exception in a turn is an uncaught exception, and the next turn comes', async () => {
    const { code, said, complaint } = await ending('turns throw')
    expect({ code, complaint }).toEqual({ code: 0, complaint: '' })
    const outline = said.filter((line) => !line.startsWith('microtask'))
    expect(outline).toEqual(['turn 1', 'uncaught: turn 1', 'turn 2', 'turn 3', 'turn 4', 'uncaught: turn 4', 'turn 5'])
    // None is lost, those of the turns that threw included.
    expect(said.filter((line) => line.startsWith('microtask')).toSorted()).toEqual([1, 2, 3, 4, 5].map((n) => `microtask of turn ${n}`))
  })

  it('hazard 60: an exception in a turn ends whoever does not listen', async () => {
    const { code, complaint } = await ending('a turn throws and nobody listens')
    expect(code).toBe(1)
    expect(complaint).toContain('the turn')
  })

  it('hazard 62: an uncaught error in a task of the background scope ends it, with its stack', async () => {
    const { code, complaint } = await ending('a task of the background fails')
    expect(code).toBe(1)
    expect(complaint).toContain('nobody waits for this')
    if (where === 'process') expect(complaint).toMatch(/at failingHandler .*scenes\.mjs:\d+/)
  })
})

it('hazard 59: a process stays alive while a task is parked on a listener, and no longer', async () => {
  const child = spawnProcess(process.execPath, [fixture('scenes.mjs'), 'is parked on a listener'], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'exit')
  const said: string[] = []
  try {
    for await (const line of createInterface(child.stdout)) {
      const port = /^port (\d+)$/.exec(line)?.[1]
      if (port === undefined) said.push(line)
      else expect(await text(createConnection(Number(port), '127.0.0.1'))).toBe('answer')
    }
    expect(said).toEqual(['answered', 'nothing left'])
    expect(await ended).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
  }
})

it.runIf(linux)('the addon is mapped once, whatever loads it', () => {
  // One mapping of each segment: a second copy would have its own statics.
  const text = readFileSync('/proc/self/maps', 'utf8').split('\n')
  expect(text.filter((line) => line.endsWith('/coreactor.node') && line.includes(' r-xp '))).toHaveLength(1)
})

describe('hazard 61: re-entrancy', () => {
  it('an operation awaited inside a step leaves the current task as it was', async () => {
    await run(function* () {
      const listener = yield* listen({ port: 0, host: '127.0.0.1' })
      const closedPort = listener.address.port
      yield* listener.close()
      const task = currentTask()
      // A task is an iterable, which `expect` would iterate to tell what differs.
      const isCurrent = (): boolean => currentTask() === task
      const seen: string[] = []
      // Each is driven at once, inside this step: parked, complete at once, a scope, a whole run, one that fails.
      const promises = [
        checkpoint().then(() => seen.push('checkpoint')),
        sleep(0.1).then(() => seen.push('sleep')),
        until(Promise.resolve()).then(() => seen.push('until')),
        scope(function* () {
          seen.push(`scope, ${isCurrent()}`)
        }),
        run(function* () {
          yield* sleep(0.1)
          seen.push(`run, ${isCurrent()}`)
        }),
        connect({ port: closedPort }).then(
          () => seen.push('connected'),
          () => seen.push('refused')
        )
      ]
      expect(isCurrent()).toBe(true)
      yield* until(Promise.all(promises))
      expect(isCurrent()).toBe(true)
      expect(seen.toSorted()).toEqual(['checkpoint', 'refused', 'run, false', 'scope, false', 'sleep', 'until'])
    })
  })

  const moments: [name: string, later: (act: () => void) => void][] = [
    ['in the same step', (act) => act()],
    ['in a microtask', (act) => queueMicrotask(act)],
    ['in a microtask of a microtask', (act) => queueMicrotask(() => queueMicrotask(act))],
    ['in process.nextTick', (act) => process.nextTick(act)],
    ['in setImmediate', (act) => void setImmediate(act)],
    ['in a timer', (act) => void setTimeout(act, 1)]
  ]

  describe.each(moments)('%s', (_, later) => {
    it('a parked task can be cancelled', async () => {
      await run(function* (tasks: Scope) {
        const parked = tasks.spawn(function* () {
          yield* sleep(Infinity)
        })
        yield* checkpoint()
        later(() => parked.cancel())
        yield* until(parked.then(() => {}, () => {}))
        expect(parked.state).toBe('ended')
      })
    })

    it('a connection that is being read can be closed', async () => {
      await run(function* () {
        const [client, server] = yield* pair()
        const reading = spawn(() => caught(() => server.readSome()))
        yield* checkpoint()
        later(() => void server.close().then(() => {}))
        expect(yield* reading).toBeInstanceOf(ClosedError)
        expect(server.fd).toBe(-1)
        client.reset()
      })
    })

    it('a task can be spawned', async () => {
      const ran = deferred<boolean>()
      await run(function* (tasks: Scope) {
        later(() => {
          let spawned = false
          tasks.spawn(function* () {
            ran.resolve(spawned)
          })
          spawned = true
        })
        // Never inside the call.
        expect(yield* until(ran.promise)).toBe(true)
      })
    })

    it('a run can be started', async () => {
      await run(function* () {
        const started = deferred<Promise<string>>()
        const inner = function* (): Coroutine<string> {
          yield* sleep(0.1)
          return 'inner'
        }
        later(() => started.resolve(run(inner) as never))
        expect(yield* until(started.promise)).toBe('inner')
      })
    })
  })
})
