/** The example that computes: a real process, clients that want much, and clients that want an answer now. */
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { BUILD_MS, buildExamples, startService, type ChildService } from './child-service.js'

const FOR_EVER = 999_999_999

const cleanUps: (() => unknown)[] = []
beforeAll(buildExamples, BUILD_MS)
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(...args: string[]): Promise<ChildService> {
  const service = await startService(['--port', '0', ...args], {}, 'hash-server')
  cleanUps.push(async () => {
    service.kill('SIGKILL')
    await service.ended()
  })
  return service
}

class Client {
  readonly socket: Socket
  private readonly lines: AsyncIterator<string>

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    const reader: Interface = createInterface({ input: this.socket })
    this.lines = reader[Symbol.asyncIterator]()
    cleanUps.push(() => this.socket.destroy())
  }

  ask(line: string): void {
    this.socket.write(`${line}\n`)
  }

  async answer(): Promise<string> {
    return (await this.lines.next()).value as string
  }
}

function stretched(text: string, rounds: number): string {
  let digest: string | Buffer = text
  for (let i = 0; i < rounds; i++) digest = createHash('sha256').update(digest).digest()
  return digest.toString('hex')
}

it('answers a hash when it is there, and says what it does not understand', async () => {
  const { port } = await start()
  const client = new Client(port)
  client.ask('hash 1000 some text')
  expect(await client.answer()).toBe(stretched('some text', 1000))
  client.ask('what?')
  expect(await client.answer()).toMatch(/^error: ping, probe, or hash/)
})

it('answers others while it computes, and their loop is free', async () => {
  const { port } = await start()
  const busy = new Client(port)
  busy.ask(`hash ${FOR_EVER} x`)
  const other = new Client(port)
  for (let i = 0; i < 10; i++) {
    other.ask('ping')
    expect(await other.answer()).toBe('pong')
  }
  other.ask('probe')
  expect(await other.answer()).toMatch(/^the loop was late by \d+\.\d\d ms, \d+\.\d\d at worst$/)
})

it('stops on SIGTERM although a hash would take for ever, and leaves no thread', async () => {
  const service = await start()
  const busy = new Client(service.port)
  busy.ask(`hash ${FOR_EVER} x`)
  const other = new Client(service.port)
  other.ask('ping')
  await other.answer()
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
  expect(service.output()).toMatch(/Stopped\. 0 hashes, 0 failed, 1 cancelled\.\n$/)
})

it('keeps everybody waiting if it is told to compute on the loop', async () => {
  const ask = async (...args: string[]): Promise<string> => {
    const client = new Client((await start(...args)).port)
    // In one packet: nothing comes between the two reports but the hash.
    client.ask('probe\nhash 20000 x\nprobe')
    await client.answer()
    await client.answer()
    return client.answer()
  }
  expect(await ask('--here')).toBe('the loop has not been free once')
  expect(await ask()).toMatch(/^the loop was late by /)
})
