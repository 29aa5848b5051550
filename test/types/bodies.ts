/** What may be a body: generators, async functions, functions that return operations, and methods. Compiled, never run. */
import { currentTask, run, scope, sleep, spawn, type Body, type Connection, type Coroutine, type Op, type Scope, type Task } from 'coreactor'
import { exactly } from './exact.js'

declare const connection: Connection

class Session {
  private readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
  }

  *run(limit: number): Coroutine<number> {
    for (let i = 0; i < limit; i++) yield* this.connection.write('line\n')
    return limit
  }

  async runAsync(limit: number): Promise<number> {
    for (let i = 0; i < limit; i++) await this.connection.write('line\n')
    return limit
  }

  close(): Op<void> {
    return this.connection.close()
  }

  /** Without a return type: what is inferred is a body as well. */
  *inferred(name: string) {
    yield* sleep(1)
    return name
  }
}

export function* methods(): Coroutine<void> {
  const session = new Session(connection)
  exactly<Task<number>>()(spawn(session.run.bind(session), 3))
  exactly<Task<number>>()(spawn(session.runAsync.bind(session), 3))
  exactly<Task<void>>()(spawn(session.close.bind(session)))
  exactly<Task<number>>()(spawn(() => session.runAsync(3)))
  exactly<Task<string>>()(spawn(session.inferred.bind(session), 'name'))
  exactly<number>()(yield* session.run(3))
  exactly<string>()(yield* session.inferred('name'))
  exactly<number>()(yield* scope(() => session.run(3)))
}

/** Takes what `spawn` takes, and gives what it gives. */
export function spawnNamed<A extends unknown[], T>(name: string, body: Body<A, T>, ...args: A): Task<T> {
  const task = spawn(body, ...args)
  task.name = name
  return task
}

export function* passedOn(): Coroutine<void> {
  exactly<Task<string>>()(spawnNamed('a', function* (text: string) { return text }, 'b'))
  exactly<Task<number>>()(spawnNamed('a', async (first: number, second: number) => first + second, 1, 2))
  exactly<Task | null>()(currentTask())
}

export async function mains(): Promise<void> {
  exactly<string>()(await run(function* () { return 'text' }))
  exactly<string>()(await run(async () => 'text'))
  exactly<void>()(await run(() => sleep(1)))
  exactly<string>()(await run(main))
}

function* main(root: Scope): Coroutine<string> {
  return yield* root.spawn(function* () { return 'text' })
}
