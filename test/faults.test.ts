/** What the system does to a process: dups, resets, interrupted calls, no more fds, signals, noisy neighbours. */
import { spawn as spawnProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { checkpoint, connect, run, scope, serve, sleep, spawn, until, type Connection } from 'coreactor'
import { ownRuntime } from '../lib/runtime/current.js'
import { caught, pair } from './support.js'

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

const hostPass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Turns taken during two hundred passes of the host loop in which our side has nothing to do. */
async function turnsWhileIdle(): Promise<number> {
  const before = ownRuntime().turns
  for (let i = 0; i < 200; i++) await hostPass()
  return ownRuntime().turns - before
}

it('an idle server and its idle connections take no turns', async () => {
  await run(async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (connection) => void (await connection.readSome()))
    const client = await connect({ port: server.address.port })
    while (server.connections === 0) await checkpoint()
    await sleep(1)
    // Their own `await` may cost a turn; an event that comes again and again would cost two hundred.
    expect(await turnsWhileIdle()).toBeLessThanOrEqual(2)
    client.reset()
    await server.close()
  })
})

it('hazard 3: an fd that lives on in a child process does not spin after close, and its events reach nobody', async () => {
  await run(async () => {
    const [client, server] = await spawn(pair)
    // The child holds the server's end open: its description outlives our close.
    const holder = spawnProcess('sleep', ['30'], { stdio: ['ignore', 'ignore', 'ignore', server.fd] })
    await once(holder, 'spawn')
    await server.close()
    expect(client.tryWrite('for a closed end')).toBe(16)
    await sleep(1)
    expect(await turnsWhileIdle()).toBeLessThanOrEqual(2)
    // Whoever gets the number next sees nothing of it.
    const [other, sameNumber] = await spawn(pair)
    expect(sameNumber.tryRead(Buffer.alloc(10))).toBeNull()
    for (const each of [client, other, sameNumber]) each.reset()
    holder.kill()
    await once(holder, 'exit')
  })
})

it.each([
  ['a reset', (client: Connection) => client.reset()],
  ['a half-close', (client: Connection) => void client.closeWrite().then(() => {})],
  ['data', (client: Connection) => void client.tryWrite('unread')]
])('hazard 5: %s on a connection that nobody reads from causes no spinning', async (_, act) => {
  await run(async () => {
    const [client, server] = await spawn(pair)
    act(client)
    await sleep(1)
    expect(await turnsWhileIdle()).toBeLessThanOrEqual(2)
    server.reset()
    client.reset()
  })
})

it('hazard 22: writing to a peer that is gone raises no SIGPIPE, in a program that listens to it', async () => {
  let signals = 0
  const onSignal = (): void => void signals++
  process.on('SIGPIPE', onSignal)
  await run(function* () {
    const [client, server] = yield* pair()
    server.reset()
    const error = yield* caught(function* () {
      for (;;) {
        yield* client.write('x')
        yield* client.flush()
      }
    })
    expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
    // By sendmsg, too.
    const [again, gone] = yield* pair()
    gone.reset()
    yield* caught(function* () {
      for (;;) {
        yield* again.write([Buffer.alloc(10_000), Buffer.alloc(10_000)])
      }
    })
    client.reset()
    again.reset()
  })
  await hostPass()
  process.off('SIGPIPE', onSignal)
  expect(signals).toBe(0)
})

const straced = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

// Without strace, or where tracing is forbidden, no system call can be made to fail.
it.runIf(straced)('hazard 15: interrupted system calls are made again, and nothing is lost or doubled', { timeout: 60_000 }, () => {
  // Not epoll_ctl: it has no EINTR, and libuv aborts at any error of it.
  const injections = ['recvfrom', 'sendto', 'sendmsg', 'accept4', 'epoll_wait', 'shutdown'].flatMap((call) => [
    '-e',
    `inject=${call}:error=EINTR:when=1+2`
  ])
  const plain = spawnSync(process.execPath, [fixture('transfer.mjs')], { encoding: 'utf8' })
  const injected = spawnSync('strace', ['-qq', '-o', '/dev/null', ...injections, process.execPath, fixture('transfer.mjs')], {
    encoding: 'utf8'
  })
  expect(plain).toMatchObject({ status: 0, stderr: '' })
  expect(injected).toMatchObject({ status: 0, stderr: '', stdout: plain.stdout })
})

it.runIf(straced)('hazard 17: errors of accept4 that belong to one connection do not stop the server', { timeout: 60_000 }, () => {
  for (const error of ['ECONNABORTED', 'EPROTO', 'EPERM', 'ENETDOWN', 'EOPNOTSUPP']) {
    const { status, stdout } = spawnSync(
      'strace',
      ['-qq', '-o', '/dev/null', '-e', `inject=accept4:error=${error}:when=1+2`, process.execPath, fixture('transfer.mjs')],
      { encoding: 'utf8' }
    )
    expect([error, status, stdout]).toEqual([error, 0, expect.stringMatching(/^[0-9a-f]{64}\n$/)])
  }
})

it('hazard 16: out of fds, accepting pauses with one warning and no spinning, and goes on when there are some again', { timeout: 60_000 }, () => {
  // The limit is set by the shell, for that process alone.
  const { status, stdout, stderr } = spawnSync('sh', ['-c', `ulimit -n 64; exec "$0" "$1"`, process.execPath, fixture('out-of-fds.mjs')], {
    encoding: 'utf8'
  })
  expect(stderr.match(/COREACTOR_ACCEPT_PAUSED/g)).toHaveLength(1)
  expect(JSON.parse(stdout)).toEqual({ refusedAtFirst: true, servedAfterwards: true, spun: false })
  expect(status).toBe(0)
})

it('hazard 65: a flood on one of our connections starves neither node:net nor our other tasks', async () => {
  const nodeServer = createServer((socket) => socket.pipe(socket))
  nodeServer.listen(0, '127.0.0.1')
  await once(nodeServer, 'listening')
  await run(async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
    })
    let flooded = 0
    const flood = spawn(function* () {
      const client = yield* connect({ port: server.address.port })
      try {
        yield* scope(function* (tasks) {
          tasks.spawn(function* () {
            for (let got; (got = yield* client.readSome()) !== null; ) flooded += got.length
          })
          for (;;) yield* client.write(Buffer.alloc(60_000))
        })
      } finally {
        client.reset()
      }
    })
    const socket = createConnection((nodeServer.address() as { port: number }).port, '127.0.0.1')
    for (let round = 0; round < 50; round++) {
      socket.write(`round ${round}`)
      const [data] = (await once(socket, 'data')) as [Buffer]
      expect(String(data)).toBe(`round ${round}`)
    }
    // And the flood went on meanwhile.
    expect(flooded).toBeGreaterThan(1_000_000)
    // It is some 20 MB for each round trip of node:net; without a limit on our turns in a row it was 200.
    expect(flooded / 50).toBeLessThan(100_000_000)
    socket.destroy()
    flood.cancel()
    await until(Promise.allSettled([flood]))
    await server.close()
  })
  nodeServer.close()
  await once(nodeServer, 'close')
})

it('hazard 11: a flooding connection lets a 10 ms timer through, every time', async () => {
  await run(async () => {
    const [client, server] = await spawn(pair)
    const flood = spawn(function* () {
      for (;;) yield* client.write(Buffer.alloc(30_000))
    })
    const drain = spawn(function* () {
      const buffer = Buffer.alloc(1000)
      for (;;) yield* server.read(buffer)
    })
    for (let i = 0; i < 10; i++) await sleep(10)
    flood.cancel()
    drain.cancel()
    await until(Promise.allSettled([flood, drain]))
    client.reset()
    server.reset()
  })
})
