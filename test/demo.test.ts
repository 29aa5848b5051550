/** The demo as it is started by `npm run demo`, only smaller. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const DEMO = fileURLToPath(new URL('../scripts/demo.mjs', import.meta.url))
/** It builds whatever is out of date before it begins. */
const TIMEOUT_MS = 120_000

interface Demo {
  process: ChildProcess
  output(): string
  /** Resolves when the output has `text`. */
  saying(text: string): Promise<void>
  ended(): Promise<{ code: number | null; signal: string | null }>
}

function startDemo(...options: string[]): Demo {
  const demo = spawn(process.execPath, [DEMO, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = once(demo, 'close')
  let output = ''
  let notify = (): void => {}
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      notify()
    })
  }
  return {
    process: demo,
    output: () => output,
    saying: (text) =>
      new Promise((resolve, reject) => {
        notify = () => output.includes(text) && resolve()
        notify()
        void exit.then(() => reject(new Error(`the demo has ended without saying ${text}:\n${output}`)))
      }),
    async ended() {
      const [code, signal] = (await exit) as [number | null, string | null]
      return { code, signal }
    }
  }
}

/** Processes that were started by the one with this id. Linux only; elsewhere nothing is found. */
function childrenOf(parent: number): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && parentOf(pid) === parent)
  } catch {
    return []
  }
}

function parentOf(pid: number): number {
  try {
    // pid (name) state ppid: the name may have blanks and parentheses in it.
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1])
  } catch {
    return 0
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('npm run demo', () => {
  it('ends with both servers side by side', async () => {
    const demo = startDemo('--connections', '200', '--seconds', '1')
    expect(await demo.ended(), demo.output()).toEqual({ code: 0, signal: null })
    expect(demo.output()).toMatch(/200 connections \| 203 coroutines \| [\d,]+ requests\/s/)
    expect(demo.output()).toMatch(/coreactor +node:net\n/)
    for (const row of ['requests answered per second', 'CPU per request', '99 % of the replies within']) {
      expect(demo.output()).toMatch(new RegExp(`${row} +[\\d.,]+( us| ms)? +[\\d.,]+`))
    }
    expect(demo.output()).toMatch(/heap per parked coroutine +\d+ bytes +-\n/)
    expect(demo.output()).not.toMatch(/error|warning/i)
  }, TIMEOUT_MS)

  it.each(['SIGINT', 'SIGTERM'] as const)('stops when it is told to, leaving nothing behind (%s)', async (signal) => {
    const demo = startDemo('--connections', '200', '--seconds', '60')
    await demo.saying('requests/s')
    const servers = childrenOf(demo.process.pid!)
    demo.process.kill(signal)
    expect(await demo.ended()).toEqual({ code: 130, signal: null })
    expect(demo.output()).toMatch(/\nStopped\.\n$/)
    expect(demo.output()).not.toMatch(/ at |error/i)
    expect(servers.filter(isRunning)).toEqual([])
  }, TIMEOUT_MS)

  it('stops while it is still opening connections', async () => {
    const demo = startDemo('--connections', '3000', '--seconds', '60')
    await demo.saying('3,000 connections')
    demo.process.kill('SIGINT')
    expect(await demo.ended()).toEqual({ code: 130, signal: null })
    expect(demo.output()).toMatch(/\nStopped\.\n$/)
  }, TIMEOUT_MS)

  it('refuses options that make no sense', async () => {
    const demo = startDemo('--connections', 'many')
    expect(await demo.ended()).toEqual({ code: 2, signal: null })
    expect(demo.output()).toBe('--connections must be a positive integer, --seconds a positive number\n')
  })
})
