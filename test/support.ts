/** The vocabulary the tests share. */
import { describe } from 'vitest'
import { connect, listen, run, spawn, type Body, type Connection, type Coroutine, type Op, type Scope } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'

export interface TestKernel {
  readonly name: string
  run<T>(main: Body<[Scope], T>): Promise<T>
}

/** Runs a suite on the operating system and in memory, where the clock is virtual and every socket is counted. */
export function onEveryKernel(title: string, suite: (kernel: TestKernel) => void): void {
  describe(`${title} (native)`, () => suite({ name: 'native', run: (main) => run(main) }))
  describe(`${title} (memory)`, () =>
    suite({
      name: 'memory',
      async run(main) {
        const kernel = new MemoryKernel()
        const result = await run(main, { kernel })
        if (kernel.openSockets > 0) throw new Error(`${kernel.openSockets} sockets were left open`)
        return result
      }
    }))
}

/** A promise with its handles outside. */
export function deferred<T = void>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

/** What `action` throws, or fails the test that expected it to. */
export async function thrownBy(action: () => PromiseLike<unknown>): Promise<Error & { code?: string }> {
  try {
    await action()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** Two connected ends, and the listener they met at, closed already. */
export function* pair(): Coroutine<[client: Connection, server: Connection]> {
  const listener = yield* listen({ port: 0, host: '127.0.0.1' })
  const accepting = spawn(function* () {
    return yield* listener.accept()
  })
  const client = yield* connect({ port: listener.address.port })
  const server = yield* accepting
  yield* listener.close()
  return [client, server]
}

/** Everything the peer sends, until it has finished. */
export function* readAll(connection: Pick<Connection, 'readSome'>): Coroutine<Buffer> {
  const chunks: Buffer[] = []
  for (let chunk; (chunk = yield* connection.readSome()) !== null; ) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The error that `body` ends with, as a value. */
export function* caught(body: () => Coroutine<unknown> | Op<unknown>): Coroutine<Error & { code?: string }> {
  try {
    yield* body() as Coroutine<unknown>
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** Bytes that differ along the way, so that a gap or a swap shows. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed >>> 0 || 1
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

/** A source of numbers in [0, 1) that a seed decides. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
