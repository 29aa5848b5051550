/** The vocabulary the tests share. */
import { describe } from 'vitest'
import { run, type Scope, type Body } from 'coreactor'
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
