/** ioredis and node-redis over coreactor, against Redis. */
import { all, Channel, map, run, sleep, timeout, TimeoutError, until, type Coroutine } from 'coreactor'
import { Socket } from 'coreactor/net'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { caught } from '../support.js'
import { OverCoreactor, withOurNet } from './redis.js'
import { freePort, startRedis, type RealServer } from './servers.js'
import { quick } from './size.js'

let server: RealServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server?.stop())

const TIMEOUT_MS = 20_000
const COMMANDS = quick ? 2000 : 20_000
const hundred = Array.from({ length: 100 }, (_, i) => i)
const MEGABYTES = quick ? 4 : 32

describe('ioredis', () => {
  function open(options: object = {}): Redis {
    const redis = new Redis({ Connector: OverCoreactor, host: '127.0.0.1', port: server.port, lazyConnect: true, ...options })
    redis.on('error', () => {})
    return redis
  }

  /** Runs `main` with a client that is connected, and disconnects it. */
  function withRedis<T>(main: (redis: Redis) => Coroutine<T>): Promise<T> {
    return run(function* () {
      const redis = open()
      try {
        return yield* timeout(TIMEOUT_MS, function* () {
          yield* until(redis.connect())
          yield* until(redis.flushall())
          return yield* main(redis)
        })
      } finally {
        redis.disconnect()
      }
    })
  }

  it('commands, pipelines and transactions, over a socket of ours', async () => {
    await withRedis(function* (redis) {
      expect((redis as unknown as { stream: unknown }).stream).toBeInstanceOf(Socket)
      expect(yield* until(redis.set('key', 'größer'))).toBe('OK')
      expect(yield* until(redis.get('key'))).toBe('größer')
      const answers = yield* until(redis.pipeline().incr('n').incr('n').get('n').exec())
      expect(answers).toEqual([[null, 1], [null, 2], [null, '2']])
      expect(yield* until(redis.multi().incr('n').incr('n').exec())).toEqual([[null, 3], [null, 4]])
      expect((yield* caught(() => until(redis.call('NONSENSE')))).message).toMatch(/unknown command/)
    })
  })

  it('many tasks on one connection each get their own answer', async () => {
    await withRedis(function* (redis) {
      const numbers = Array.from({ length: COMMANDS }, (_, i) => i)
      yield* until(redis.mset(Object.fromEntries(numbers.map((i) => [`key ${i}`, i]))))
      expect(yield* map(numbers, 500, (i) => until(redis.get(`key ${i}`)))).toEqual(numbers.map(String))
    })
  })

  it('a large value there and back', async () => {
    await withRedis(function* (redis) {
      const value = Buffer.alloc(MEGABYTES * 2 ** 20, 'coreactor')
      yield* until(redis.set('large', value))
      expect((yield* until(redis.getBuffer('large')))?.equals(value)).toBe(true)
    })
  })

  it('a command that waits is cut off by a timeout of ours, and its connection with it', async () => {
    function* popped(key: string): Coroutine<string | undefined> {
      const redis = open()
      try {
        return (yield* until(redis.blpop(key, 0)))?.[1]
      } finally {
        redis.disconnect()
      }
    }
    await withRedis(function* (redis) {
      expect(yield* caught(() => timeout(100, () => popped('queue')))).toBeInstanceOf(TimeoutError)
      // The server has seen it: what is pushed now is for the next one.
      while (/cmd=blpop/.test(String(yield* until(redis.client('LIST'))))) yield* sleep(5)
      yield* until(redis.rpush('queue', 'job'))
      expect(yield* timeout(TIMEOUT_MS, () => popped('queue'))).toBe('job')
    })
  })

  it('subscriptions arrive in a channel', async () => {
    await withRedis(function* (redis) {
      const subscriber = open()
      const heard = new Channel<string>(Infinity)
      subscriber.on('message', (_, message) => heard.trySend(message))
      try {
        yield* until(subscriber.subscribe('news'))
        yield* all([
          map(hundred, 1, (i) => until(redis.publish('news', `nr. ${i}`))),
          map(hundred, 1, function* (i) {
            expect(yield* heard.receive()).toBe(`nr. ${i}`)
          })
        ])
      } finally {
        subscriber.disconnect()
      }
    })
  })

  it('a connection that the server kills is replaced', async () => {
    await withRedis(function* (redis) {
      const id = yield* until(redis.client('ID'))
      const other = open()
      yield* until(other.client('KILL', 'ID', id))
      other.disconnect()
      expect(yield* until(redis.client('ID'))).not.toBe(id)
    })
  })

  it('nobody there is an error of the command', async () => {
    const port = await freePort()
    await run(function* () {
      const redis = open({ port, retryStrategy: null, maxRetriesPerRequest: 0 })
      expect(yield* caught(() => until(redis.connect()))).toBeInstanceOf(Error)
      redis.disconnect()
    })
  })
})

describe('node-redis', () => {
  type Client = ReturnType<typeof open>

  function open() {
    const client = createClient({ socket: { host: '127.0.0.1', port: server.port, reconnectStrategy: false } })
    client.on('error', () => {})
    return client
  }

  function withClient<T>(main: (client: Client) => Coroutine<T>): Promise<T> {
    return run(function* () {
      const client = open()
      try {
        return yield* timeout(TIMEOUT_MS, function* () {
          yield* until(withOurNet(() => client.connect()))
          yield* until(client.flushAll())
          return yield* main(client)
        })
      } finally {
        client.destroy()
      }
    })
  }

  it('commands and transactions', async () => {
    await withClient(function* (client) {
      expect(yield* until(client.set('key', 'größer'))).toBe('OK')
      expect(yield* until(client.get('key'))).toBe('größer')
      expect(yield* until(client.multi().incr('n').incr('n').exec())).toEqual([1, 2])
      expect((yield* caught(() => until(client.sendCommand(['NONSENSE'])))).message).toMatch(/unknown command/)
    })
  })

  it('many tasks on one connection each get their own answer, and large values', async () => {
    await withClient(function* (client) {
      const numbers = Array.from({ length: COMMANDS }, (_, i) => i)
      yield* until(client.mSet(Object.fromEntries(numbers.map((i) => [`key ${i}`, String(i)]))))
      expect(yield* map(numbers, 500, (i) => until(client.get(`key ${i}`)))).toEqual(numbers.map(String))
      const value = 'coreactor'.repeat(MEGABYTES * 100_000)
      yield* until(client.set('large', value))
      expect((yield* until(client.get('large'))) === value).toBe(true)
    })
  })

  it('a command that waits is cut off by a timeout of ours, and its connection with it', async () => {
    await withClient(function* (client) {
      const waiting = open()
      try {
        yield* until(withOurNet(() => waiting.connect()))
        expect(yield* caught(() => timeout(100, () => until(waiting.blPop('queue', 0))))).toBeInstanceOf(TimeoutError)
      } finally {
        waiting.destroy()
      }
      while (/cmd=blpop/.test(String(yield* until(client.sendCommand(['CLIENT', 'LIST']))))) yield* sleep(5)
      yield* until(client.rPush('queue', 'job'))
      expect(yield* until(client.lPop('queue'))).toBe('job')
    })
  })

  it('a connection that the server kills fails its command, and a new client goes on', async () => {
    await withClient(function* (client) {
      const id = yield* until(client.sendCommand(['CLIENT', 'ID']))
      // It may fail before the command that kills it has been answered.
      const failed = client.blPop('queue', 0).then(
        () => null,
        (error: unknown) => error
      )
      const other = open()
      yield* until(withOurNet(() => other.connect()))
      try {
        yield* until(other.sendCommand(['CLIENT', 'KILL', 'ID', String(id)]))
        expect(yield* until(failed)).toBeInstanceOf(Error)
        expect(yield* until(other.ping())).toBe('PONG')
      } finally {
        other.destroy()
      }
    })
  })

  it('nobody there is an error of connect', async () => {
    const port = await freePort()
    await run(function* () {
      const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
      client.on('error', () => {})
      expect(yield* caught(() => until(withOurNet(() => client.connect())))).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', port })
    })
  })

  it('subscriptions arrive in a channel', async () => {
    await withClient(function* (client) {
      const subscriber = open()
      const heard = new Channel<string>(Infinity)
      try {
        yield* until(withOurNet(() => subscriber.connect()))
        yield* until(subscriber.subscribe('news', (message) => heard.trySend(message)))
        for (let i = 0; i < 10; i++) yield* until(client.publish('news', `nr. ${i}`))
        for (let i = 0; i < 10; i++) expect(yield* heard.receive()).toBe(`nr. ${i}`)
      } finally {
        subscriber.destroy()
      }
    })
  })
})
