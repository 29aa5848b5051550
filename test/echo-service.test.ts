/** The example service: a real process, a service manager that listens to it, signals. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { proxyHeader } from 'coreactor'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { BUILD_MS, buildExamples, startService, type ChildService } from './child-service.js'
import { NotifyReceiver } from './notify-receiver.js'

const cleanUps: (() => unknown)[] = []
beforeAll(buildExamples, BUILD_MS)
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(args: string[] = [], env: Record<string, string> = {}): Promise<ChildService> {
  const service = await startService(['--port', '0', ...args], env)
  cleanUps.push(async () => {
    service.kill('SIGKILL')
    await service.ended()
  })
  return service
}

async function client(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  cleanUps.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function ask(socket: Socket, text: string | Uint8Array): Promise<string> {
  socket.write(text)
  const [answer] = (await once(socket, 'data')) as [string]
  return answer
}

it('echoes behind the address of the client, or of the one that a proxy on this machine says', async () => {
  const { port } = await start()
  expect(await ask(await client(port), 'hello\n')).toBe('127.0.0.1 hello\n')
  const source = { family: 'IPv6', address: '2001:db8::1', port: 1 } as const
  for (const version of [1, 2] as const) {
    const header = proxyHeader({ version, source, destination: { ...source, address: '::1' } })
    expect(await ask(await client(port), Buffer.concat([header, Buffer.from('hello\n')]))).toBe('2001:db8::1 hello\n')
  }
  expect(await ask(await client(port), 'x'.repeat(5000))).toBe('127.0.0.1 says too much\n')
})

it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s: accepts nobody, lets those who are there finish, ends with 0', async (signal) => {
  const service = await start()
  const socket = await client(service.port)
  expect(await ask(socket, 'before\n')).toBe('127.0.0.1 before\n')
  service.kill(signal)
  for (;;) {
    const late = connect(service.port, '127.0.0.1')
    const refused = await new Promise((resolve) => late.once('connect', () => resolve(false)).once('error', () => resolve(true)))
    late.destroy()
    if (refused === true) break
  }
  expect(await ask(socket, 'after\n')).toBe('127.0.0.1 after\n')
  socket.end()
  expect(await service.ended()).toBe(0)
  expect(service.output()).toMatch(/Stopped\.\n$/)
})

it('tells the service manager that it is ready, that it is alive, and that it stops', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-service-'))
  cleanUps.push(() => rmSync(directory, { recursive: true }))
  const manager = await NotifyReceiver.start(join(directory, 'notify'))
  cleanUps.push(() => manager.stop())
  const service = await start([], { NOTIFY_SOCKET: join(directory, 'notify'), WATCHDOG_USEC: '20000' })
  const heard: string[] = []
  const hear = async (): Promise<string> => {
    heard.push(await manager.heard())
    return heard.at(-1) as string
  }
  while (!heard.some((message) => message.startsWith('READY=1'))) await hear()
  expect(heard).toContain(`READY=1\nSTATUS=listening on 127.0.0.1:${service.port}\n`)
  for (let i = 0; i < 3; ) if ((await hear()) === 'WATCHDOG=1\n') i++
  service.kill('SIGTERM')
  while (!(await hear()).startsWith('STOPPING=1'));
  expect(heard.at(-1)).toBe('STOPPING=1\nSTATUS=stopping after SIGTERM\n')
  expect(await service.ended()).toBe(0)
})

it('tells the balancer to send nobody any more, and stops when the balancer knows', async () => {
  const service = await start(['--agent-port', '0'])
  const state = async (): Promise<string> => String((await once(await client(service.agentPort), 'data'))[0])
  expect(await state()).toBe('up ready\n')
  service.kill('SIGTERM')
  while ((await state()) !== 'drain\n');
  expect(await service.ended()).toBe(0)
})
