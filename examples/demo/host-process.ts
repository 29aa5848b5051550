/** A server's process, seen from outside: start it, ask it, stop it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Question, Sample, ServerName } from './messages.js'

const PROGRAM = fileURLToPath(new URL('host.js', import.meta.url))
/** How long it may take to stop before it is killed. */
const PATIENCE_MS = 3000

export class HostProcess {
  readonly port: number
  readonly #process: ChildProcess
  #asked: Promise<unknown> = Promise.resolve()

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.port = port
  }

  /** Resolves when the server listens. */
  static async start(name: ServerName): Promise<HostProcess> {
    const process = fork(PROGRAM, [name], { execArgv: ['--expose-gc'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const { port } = await answer(process)
    return new HostProcess(process, port)
  }

  /** Questions wait for each other: answers do not say what was asked. */
  ask(question: Exclude<Question, 'stop'>): Promise<Sample> {
    const asked = this.#asked.then(() => {
      this.#process.send(question)
      return answer(this.#process)
    })
    this.#asked = asked.catch(() => {})
    return asked
  }

  async stop(): Promise<void> {
    const host = this.#process
    if (host.exitCode !== null || host.signalCode !== null) return
    const ended = once(host, 'exit')
    if (host.connected) host.send('stop' satisfies Question)
    const impatience = setTimeout(() => host.kill('SIGKILL'), PATIENCE_MS)
    await ended
    clearTimeout(impatience)
  }
}

async function answer(host: ChildProcess): Promise<Sample> {
  const given = new AbortController()
  try {
    return await Promise.race([
      once(host, 'message', { signal: given.signal }).then(([sample]) => sample as Sample),
      once(host, 'exit', { signal: given.signal }).then(([code, signal]) => {
        throw new Error(`the server's process has ended: ${String(signal ?? `exit code ${code}`)}`)
      })
    ])
  } finally {
    given.abort()
  }
}
