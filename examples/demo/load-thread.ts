/** The load's thread, seen from outside: start it, follow it, stop it. */
import { Worker } from 'node:worker_threads'
import type { LoadCommand, LoadOrder, LoadReport } from './messages.js'

const PATIENCE_MS = 3000

type Kind = LoadReport['kind']

export class LoadThread {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  /** Rejects with the thread's error, or because it has ended. */
  readonly #failed: Promise<never>

  constructor(order: LoadOrder, onReport: (report: Extract<LoadReport, { kind: 'running' }>) => void) {
    const worker = new Worker(new URL('load.js', import.meta.url), { workerData: order })
    this.#worker = worker
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()))
    this.#failed = new Promise((_resolve, reject) => {
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error("the load's thread has ended")))
    })
    // Nobody may be waiting when it fails; whoever waits next is told.
    this.#failed.catch(() => {})
    worker.on('message', (report: LoadReport) => {
      if (report.kind === 'running') onReport(report)
    })
  }

  /** Resolves when all connections are open and have been used once. */
  async opened(): Promise<void> {
    await this.#report('opened')
  }

  /** Runs the requests. `onWarm` is called when they begin to count. */
  async run(onWarm: () => void): Promise<Extract<LoadReport, { kind: 'finished' }>> {
    this.#report('warm').then(onWarm, () => {})
    this.#tell('go')
    return this.#report('finished')
  }

  /** Resets the connections. */
  async stop(): Promise<void> {
    this.#tell('stop')
    const impatience = setTimeout(() => this.#worker.terminate(), PATIENCE_MS)
    await this.#exited
    clearTimeout(impatience)
  }

  #tell(command: LoadCommand): void {
    this.#worker.postMessage(command)
  }

  #report<K extends Kind>(kind: K): Promise<Extract<LoadReport, { kind: K }>> {
    const reported = new Promise<Extract<LoadReport, { kind: K }>>((resolve) => {
      this.#worker.on('message', (report: LoadReport) => {
        if (report.kind === kind) resolve(report as Extract<LoadReport, { kind: K }>)
      })
    })
    return Promise.race([reported, this.#failed])
  }
}
