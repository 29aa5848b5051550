/**
 * A server as a service manager and a load balancer would have it: it says when it is ready and that it is alive, learns
 * from the PROXY protocol who its clients are, and stops on SIGTERM without breaking anything off.
 *
 *   npm run example echo-service -- --port 7000
 *
 * Each line is sent back behind the address of the client: `192.0.2.1 hello`. With systemd, `Type=notify`; behind
 * HAProxy, `server one 127.0.0.1:7000 send-proxy-v2 check agent-check agent-port 7001` with `--agent-port 7001`.
 */
import { parseArgs } from 'node:util'
import {
  Event,
  LimitError,
  moveOnAfter,
  notify,
  run,
  serve,
  sleep,
  spawn,
  untilSignal,
  watchdog,
  type Connection,
  type Coroutine,
  type Op,
  type Server
} from 'coreactor'
import { isMain, parsePort } from './resp/cli.js'

/** Who may say for whom it connects. */
const PROXIES = ['127.0.0.0/8', '::1']
const LINE_LIMIT = 4096
/** How long clients may go on when it stops. */
const GRACE_MS = 5000
/** How long a balancer may take to ask the agent, which has told it then to send nobody any more. */
const NOTICE_MS = 2000
/** And how long what it had sent before may take to arrive. */
const ARRIVAL_MS = 100

/** Sends each line back behind the address of the client. Stopping, it answers what has been asked, and ends. */
function* echo(connection: Connection): Coroutine<void> {
  const who = connection.remoteAddress?.address ?? 'somebody'
  try {
    for (let line; (line = yield* connection.readLine({ limit: LINE_LIMIT })) !== null; ) {
      yield* connection.write(`${who} ${line}\n`)
    }
  } catch (error) {
    if (!(error instanceof LimitError)) throw error
    yield* connection.write(`${who} says too much\n`)
  }
}

/** HAProxy's agent-check: a connection is an answer. `told` is set once it is that nobody is to be sent here any more. */
function agent(port: number, host: string, stopping: Event, told: Event): Op<Server> {
  return serve({ port, host }, function* answer(connection) {
    const drain = stopping.isSet
    yield* connection.write(drain ? 'drain\n' : 'up ready\n')
    yield* connection.flush()
    if (drain) told.set()
  })
}

function* main(): Coroutine<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '7000' },
      host: { type: 'string', default: '127.0.0.1' },
      'agent-port': { type: 'string' }
    }
  })
  const { host } = values
  const stopping = new Event()
  const told = new Event()
  const stop = spawn(() => untilSignal('SIGTERM', 'SIGINT'))

  const server = yield* serve({ port: parsePort(values.port), host, proxyProtocol: { from: PROXIES, optional: true } }, echo)
  const agentPort = values['agent-port']
  const agents = agentPort === undefined ? null : yield* agent(parsePort(agentPort), host, stopping, told)
  const alive = spawn(watchdog)
  yield* notify({ READY: 1, STATUS: `listening on ${host}:${server.address.port}` })
  console.log(`Ready on ${host}:${server.address.port}${agents === null ? '' : `, agent on ${agents.address.port}`}. Ctrl-C stops it.`)

  const signal = yield* stop
  stopping.set()
  yield* notify({ STOPPING: 1, STATUS: `stopping after ${signal}` })
  if (agents !== null && (yield* moveOnAfter(NOTICE_MS, () => noticed(told))) === true) yield* sleep(ARRIVAL_MS)
  yield* server.close({ grace: GRACE_MS })
  if (agents !== null) yield* agents.close()
  alive.cancel()
  console.log('Stopped.')
}

function* noticed(told: Event): Coroutine<true> {
  yield* told.wait()
  return true
}

if (isMain(import.meta.url)) await run(main)
