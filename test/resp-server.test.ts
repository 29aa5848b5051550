/** The example servers, driven by raw sockets and, where they are installed, by the tools of redis itself. */
import { execFile, spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { run, until } from 'coreactor'
import { afterEach, describe, expect, it } from 'vitest'
import { serveResp, type RespOptions } from '../examples/resp-server.js'
import { serveRespOverNodeNet } from '../examples/resp-server-node-net.js'
import { RequestParser } from '../examples/resp/parser.js'
import { Store } from '../examples/resp/store.js'

interface Running {
  port: number
  stop(): Promise<void>
}

const servers: { name: string; start(options?: RespOptions): Promise<Running> }[] = [
  { name: 'coreactor', start: startOverCoreactor },
  { name: 'node:net', start: startOverNodeNet }
]

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

describe.each(servers)('RESP over $name', ({ start }) => {
  async function startServer(options?: RespOptions): Promise<Running> {
    const server = await start(options)
    cleanUps.push(() => server.stop())
    return server
  }

  async function startClient(options?: RespOptions): Promise<Client> {
    const { port } = await startServer(options)
    return openClient(port)
  }

  it('answers pipelined requests in order', async () => {
    const client = await startClient()
    client.send(array('PING') + array('SET', 'k', 'v') + array('GET', 'k') + array('INCR', 'n') + array('GET', 'none'))
    await client.expect('+PONG\r\n+OK\r\n$1\r\nv\r\n:1\r\n$-1\r\n')
  })

  it('understands requests that are cut anywhere', async () => {
    const inline = 'get key\r\n*0\r\n'
    const requests = array('SET', 'key', 'two\r\nlines') + inline + array('ECHO', '') + array('DBSIZE')
    const replies = '+OK\r\n$10\r\ntwo\r\nlines\r\n$0\r\n\r\n:1\r\n'
    const client = await startClient()
    for (let cut = 1; cut < requests.length; cut++) {
      client.send(requests.slice(0, cut))
      // Its answer shows that the first part has been read; nothing of the second has been sent.
      await client.other.roundTrip()
      client.send(requests.slice(cut))
      await client.expect(replies)
    }
  })

  it('understands requests that come byte by byte', async () => {
    const client = await startClient()
    for (const byte of array('SET', 'key', 'value') + array('GET', 'key')) {
      client.send(byte)
      await client.other.roundTrip()
    }
    await client.expect('+OK\r\n$5\r\nvalue\r\n')
  })

  it('understands inline commands, with quotes and escapes', async () => {
    const client = await startClient()
    client.send('PING\n')
    await client.expect('+PONG\r\n')
    client.send('\r\n  set  "a key" "\\x41\\n\\"" \r\nget \'a key\'\r\n')
    await client.expect('+OK\r\n$3\r\nA\n"\r\n')
  })

  it('keeps keys and values of any bytes', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1')
    const client = await startClient()
    client.send(array('SET', bytes, bytes + bytes) + array('GET', bytes) + array('EXISTS', bytes, bytes.slice(1)))
    await client.expect(`+OK\r\n$512\r\n${bytes}${bytes}\r\n:1\r\n`)
  })

  it('sends more than the client reads at once, and loses none of it', async () => {
    const value = 'x'.repeat(1024 * 1024)
    const client = await startClient()
    client.socket.pause()
    client.send(array('SET', 'k', value) + array('GET', 'k').repeat(40) + array('PING'))
    await client.other.roundTrip()
    client.socket.resume()
    await client.expect(`+OK\r\n${`$${value.length}\r\n${value}\r\n`.repeat(40)}+PONG\r\n`)
  })

  it('answers a client that has finished sending, then closes', async () => {
    const client = await startClient()
    client.socket.end(array('PING') + array('ECHO', 'last'), 'latin1')
    expect(await client.rest()).toBe('+PONG\r\n$4\r\nlast\r\n')
  })

  it('closes after QUIT and executes nothing that follows it', async () => {
    const { port } = await startServer()
    const client = await openClient(port)
    client.send(array('QUIT') + array('SET', 'k', 'v'))
    expect(await client.rest()).toBe('+OK\r\n')
    const second = await openClient(port)
    second.send(array('DBSIZE'))
    await second.expect(':0\r\n')
  })

  it.each([
    ['an argument without $', '*1\r\nPING\r\n', "expected '$', got 'P'"],
    ['a count that is no number', '*x\r\n', 'invalid multibulk length'],
    ['too many arguments', '*1000000000\r\n', 'invalid multibulk length'],
    ['a negative length', '*1\r\n$-1\r\n', 'invalid bulk length'],
    ['a leading zero', '*1\r\n$01\r\n', 'invalid bulk length'],
    ['an oversized argument', '*2\r\n$3\r\nGET\r\n$1001\r\n', 'invalid bulk length'],
    ['an oversized request', `*3\r\n$3\r\nSET\r\n$900\r\n${'k'.repeat(900)}\r\n$900\r\n`, 'too big request'],
    ['an oversized line', 'p'.repeat(1001), 'too big inline request'],
    ['a quote that is not closed', 'get "key\r\n', 'unbalanced quotes in request']
  ])('answers %s with an error, and closes', async (_what, input, message) => {
    const client = await startClient({ limits: { bulkBytes: 1000, requestBytes: 1500, inlineBytes: 1000 } })
    client.send(array('PING') + input)
    expect(await client.rest()).toBe(`+PONG\r\n-ERR Protocol error: ${message}\r\n`)
  })

  it('does not answer with keys that have expired', async () => {
    let now = 1_000_000
    const client = await startClient({ store: new Store(() => now) })
    client.send(array('SET', 'k', 'v', 'EX', '10') + array('SET', 'forever', 'v', 'EX', '10') + array('TTL', 'k'))
    await client.expect('+OK\r\n+OK\r\n:10\r\n')
    client.send(array('PERSIST', 'forever') + array('TTL', 'forever') + array('SET', 'k', 'w', 'KEEPTTL'))
    await client.expect(':1\r\n:-1\r\n+OK\r\n')
    now += 9_999
    client.send(array('PTTL', 'k') + array('GET', 'k'))
    await client.expect(':1\r\n$1\r\nw\r\n')
    now += 1
    client.send(array('GET', 'k') + array('TTL', 'k') + array('SET', 'k', 'x', 'XX') + array('GET', 'forever'))
    await client.expect('$-1\r\n:-2\r\n$-1\r\n$1\r\nv\r\n')
  })

  it('forgets expired keys that nobody asks for', async () => {
    const client = await startClient()
    for (let i = 0; i < 1000; i++) client.send(array('SET', `k${i}`, 'v', 'PX', '1'))
    await client.expect('+OK\r\n'.repeat(1000))
    for (let size = ''; size !== ':0\r\n'; ) {
      client.send(array('DBSIZE'))
      size = await client.line()
    }
  })

  it('counts the increments of many clients', async () => {
    const { port } = await startServer()
    const clients = await Promise.all(Array.from({ length: 200 }, () => openClient(port)))
    for (const client of clients) client.send(array('INCR', 'n').repeat(50))
    const seen = await Promise.all(clients.map((client) => client.lines(50)))
    expect(new Set(seen.flat()).size).toBe(200 * 50)
  })

  it('survives clients that vanish in the middle of a request', async () => {
    const { port } = await startServer()
    for (let i = 0; i < 20; i++) {
      const client = await openClient(port)
      client.send('*2\r\n$3\r\nGET\r\n$100\r\nhalf')
      client.socket.resetAndDestroy()
    }
    const client = await openClient(port)
    client.send(array('PING'))
    await client.expect('+PONG\r\n')
  })

  it('stops: idle clients are disconnected, new ones refused', async () => {
    const server = await start()
    const client = await openClient(server.port)
    client.socket.on('error', () => {})
    const closed = once(client.socket, 'close')
    await server.stop()
    await closed
    await expect(openClient(server.port)).rejects.toThrow('ECONNREFUSED')
  })

  it('answers as redis does', async ({ skip }) => {
    skip(missing('redis-server'), 'redis-server is not installed')
    const model = await openClient(await startRedis())
    const client = await startClient()
    for (const request of SAME_AS_REDIS) {
      model.send(array(...request))
      client.send(array(...request))
      expect({ request, reply: await client.reply() }).toEqual({ request, reply: await model.reply() })
    }
  })

  it('serves redis-cli', async ({ skip }) => {
    skip(missing('redis-cli'), 'redis-cli is not installed')
    const { port } = await startServer()
    const cli = async (...args: string[]): Promise<string> =>
      (await promisify(execFile)('redis-cli', ['-p', String(port), ...args])).stdout
    expect(await cli('ping')).toBe('PONG\n')
    expect(await cli('set', 'key', 'väl\nue')).toBe('OK\n')
    expect(await cli('get', 'key')).toBe('väl\nue\n')
    expect(await cli('-r', '3', 'incr', 'n')).toBe('1\n2\n3\n')
    expect(await cli('-2', 'mget', 'n', 'none')).toBe('3\n\n')
    expect(await cli('info')).toContain('redis_version:')
    expect(await cli('nonsense', 'x')).toContain("ERR unknown command 'nonsense', with args beginning with: 'x'")
  })

  it('serves redis-benchmark', async ({ skip }) => {
    skip(missing('redis-benchmark'), 'redis-benchmark is not installed')
    const { port } = await startServer()
    const options = ['-p', String(port), '-t', 'ping,set,get,incr', '-P', '16', '-n', '20000', '-r', '1000', '--csv']
    const { stdout, stderr } = await promisify(execFile)('redis-benchmark', options)
    expect(stderr).toBe('')
    const tests = stdout.trim().split('\n').slice(1)
    expect(tests.map((line) => line.split(',')[0])).toEqual(
      ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR'].map((name) => JSON.stringify(name))
    )
  })
})

describe('RequestParser', () => {
  it('finds the same requests however they are cut, while others are half-way, too', () => {
    const random = seeded(42)
    const requests = Array.from({ length: 200 }, () =>
      Array.from({ length: 1 + Math.floor(random() * 5) }, () => 'x\r\n$*'.repeat(4).slice(0, random() * 20))
    )
    const bytes = Buffer.from(requests.map((request) => array(...request)).join('*0\r\n'), 'latin1')
    const parsers = Array.from({ length: 3 }, () => ({ parser: new RequestParser(), at: 0, found: [] as string[][] }))
    // What every parser is given, and gets to keep only until it has looked at it.
    const chunk = Buffer.alloc(100)
    while (parsers.some(({ at }) => at < bytes.length)) {
      const each = parsers[Math.floor(random() * parsers.length)]!
      const length = bytes.copy(chunk, 0, each.at, each.at + Math.ceil(random() ** 3 * chunk.length))
      each.at += length
      each.parser.push(chunk, length)
      for (let request; (request = each.parser.next()) !== null; ) {
        const { count } = request
        each.found.push(Array.from({ length: count }, (_, i) => request!.text(i)))
      }
      each.parser.release()
      chunk.fill('?')
    }
    for (const { found } of parsers) expect(found).toEqual(requests)
  })
})

describe('Store', () => {
  it('sweeps a bounded number of keys at a time, and each of them in turn', () => {
    let now = 0
    const store = new Store(() => now)
    for (let i = 0; i < 100; i++) store.set(`short${i}`, 'v', 10)
    for (let i = 0; i < 100; i++) store.set(`long${i}`, 'v', 1000)
    now = 10
    expect(store.sweep(60)).toBe(60)
    expect(store.sweep(60)).toBe(40)
    expect(store.size).toBe(100)
    now = 1000
    let expired = 0
    for (let i = 0; i < 6; i++) expired += store.sweep(20)
    expect(expired).toBe(100)
    expect(store.size).toBe(0)
    expect(store.sweep(20)).toBe(0)
  })
})

const SAME_AS_REDIS: string[][] = [
  ['ping'],
  ['PING', 'hello'],
  ['PING', 'a', 'b'],
  ['ECHO'],
  ['echo', 'x'],
  ['nonsense'],
  ['Non\r\nSense', 'first', "it's", 'x'.repeat(200)],
  ['GET'],
  ['get', 'a', 'b'],
  ['GET', 'absent'],
  ['SET', 'k'],
  ['SET', 'k', 'v'],
  ['GET', 'k'],
  ['SET', 'k', 'v2', 'NX'],
  ['SET', 'k', 'v2', 'XX'],
  ['SET', 'absent', 'v', 'XX'],
  ['SET', 'k', 'v3', 'GET'],
  ['SET', 'k', 'v4', 'NX', 'GET'],
  ['SET', 'new', 'v', 'NX', 'GET'],
  ['SET', 'k', 'v', 'NX', 'XX'],
  ['SET', 'k', 'v', 'EX'],
  ['SET', 'k', 'v', 'EX', 'ten'],
  ['SET', 'k', 'v', 'EX', '0'],
  ['SET', 'k', 'v', 'PX', '-1'],
  ['SET', 'k', 'v', 'EX', '9223372036854775807'],
  ['SET', 'k', 'v', 'EX', '10', 'PX', '10'],
  ['SET', 'k', 'v', 'EX', '10', 'KEEPTTL'],
  ['SET', 'k', 'v', 'what'],
  ['SET', 'k', 'v', 'ex', '100'],
  ['TTL', 'k'],
  ['SET', 'k', 'w', 'keepttl'],
  ['TTL', 'k'],
  ['SET', 'k', 'w'],
  ['TTL', 'k'],
  ['PTTL', 'absent'],
  ['EXPIRE', 'k', '100'],
  ['TTL', 'k'],
  ['INCR', 'k'],
  ['PERSIST', 'k'],
  ['PERSIST', 'k'],
  ['EXPIRE', 'absent', '100'],
  ['EXPIRE', 'k', 'soon'],
  ['EXPIRE', 'k', '9223372036854775807'],
  ['PEXPIRE', 'k', '100000'],
  ['TTL', 'k'],
  ['EXPIRE', 'k', '-1'],
  ['EXISTS', 'k'],
  ['SET', 'k', '10'],
  ['EXPIRE', 'k', '100'],
  ['INCR', 'k'],
  ['TTL', 'k'],
  ['DECR', 'k'],
  ['DECRBY', 'k', '20'],
  ['INCRBY', 'k', '-0'],
  ['INCRBY', 'k', '+1'],
  ['INCRBY', 'k', '01'],
  ['INCRBY', 'k', ''],
  ['INCRBY', 'k', '1.5'],
  ['INCRBY', 'k', '9223372036854775807'],
  ['INCRBY', 'k', '9223372036854775807'],
  ['DECRBY', 'k', '-9223372036854775808'],
  ['INCRBY', 'k', '9223372036854775808'],
  ['GET', 'k'],
  ['SET', 'big', '9007199254740993'],
  ['INCR', 'big'],
  ['INCR', 'fresh'],
  ['DECR', 'fresh2'],
  ['MSET', 'a', '1', 'b', '2'],
  ['MSET', 'a', '1', 'b'],
  ['MGET', 'a', 'absent', 'b'],
  ['MGET'],
  ['EXISTS', 'a', 'a', 'absent'],
  ['DEL', 'a', 'a', 'absent'],
  ['DEL'],
  ['DBSIZE'],
  ['DBSIZE', 'x'],
  ['SELECT', '0'],
  ['SELECT', '99'],
  ['SELECT', 'x'],
  ['HELLO', '4'],
  ['HELLO', 'x'],
  ['HELLO', '2', 'x'],
  ['CLIENT', 'SETNAME', 'me'],
  ['CLIENT', 'GETNAME'],
  ['CLIENT', 'nonsense'],
  ['CLIENT', 'SETNAME'],
  ['CLIENT'],
  ['CONFIG', 'GET', 'nonsense'],
  ['CONFIG', 'nonsense'],
  ['CONFIG', 'GET'],
  ['CONFIG', 'GET', 'appendonly'],
  ['COMMAND', 'nonsense'],
  ['COMMAND', 'COUNT', 'x'],
  ['COMMAND', 'INFO', 'nonsense'],
  ['FLUSHALL', 'now'],
  ['FLUSHALL'],
  ['DBSIZE']
]

// Servers ----------------------------------------------------------------------------------------------------------

async function startOverCoreactor(options: RespOptions = {}): Promise<Running> {
  const started = deferred<number>()
  const stopped = deferred<void>()
  const ended = run(function* () {
    const server = yield* serveResp({ port: 0, ...options })
    started.resolve(server.address.port)
    yield* until(stopped.promise)
    yield* server.close({ grace: 50 })
  })
  ended.catch(started.reject)
  const port = await started.promise
  return {
    port,
    stop() {
      stopped.resolve()
      return ended
    }
  }
}

async function startOverNodeNet(options: RespOptions = {}): Promise<Running> {
  const server = await serveRespOverNodeNet({ port: 0, ...options })
  return { port: server.address.port, stop: () => server.close({ grace: 50 }) }
}

/** A real redis without files, on a port that was free a moment ago. */
async function startRedis(): Promise<number> {
  const { port, stop } = await startOverNodeNet()
  await stop()
  const redis = spawnProcess('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no'])
  cleanUps.push(async () => {
    redis.kill()
    if (redis.exitCode === null) await once(redis, 'exit')
  })
  for await (const chunk of redis.stdout) if (String(chunk).includes('Ready to accept')) break
  return port
}

function missing(program: string): boolean {
  return !(process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

// Client -----------------------------------------------------------------------------------------------------------

/** A raw connection. Bytes are latin1 strings: one character each, and failures can be read. */
class Client {
  readonly socket: Socket
  #received = ''
  #ended = false
  #arrived = deferred<void>()
  #other: Client | null = null

  constructor(socket: Socket, other: Client | null) {
    this.socket = socket
    this.#other = other
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#received += text
      this.#notify()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#notify()
    })
  }

  /** A second connection to the same server. */
  get other(): Client {
    return this.#other!
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  async expect(text: string): Promise<void> {
    await this.#until(() => this.#received.length >= text.length)
    // Long texts are compared by length first: a failure shall not print megabytes.
    if (this.#received.length !== text.length) expect(this.#received.slice(0, 1000)).toBe(text.slice(0, 1000))
    expect(this.#received === text || this.#received.slice(0, 1000)).toBe(true)
    this.#received = ''
  }

  /** Everything until the server closes. */
  async rest(): Promise<string> {
    await this.#until(() => this.#ended)
    return this.#received
  }

  async line(): Promise<string> {
    await this.#until(() => this.#received.includes('\r\n'))
    return this.#take(this.#received.indexOf('\r\n') + 2)
  }

  async lines(count: number): Promise<string[]> {
    const lines: string[] = []
    while (lines.length < count) lines.push(await this.line())
    return lines
  }

  /** One reply, whatever it is, as it was sent. */
  async reply(): Promise<string> {
    const line = await this.line()
    const length = Number(line.slice(1))
    if (line[0] === '$' && length >= 0) {
      await this.#until(() => this.#received.length >= length + 2)
      return line + this.#take(length + 2)
    }
    let reply = line
    if (line[0] === '*') for (let i = 0; i < length; i++) reply += await this.reply()
    return reply
  }

  async roundTrip(): Promise<void> {
    this.send(array('PING'))
    await this.line()
  }

  #take(length: number): string {
    const text = this.#received.slice(0, length)
    this.#received = this.#received.slice(length)
    return text
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) throw new Error(`closed after ${JSON.stringify(this.#received.slice(0, 1000))}`)
      await this.#arrived.promise
    }
  }

  #notify(): void {
    this.#arrived.resolve()
    this.#arrived = deferred()
  }
}

async function openClient(port: number): Promise<Client> {
  return new Client(await openSocket(port), new Client(await openSocket(port), null))
}

async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  cleanUps.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function array(...words: string[]): string {
  return `*${words.length}\r\n` + words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')
}

interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

function deferred<T>(): Deferred<T> {
  let settle!: Omit<Deferred<T>, 'promise'>
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}
