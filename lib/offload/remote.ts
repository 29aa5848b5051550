/** A thread or a process as its pool sees it: something that takes messages, and ends. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads'
import type { FromWorker, ThreadData, ToWorker } from './messages.js'
import type { Transferable } from './values.js'

/** The script is compiled: from its source, as the tests load this file, it is the one that was built of it. */
const SCRIPT = new URL(import.meta.url.endsWith('.ts') ? '../../dist/offload/worker.js' : './worker.js', import.meta.url)

export interface RemoteOptions {
  /** MiB of the JavaScript heap; undefined for Node's own limit. */
  readonly memory: number | undefined
  readonly execArgv: readonly string[] | undefined
  readonly env: NodeJS.ProcessEnv | undefined
  readonly name: string
}

/** How a worker has ended: with an exit code or by a signal, and the error that nobody in it had caught. */
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
  readonly error: unknown
}

export interface RemoteEvents {
  message(message: FromWorker): void
  /** Something came that cannot be read. */
  garbled(error: Error): void
  ended(ending: Ending): void
}

export interface Remote {
  /** `thread 3`, `process 4711`. */
  readonly label: string
  /** Throws for what cannot be cloned, having sent nothing. */
  post(message: ToWorker, transfer: readonly Transferable[]): void
  /** For a job that takes in no message. */
  cancelled(id: number): void
  /** Ends it in the middle of whatever it does. */
  kill(): void
}

/** None of what it makes keeps the process alive: the task that waits does. */
export function startThread(options: RemoteOptions, events: RemoteEvents): Remote {
  const { port1: port, port2 } = new MessageChannel()
  const cancelled = new Int32Array(new SharedArrayBuffer(4))
  const workerData: ThreadData = { coreactorPort: port2, cancelled }
  const { memory, execArgv, env, name } = options
  const worker = new Worker(SCRIPT, {
    name,
    workerData,
    transferList: [port2],
    ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
    ...(env === undefined ? {} : { env }),
    ...(memory === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: memory } })
  })
  let error: unknown
  port.on('message', (message: FromWorker) => events.message(message))
  port.on('messageerror', (garbled) => events.garbled(garbled))
  worker.once('error', (thrown) => {
    error = thrown
  })
  worker.once('exit', (code) => {
    drain(port, events)
    port.close()
    events.ended({ code, signal: null, error })
  })
  port.unref()
  worker.unref()
  return {
    label: `thread ${worker.threadId}`,
    post: (message, transfer) => port.postMessage(message, transfer as never),
    cancelled: (id) => void Atomics.store(cancelled, 0, id),
    kill: () => void worker.terminate()
  }
}

/** What it had said before it ended is said before its end is. */
function drain(port: MessagePort, events: RemoteEvents): void {
  for (let received; (received = receiveMessageOnPort(port)) !== undefined; ) events.message(received.message as FromWorker)
}

export function startProcess(options: RemoteOptions, events: RemoteEvents): Remote {
  const { memory, execArgv = inherited(process.execArgv), env } = options
  const child = fork(fileURLToPath(SCRIPT), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: memory === undefined ? [...execArgv] : [...execArgv, `--max-old-space-size=${memory}`],
    ...(env === undefined ? {} : { env })
  })
  let error: unknown
  let exit: { code: number | null; signal: string | null } | null = null
  /** What it had said comes over the channel, and may come after the news of its end. */
  const ended = (): void => {
    if (exit === null || (child.connected && child.pid !== undefined)) return
    children.delete(child)
    events.ended({ ...exit, error })
  }
  child.on('message', (message) => events.message(message as FromWorker))
  // It could not be started, or not be sent to: then it has ended, or is about to.
  child.on('error', (thrown) => {
    error = thrown
    if (child.pid !== undefined) return
    exit = { code: null, signal: null }
    ended()
  })
  child.once('exit', (code, signal) => {
    exit = { code, signal }
    ended()
  })
  child.once('disconnect', ended)
  child.unref()
  child.channel?.unref()
  add(child)
  return {
    label: `process ${child.pid}`,
    post: (message) => void child.send(message),
    cancelled: () => {},
    kill: () => void child.kill('SIGKILL')
  }
}

/** A second debugger at the same port would be an error. */
function inherited(execArgv: readonly string[]): string[] {
  return execArgv.filter((flag) => !flag.startsWith('--inspect'))
}

/** Those that have not ended. */
const children = new Set<ChildProcess>()
let watching = false

/** A process that computes would not notice that this one has ended. */
function add(child: ChildProcess): void {
  children.add(child)
  if (watching) return
  watching = true
  process.once('exit', () => {
    for (const each of children) each.kill('SIGKILL')
  })
}
