/** Running a program again and again, with another one of its system calls failing each time, until a run gets through without. */
import { describe, expect, it, vi } from 'vitest'
import { run, SystemError, timeout, type Coroutine } from 'coreactor'
import { FaultyKernel, MemoryKernel, type Fault, type FaultyOperation } from 'coreactor/testing'

/** Longer than anything takes that ends by itself: pauses of accepting, lingering closes. Virtual, or never reached. */
export const HANGS_MS = 15_000

/** A name that the kernel in memory knows. */
export const HOST = 'host.test'
const ADDRESSES = ['10.0.0.1', '10.0.0.2']

/** What a program does when nothing fails. `report` hears of errors that do not come out of it. */
export type Program = (report: (error: unknown) => void) => Coroutine<void>

/** How one kind of call fails, and what becomes of that. */
export interface Failure {
  readonly operation: FaultyOperation
  /** What the user is told of, unless the program gets on without the call. */
  readonly told: readonly string[]
  /** What no program notices. */
  readonly survived?: readonly string[]
  /** What the error says that has failed: one of these. */
  readonly syscalls: readonly string[]
}

/** What calls that move bytes may say at any time. */
export const RELUCTANT = ['EINTR', 'EAGAIN', 'short']

/** Whatever these say, it is done. */
export const CLOSING: readonly Failure[] = [
  { operation: 'remove', told: [], survived: ['EBADF', 'ENOENT'], syscalls: [] },
  { operation: 'closeFd', told: [], survived: ['EIO', 'EINTR'], syscalls: [] }
]

/** Every error in `errors` and inside of them. */
export function* flat(errors: readonly unknown[]): Generator<Error> {
  for (const error of errors) {
    if (error instanceof Error) yield error
    if (error instanceof AggregateError) yield* flat(error.errors as unknown[])
    else if (error instanceof Error && error.cause !== undefined) yield* flat([error.cause])
  }
}

interface Outcome {
  readonly kernel: FaultyKernel
  readonly succeeded: boolean
  /** What came out, and what was reported. */
  readonly errors: Error[]
  readonly warnings: string[]
}

/** Runs a program with one fault. Whatever becomes of it, nothing is left, and it does not hang. */
async function attempt(program: Program, operation: FaultyOperation, fault: Fault, over: MemoryKernel | undefined): Promise<Outcome> {
  const kernel = new FaultyKernel({ faults: { [operation]: fault }, over, seed: 1 })
  const errors: unknown[] = []
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  let succeeded = false
  try {
    await run(() => timeout(HANGS_MS, () => program((error) => errors.push(error))), { kernel })
    succeeded = true
  } catch (error) {
    errors.unshift(error)
  }
  const said = warnings.mock.calls.map(([warning]) => String(warning))
  warnings.mockRestore()
  const found = [...flat(errors)]
  const left = { fds: kernel.openFds, watched: kernel.watched, sockets: over?.openSockets ?? 0, jobs: over?.openJobs ?? 0 }
  const hangs = found.some(({ name }) => name === 'TimeoutError')
  expect({ ...left, hangs }, `${operation} ${JSON.stringify(fault)}`).toEqual({ fds: 0, watched: 0, sockets: 0, jobs: 0, hangs: false })
  return { kernel, succeeded, errors: found, warnings: said }
}

/** On the operating system, which takes longer, an operation fails in one way, and in those that should not show. */
export function atEveryCall(title: string, program: Program, failures: readonly Failure[], inMemory: boolean): void {
  const over = (): MemoryKernel | undefined => (inMemory ? new MemoryKernel({ names: { [HOST]: ADDRESSES } }) : undefined)

  describe(`${title} (${inMemory ? 'memory' : 'native'})`, () => {
    const cases = failures.flatMap((failure) => {
      const { operation, told, survived = [] } = failure
      return [...(inMemory ? told : told.slice(0, 1)), ...survived].map((fault) => [operation, fault, failure] as const)
    })

    it.each(cases)('%s fails with %s, at every call in turn', async (operation, fault, failure) => {
      const { syscalls, survived = [] } = failure
      for (const times of isLasting(failure, fault) ? [1, Infinity] : [1]) {
        let hit = true
        for (let nth = 1; hit; nth++) {
          const { kernel, succeeded, errors, warnings } = await attempt(program, operation, { fault, nth, times }, over())
          hit = kernel.injected() > 0
          expect(warnings.length).toBeLessThan(2)
          if (succeeded) continue
          const code = fault === 'ENOTCONN' ? 'ECONNRESET' : fault
          const told =
            errors.some((error) => error instanceof SystemError && error.code === code && syscalls.includes(error.syscall)) ||
            warnings.some((warning) => syscalls.some((syscall) => warning.includes(`pauses: ${syscall} ${fault}`)))
          if (!hit || survived.includes(fault) || !told) {
            throw new Error(`call ${nth}, ${times} times: ${errors.map((error) => error.stack).join('\n')}`)
          }
          expect(nth).toBeLessThan(1000)
        }
      }
    })
  })
}

/** Whether a program comes to an end although it fails for ever. What is survived may be waited for, but for what is done. */
function isLasting({ operation, told }: Failure, fault: string): boolean {
  if (operation === 'accept' || fault === 'EAGAIN' || fault === 'EINTR') return false
  return told.includes(fault) || fault === 'short' || CLOSING.some((closing) => closing.operation === operation)
}
