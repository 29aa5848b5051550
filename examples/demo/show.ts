/**
 * The demo: the same load on the RESP server over coreactor and on the one over `node:net`, then both side by side.
 * Started by `scripts/demo.mjs`.
 */
import { HostProcess } from './host-process.js'
import { LoadThread } from './load-thread.js'
import type { Sample, ServerName } from './messages.js'
import { StatusLine } from './status-line.js'
import { formatBytes, formatCount, formatMilliseconds, printTable, type Row } from './text.js'

export interface ShowOptions {
  connections: number
  /** Of load on the first server; the second one gets half of it. */
  seconds: number
  /** Stops everything. `show` rejects with its reason, and leaves nothing behind. */
  signal: AbortSignal
}

interface Result {
  perSecond: number
  p50: number
  p99: number
  /** Microseconds per request. */
  cpu: number
  userCpu: number
  /** Bytes. */
  perConnection: number
  perCoroutine: number
}

/** What the clients ask for. It leaves a core of 2020 half idle, so that latencies are the server's and no queue's. */
const REQUESTS_PER_SECOND = 30_000
const SAMPLE_MS = 500
/** Files that are open beside the connections. */
const OTHER_FILES = 100
/** With fewer connections than this, what memory they take is lost in that of the process. */
const ENOUGH_TO_MEASURE = 1000

export async function show({ connections: wanted, seconds, signal }: ShowOptions): Promise<void> {
  const connections = Math.min(wanted, openFileLimit() - OTHER_FILES)
  if (connections < wanted) {
    const files = formatCount(connections + OTHER_FILES)
    console.log(`A process may open ${files} files here (ulimit -n): ${formatCount(connections)} connections, no more.`)
  }
  const first = await measure('coreactor', connections, seconds, signal)
  const second = await measure('node:net', connections, Math.max(1, seconds / 2), signal)
  printResults(first, second, connections)
}

/** One server in a process of its own, the load in a thread of ours. */
async function measure(name: ServerName, connections: number, seconds: number, signal: AbortSignal): Promise<Result> {
  const line = new StatusLine(process.stdout)
  signal.throwIfAborted()
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  aborted.catch(() => {})
  const unlessAborted = <T>(promise: Promise<T>): Promise<T> => Promise.race([promise, aborted])

  console.log(`${formatCount(connections)} connections to the RESP server over ${name}, ${seconds} s of requests ...`)
  const host = await HostProcess.start(name)
  let load: LoadThread | null = null
  try {
    const idle = await unlessAborted(host.ask('collect garbage'))
    let latest = idle
    const order = { port: host.port, connections, seconds, perSecond: REQUESTS_PER_SECOND }
    load = new LoadThread(order, ({ perSecond, p99 }) => line.show(statusOf(latest, perSecond, p99)))
    await unlessAborted(load.opened())
    const open = (latest = await unlessAborted(host.ask('collect garbage')))
    const sampling = setInterval(() => {
      // A host that is gone is noticed below.
      host.ask('sample').then((sample) => (latest = sample), () => {})
    }, SAMPLE_MS)
    let warm = Promise.resolve(open)
    const running = load.run(() => (warm = host.ask('sample')))
    const finished = await unlessAborted(running).finally(() => clearInterval(sampling))
    const before = await unlessAborted(warm)
    const after = await unlessAborted(host.ask('sample'))
    const { parkedBytes } = name === 'coreactor' ? await unlessAborted(host.ask('park coroutines')) : after
    const requests = after.requests - before.requests
    return {
      ...finished,
      userCpu: (after.userCpu - before.userCpu) / requests,
      cpu: (after.userCpu + after.systemCpu - before.userCpu - before.systemCpu) / requests,
      perConnection: (open.residentBytes - idle.residentBytes) / connections,
      perCoroutine: parkedBytes
    }
  } finally {
    line.clear()
    await load?.stop()
    await host.stop()
  }
}

function statusOf(server: Sample, perSecond: number, p99: number): string {
  const parts = [`${formatCount(server.connections)} connections`]
  if (server.coroutines > 0) parts.push(`${formatCount(server.coroutines)} coroutines`)
  parts.push(
    `${formatCount(perSecond)} requests/s`,
    `99 % within ${formatMilliseconds(p99)}`,
    `loop delay ${formatMilliseconds(server.loopDelay)}`,
    `${formatBytes(server.residentBytes)} resident`
  )
  return '  ' + parts.join(' | ')
}

function printResults(first: Result, second: Result, connections: number): void {
  const both = (title: string, value: (result: Result) => string): Row => [title, value(first), value(second)]
  const perConnection = ({ perConnection }: Result): string =>
    connections < ENOUGH_TO_MEASURE ? '-' : formatBytes(perConnection)
  printTable([
    ['', 'coreactor', 'node:net'],
    both('requests answered per second', ({ perSecond }) => formatCount(perSecond)),
    both('CPU per request', ({ cpu }) => `${cpu.toFixed(1)} us`),
    both('  of which outside the kernel', ({ userCpu }) => `${userCpu.toFixed(1)} us`),
    both('half of the replies within', ({ p50 }) => formatMilliseconds(p50)),
    both('99 % of the replies within', ({ p99 }) => formatMilliseconds(p99)),
    both('memory per idle connection', perConnection),
    both('heap per parked coroutine', ({ perCoroutine }) => (perCoroutine > 0 ? formatBytes(perCoroutine) : '-'))
  ])
  console.log("CPU and memory are those of each server's whole process, which does nothing else. The clients,")
  const asked = formatCount(REQUESTS_PER_SECOND)
  console.log(`coroutines in a thread of the demo, ask both for ${asked} requests a second. Warming up is not counted.`)
  if (Math.min(first.perSecond, second.perSecond) < 0.9 * REQUESTS_PER_SECOND) {
    console.log('This machine could not do that many just now, so requests have waited: the latencies show it.')
  }
}

/** Node has raised the soft limit to the hard one when it started. */
function openFileLimit(): number {
  const { userLimits } = process.report!.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}
