/** An example as a process of its own, as a service manager starts it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './documents.js'

/** What building takes on a machine that is busy. */
export const BUILD_MS = 180_000

/** Compiles the examples, if that is needed. */
export async function buildExamples(): Promise<void> {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/setup.mjs'), '--examples'])
}

export interface ChildService {
  readonly pid: number
  readonly port: number
  /** 0 if it has none. */
  readonly agentPort: number
  output(): string
  kill(signal: NodeJS.Signals): void
  /** The code or the signal that it has ended with. */
  ended(): Promise<number | string>
}

/** Starts it, with more in its environment, and waits until it says that it is ready. */
export async function startService(
  args: readonly string[],
  env: Record<string, string> = {},
  example = 'echo-service'
): Promise<ChildService> {
  const child = spawn(process.execPath, [join(root, `out/examples/${example}.js`), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const exit = once(child, 'close') as Promise<[code: number | null, signal: string | null]>
  let output = ''
  const ready = new Promise<RegExpExecArray>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        const said = /Ready on \S+:(\d+)(?:, agent on (\d+))?\./.exec(output)
        if (said !== null) resolve(said)
      })
    }
    void exit.then(() => reject(new Error(`the service has ended:\n${output}`)))
  })
  const [, port, agentPort = '0'] = await ready
  return {
    pid: child.pid as number,
    port: Number(port),
    agentPort: Number(agentPort),
    output: () => output,
    kill: (signal) => void child.kill(signal),
    async ended() {
      const [code, signal] = await exit
      return code ?? String(signal)
    }
  }
}
