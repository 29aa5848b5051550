/** Servers behind a real HAProxy, from its Debian package. */
import { execFileSync, spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectOverNode, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, Event, run, serve, until, type Connection, type Coroutine, type ProxyInfo } from 'coreactor'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BUILD_MS, buildExamples, startService } from './child-service.js'
import { readAll } from './support.js'

const version = ((): string | null => {
  try {
    return execFileSync('haproxy', ['-v'], { encoding: 'utf8' })
  } catch {
    return null
  }
})()

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

interface Proxy {
  readonly port: number
  /** What `show stat` says about the servers: their names, and their states. */
  states(): Promise<Record<string, string>>
  /** Waits until they are as given. */
  until(states: Record<string, string>): Promise<void>
}

/** Starts HAProxy in TCP mode before these servers; each is a line of its configuration, without its name. */
async function startHAProxy(servers: Record<string, string>): Promise<Proxy> {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-haproxy-'))
  cleanUps.push(() => rmSync(directory, { recursive: true }))
  const port = await freePort()
  const admin = join(directory, 'admin')
  const lines = Object.entries(servers).map(([name, line]) => `  server ${name} ${line}\n`)
  writeFileSync(
    join(directory, 'haproxy.cfg'),
    `global
  nbthread 1
  maxconn 200
  stats socket ${admin} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout check 5s
  retries 3
  option redispatch 1
listen front
  bind 127.0.0.1:${port}
  balance roundrobin
${lines.join('')}`
  )
  const haproxy = spawnProcess('haproxy', ['-db', '-f', join(directory, 'haproxy.cfg')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [haproxy.stdout, haproxy.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const exit = once(haproxy, 'close')
  cleanUps.push(() => {
    haproxy.kill('SIGKILL')
    return exit
  })

  const states = async (): Promise<Record<string, string>> => {
    if (haproxy.exitCode !== null) throw new Error(`haproxy has ended:\n${output}`)
    const csv = await ask({ path: admin }, 'show stat\n').catch(() => '')
    const [head = '', ...rows] = csv.replace(/^# /, '').trim().split('\n')
    const columns = head.split(',')
    const found: Record<string, string> = {}
    for (const row of rows) {
      const fields = row.split(',')
      const field = (name: string): string => fields[columns.indexOf(name)] ?? ''
      if (field('svname') in servers) found[field('svname')] = field('status')
    }
    return found
  }
  const wanted = async (target: Record<string, string>): Promise<void> => {
    for (let last; ; await pause(20)) {
      last = await states()
      if (Object.entries(target).every(([name, state]) => last[name] === state)) return
    }
  }
  await wanted({})
  while (Object.keys(await states()).length === 0) await pause(20)
  return { port, states, until: wanted }
}

/** Sends `text` and gives everything that comes until the end. */
async function ask(where: { port: number; host: string } | { path: string }, text: string): Promise<string> {
  const socket: Socket = connectOverNode(where).setEncoding('utf8')
  socket.write(text)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

describe.skipIf(version === null)(`behind HAProxy${version === null ? ', which is not installed' : ''}`, () => {
  it.each([
    ['send-proxy', 1],
    ['send-proxy-v2', 2],
    ['send-proxy-v2 proxy-v2-options crc32c,unique-id', 2]
  ] as const)('%s: the handler knows the client and where it has connected to', async (option, version) => {
    await run(function* () {
      const seen: { remote: unknown; local: unknown; proxy: ProxyInfo | null }[] = []
      const errors: unknown[] = []
      const options = { port: 0, host: '127.0.0.1', proxyProtocol: { from: ['127.0.0.1'] }, onError: (error: unknown) => void errors.push(error) }
      const server = yield* serve(options, function* (connection) {
        const { remoteAddress: remote, localAddress: local, proxy } = connection
        seen.push({ remote, local, proxy })
        yield* connection.write(yield* readAll(connection))
      })
      const haproxy = yield* until(startHAProxy({ one: `127.0.0.1:${server.address.port} ${option}` }))
      const client = yield* connect({ port: haproxy.port })
      const mine = client.localAddress
      yield* client.write('hello')
      yield* client.closeWrite()
      expect(String(yield* readAll(client))).toBe('hello')
      yield* client.close()
      yield* server.close()
      expect(errors).toEqual([])
      expect(seen).toMatchObject([
        { remote: mine, local: { family: 'IPv4', address: '127.0.0.1', port: haproxy.port }, proxy: { version, command: 'PROXY', localAddress: server.address } }
      ])
      expect(seen[0]?.proxy?.address).not.toEqual(mine)
    })
  })

  it.each(['send-proxy', 'send-proxy-v2'])('health checks with %s find the server up, and are no errors', async (option) => {
    await run(function* () {
      const commands: (string | undefined)[] = []
      const errors: unknown[] = []
      const enough = new Event()
      const note = (connection: Connection): void => {
        if (commands.push(connection.proxy?.command) === 3) enough.set()
      }
      const server = yield* serve(
        { port: 0, host: '127.0.0.1', proxyProtocol: true, onError: (error) => void errors.push(error) },
        function* (connection): Coroutine<void> {
          note(connection)
          yield* readAll(connection)
        }
      )
      const line = `127.0.0.1:${server.address.port} ${option} check-send-proxy check inter 50ms rise 1 fall 1`
      const haproxy = yield* until(startHAProxy({ one: line }))
      yield* until(haproxy.until({ one: 'UP' }))
      yield* enough.wait()
      expect(new Set(commands)).toEqual(new Set([option === 'send-proxy' ? 'PROXY' : 'LOCAL']))
      // What a check ends with is often a reset, which is about no request of anybody's.
      expect(errors.filter((error) => (error as { code?: string }).code !== 'ECONNRESET')).toEqual([])
      yield* server.close()
      yield* until(haproxy.until({ one: 'DOWN' }))
    })
  })

  describe('two instances of the example service', () => {
    beforeAll(buildExamples, BUILD_MS)

    it('one is drained by SIGTERM while requests go on, and none of them fails', async () => {
      const services = [await startService(['--port', '0', '--agent-port', '0']), await startService(['--port', '0', '--agent-port', '0'])] as const
      for (const service of services) {
        cleanUps.push(async () => {
          service.kill('SIGKILL')
          await service.ended()
        })
      }
      const line = ({ port, agentPort }: (typeof services)[number]): string =>
        `127.0.0.1:${port} send-proxy-v2 check check-send-proxy inter 50ms rise 1 fall 1 agent-check agent-port ${agentPort} agent-inter 50ms`
      const haproxy = await startHAProxy({ one: line(services[0]), two: line(services[1]) })
      await haproxy.until({ one: 'UP', two: 'UP' })

      let answered = 0
      let going = true
      const answers = new Map<string, number>()
      const client = async (): Promise<void> => {
        while (going) {
          const socket = connectOverNode({ port: haproxy.port, host: '127.0.0.1' }).setEncoding('utf8')
          const question = `request ${answered}`
          socket.end(`${question}\n`)
          let answer = ''
          try {
            for await (const chunk of socket) answer += chunk
          } catch (error) {
            answer = String(error)
          }
          const kind = answer === `127.0.0.1 ${question}\n` ? 'right' : answer
          answers.set(kind, (answers.get(kind) ?? 0) + 1)
          answered++
        }
      }
      const clients = [client(), client(), client(), client()]
      const more = async (count: number): Promise<void> => {
        for (const goal = answered + count; answered < goal; ) await pause(5)
      }
      await more(100)
      services[0].kill('SIGTERM')
      expect(await services[0].ended()).toBe(0)
      await haproxy.until({ two: 'UP' })
      await more(100)
      going = false
      await Promise.all(clients)
      expect([...answers]).toEqual([['right', answered]])
      services[1].kill('SIGTERM')
      expect(await services[1].ended()).toBe(0)
    })
  })
})
