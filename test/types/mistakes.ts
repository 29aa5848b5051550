/** What must not compile. Each line that is wrong stands below an `@ts-expect-error`. Compiled, never run. */
import {
  all,
  connect,
  map,
  op,
  race,
  run,
  scope,
  serve,
  shield,
  sleep,
  spawn,
  start,
  TaskLocal,
  timeout,
  until,
  type Body,
  type Connection,
  type Coroutine,
  type Op
} from 'coreactor'
import { exactly } from './exact.js'

declare const connection: Connection
declare const count: Op<number>

/** The assertion itself: without it nothing here would say anything. */
export function assertions(anything: any): void {
  exactly<number>()(1 as number)
  // @ts-expect-error a literal is not a number
  exactly<number>()(1 as const)
  // @ts-expect-error a union is not one of its members
  exactly<number>()(1 as number | undefined)
  // @ts-expect-error any is not everything
  exactly<number>()(anything)
}

export function* withoutStar(): Coroutine<void> {
  const chunk = connection.readSome()
  // @ts-expect-error an operation is not its result
  const length: number = chunk.length
  // @ts-expect-error an operation is no number
  const sum: number = count + 1
  // @ts-expect-error an operation is no string or buffer
  yield* connection.write(connection.readSome())
  // @ts-expect-error a generator is no operation
  yield* all([forever()])
  // @ts-expect-error a promise is no operation
  yield* race([Promise.resolve(1)])
  // @ts-expect-error a promise is not iterable
  yield* Promise.resolve(sum + length)
}

export function withBareYield(): void {
  // @ts-expect-error
  void run(function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  spawn(function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  scope(function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  timeout(1, function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  shield(function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  op(function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  map([1], 1, function* () {
    yield sleep(1)
  })
  // @ts-expect-error
  serve({ port: 1 }, function* (connection) {
    const chunk = yield connection.readSome()
    yield* connection.write(chunk as Buffer)
  })
  // @ts-expect-error a promise is yielded
  spawn(function* () {
    yield Promise.resolve()
  })
  // @ts-expect-error one of several is wrong
  spawn(function* () {
    yield* sleep(1)
    yield sleep(1)
  })
}

export function* withBareYieldAndItsType(): Coroutine<void> {
  // @ts-expect-error an operation is not what a coroutine yields
  yield sleep(1)
}

export function bodies(): void {
  // @ts-expect-error a body waits for something
  spawn(() => 1)
  // @ts-expect-error a body is a function
  spawn(sleep(1))
  // @ts-expect-error a body is a function, not the coroutine that it returns
  spawn(forever())
  // @ts-expect-error
  void run(forever())
  // @ts-expect-error a handler gives nothing
  serve({ port: 1 }, function* () {
    return 1
  })
  // @ts-expect-error until takes a promise
  until(1)
}

export function args(): void {
  spawn(greet, 'name', 1)
  // @ts-expect-error one is missing
  spawn(greet, 'name')
  // @ts-expect-error one is wrong
  spawn(greet, 'name', '1')
  // @ts-expect-error one is too many
  spawn(greet, 'name', 1, 2)
  // @ts-expect-error one is missing
  spawn(greetAsync, 'name')
  start(function* (started: (port: number) => void) {
    // @ts-expect-error what is reported has another type
    started('7000')
  })
  // @ts-expect-error one is missing
  start(function* (started: (port: number) => void, port: number) {
    started(port)
  })
  // @ts-expect-error the handler is given a connection
  serve({ port: 1 }, function* (text: string) {
    yield* connection.write(text)
  })
  // @ts-expect-error
  connect({ port: '1' })
  // @ts-expect-error
  sleep('1')
  // @ts-expect-error
  new TaskLocal('name', 1).set('2')
}

export function assignments(): void {
  const taking: Body<[string], number> = function* (text) {
    return text.length
  }
  void taking
  // @ts-expect-error another result
  const wrong: Body<[string], number> = async (text) => text
  void wrong
  // @ts-expect-error an operation of something else
  const other: Op<string> = count
  void other
}

function* forever(): Coroutine<number> {
  yield* sleep(Infinity)
  return 1
}

function* greet(name: string, times: number): Coroutine<string> {
  for (let i = 0; i < times; i++) yield* connection.write(name)
  return name
}

async function greetAsync(name: string, times: number): Promise<string> {
  for (let i = 0; i < times; i++) await connection.write(name)
  return name
}
