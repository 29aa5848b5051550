/** What `docs/node-net.md` says is not the same as in `node:net`: each shown on both modules. */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { atTestEnd, closeOf, connecting, listening, noted, onBoth, pairOf, portOf, thrown } from './both.js'

const PROGRAMS = fileURLToPath(new URL('across-processes.mjs', import.meta.url))
const DIST = new URL('../../dist/net.js', import.meta.url).href

/** Whether Node has had it since this version of 22, and since that one of 23. */
function nodeSince(of22: number, of23: number): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
  return major > 23 || (major === 23 && minor >= of23) || (major === 22 && minor >= of22)
}

onBoth((net, name) => {
  const isNodes = name === 'node:net'
  const environment = (more: object = {}): NodeJS.ProcessEnv => ({ ...process.env, NET: isNodes ? 'node:net' : DIST, ...more })

  async function freePort(): Promise<number> {
    const server = await listening(net)
    const port = portOf(server)
    server.close()
    await once(server, 'close')
    return port
  }

  function killed<T extends ChildProcess>(child: T): T {
    atTestEnd(() => child.kill('SIGKILL'))
    return child
  }

  it.each<[string, object, string]>([
    ['share what the primary listens on, or each listens by itself', {}, isNodes ? 'listening listening' : 'listening EADDRINUSE'],
    ['each listen by themselves with reusePort', { reusePort: true, exclusive: true }, isNodes && !nodeSince(12, 1) ? 'listening EADDRINUSE' : 'listening listening']
  ])('the workers of a cluster %s', async (_what, options, expected) => {
    const env = environment({ OPTIONS: JSON.stringify({ port: await freePort(), ...options }) })
    const child = killed(spawn(process.execPath, [PROGRAMS, 'cluster'], { env, stdio: ['ignore', 'pipe', 'inherit'] }))
    expect((await text(child.stdout)).trim()).toBe(expected)
  })

  it('a socket is passed to a child process, or refused and left as it was', async () => {
    const { client, peer } = await pairOf(net)
    const child = killed(fork(PROGRAMS, ['receive'], { env: environment({ NET: 'node:net' }) }))
    const received = text(client)
    if (isNodes) {
      child.send('take it', peer)
    } else {
      expect(thrown(() => child.send('take it', peer))).toBe('ERR_INVALID_HANDLE_TYPE')
      peer.end('from the parent')
    }
    expect(await received).toBe(isNodes ? 'from a child' : 'from the parent')
  })

  it('who connects while there is no fd is turned away, or accepted when there is one again', async () => {
    const script = 'ulimit -n 60; exec "$0" "$@"'
    const child = killed(spawn('sh', ['-c', script, process.execPath, PROGRAMS, 'shortage'], { env: environment(), stdio: 'pipe' }))
    const warnings = text(child.stderr)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const [, port] = /^EMFILE (\d+)$/.exec((await lines.next()).value as string) as unknown as [string, string]
    const client = connecting(net, { port: Number(port), host: '127.0.0.1' })
    const received = text(client)
    await once(client, 'connect')
    if (isNodes) {
      expect(await received).toBe('')
      child.stdin.write('free\n')
    } else {
      child.stdin.write('free\n')
      expect(await received).toBe('accepted')
      expect((await lines.next()).value).toBe('connection')
    }
    child.stdin.end()
    expect((await lines.next()).done).toBe(true)
    expect(await warnings).toMatch(isNodes ? /^$/ : /EMFILE/)
  })

  const blocks = !isNodes || nodeSince(13, 4)

  it('blockList keeps a server from taking connections, in Node since 22.13', async () => {
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const accepted: Socket[] = []
    const server = await listening(net, { blockList } as object, (socket) => accepted.push(socket))
    const client = connecting(net, { port: portOf(server), host: '127.0.0.1' })
    const events = noted(client, 'end', 'error')
    client.resume()
    if (blocks) {
      await closeOf(client)
      expect([events, accepted.length]).toEqual([['end'], 0])
    } else {
      await once(server, 'connection')
      expect([events, accepted.length]).toEqual([[], 1])
    }
  })

  it('blockList keeps a socket from connecting, in Node since 22.13', async () => {
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const server = await listening(net)
    const client = connecting(net, { port: portOf(server), host: '127.0.0.1', blockList } as never)
    const said = await new Promise((resolve) => {
      client.once('connect', () => resolve('connected')).once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    })
    expect(said).toBe(blocks ? 'ERR_IP_BLOCKED' : 'connected')
  })
})
