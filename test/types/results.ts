/** What `yield*` and `await` of an operation give. Compiled, never run. */
import {
  all,
  allSettled,
  any,
  Channel,
  checkpoint,
  connect,
  deferred,
  interval,
  listen,
  map,
  moveOnAfter,
  Mutex,
  op,
  race,
  run,
  scope,
  Semaphore,
  serve,
  shield,
  sleep,
  spawn,
  spawnBackground,
  start,
  TaskLocal,
  timeout,
  until,
  type Connection,
  type Coroutine,
  type DeadlineScope,
  type Listener,
  type Mapped,
  type Op,
  type Permit,
  type Scope,
  type Server,
  type Settled,
  type Task
} from 'coreactor'
import { allParked, Sequencer } from 'coreactor/testing'
import { exactly } from './exact.js'

declare const connection: Connection
declare const text: Op<string>
declare const count: Op<number>

export function* streams(): Coroutine<void> {
  exactly<Buffer | null>()(yield* connection.readSome())
  exactly<number>()(yield* connection.read(Buffer.alloc(1)))
  exactly<number | null>()(connection.tryRead(Buffer.alloc(1)))
  exactly<void>()(yield* connection.write('text'))
  exactly<void>()(yield* connection.close())
  exactly<Connection>()(yield* connect({ port: 1 }))
  exactly<Server>()(yield* serve({ port: 1 }, function* () {}))
  const listener = yield* listen({ port: 1 })
  exactly<Listener>()(listener)
  exactly<Connection>()(yield* listener.accept())
}

export function* scopes(): Coroutine<void> {
  exactly<void>()(yield* sleep(1))
  exactly<void>()(yield* checkpoint())
  exactly<string>()(yield* until(Promise.resolve('text')))
  exactly<number>()(yield* scope(function* (tasks) {
    exactly<Scope>()(tasks)
    return yield* count
  }))
  exactly<number>()(yield* timeout(1, function* (within) {
    exactly<DeadlineScope>()(within)
    return yield* count
  }))
  exactly<Buffer | null>()(yield* timeout(1, () => connection.readSome()))
  exactly<string | undefined>()(yield* moveOnAfter(1, () => text))
  exactly<string>()(yield* shield(async () => await text))
  exactly<boolean>()(yield* op(function* () {
    return (yield* count) > 1
  }))
}

export function* tasks(): Coroutine<void> {
  const task = spawn(function* () {
    return yield* text
  })
  exactly<Task<string>>()(task)
  exactly<string>()(yield* task)
  exactly<string>()(task.result())
  exactly<Task<number>>()(spawn(async () => await count))
  exactly<Task<number>>()(spawn(() => count))
  exactly<Task<void>>()(spawnBackground(function* () {}))
  exactly<number>()(yield* start(function* (started: (port: number) => void) {
    started(1)
  }))
  exactly<string>()(yield* start(function* (started: (name: string) => void, first: string) {
    started(first)
    return 7
  }, 'a'))
}

export function* several(): Coroutine<void> {
  exactly<[string, number]>()(yield* all([text, count]))
  exactly<[Buffer | null, string]>()(yield* all([connection.readSome(), spawn(() => text)]))
  exactly<number[]>()(yield* all([1, 2].map(() => count)))
  exactly<[]>()(yield* all([]))
  exactly<[Settled<string>, Settled<number>]>()(yield* allSettled([text, count]))
  exactly<string | number>()(yield* race([text, count]))
  exactly<Buffer | void | null>()(yield* race([connection.readSome(), sleep(1)]))
  exactly<string | number>()(yield* any([text, count]))
  exactly<Mapped<number, string>>()(map([1], 1, function* (item) {
    exactly<number>()(item)
    return yield* text
  }))
  exactly<string[]>()(yield* map(new Set(['a']), 1, async (item, index) => {
    exactly<number>()(index)
    return item
  }))
}

export function* synchronisation(): Coroutine<void> {
  exactly<Permit>()(yield* new Mutex().lock())
  exactly<Permit>()(yield* new Semaphore(1).acquire())
  exactly<string>()(yield* new Mutex().use(() => text))
  const channel = new Channel<string>()
  exactly<string>()(yield* channel.receive())
  exactly<string | undefined>()(channel.tryReceive())
  const next = yield* channel.next()
  if (next.done === true) exactly<undefined>()(next.value)
  else exactly<string>()(next.value)
  exactly<number>()(yield* deferred<number>())
  exactly<void>()(yield* deferred())
  exactly<number>()(yield* interval(1).tick())
  const local = new TaskLocal('name', 1 as number | null)
  exactly<number | null>()(local.get())
  exactly<string>()(yield* local.run(2, () => text))
}

export function* testing(): Coroutine<void> {
  exactly<void>()(yield* allParked())
  exactly<void>()(yield* new Sequencer().at(0))
  exactly<string>()(yield* new Sequencer().at(0, () => text))
}

export async function awaited(): Promise<void> {
  exactly<Buffer | null>()(await connection.readSome())
  exactly<[string, number]>()(await all([text, count]))
  exactly<number>()(await run(() => count))
  exactly<number>()(await run(async (root) => {
    exactly<Scope>()(root)
    return 1
  }))
  for await (const each of map([1], 1, () => text)) exactly<string>()(each)
  for await (const each of connection) exactly<Buffer>()(each)
}
