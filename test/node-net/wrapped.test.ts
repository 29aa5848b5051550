/** Sockets that are for `tls` to wrap: what they emit is lent, and what is written to them is freed. */
import { once } from 'node:events'
import type { ServerOpts, Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import ours from 'coreactor/net'
import { ReadSlab } from '../../lib/io/read-slab.js'
import { ownRuntime } from '../../lib/runtime/current.js'
import { pattern } from '../support.js'
import { everything, pairOf, thrown, type Net, type Pair } from './both.js'

const net = ours as unknown as Net
const wrapped = { wrapped: true } as object

function wrappedPair(options: ServerOpts = {}): Promise<Pair> {
  return pairOf(net, { ...wrapped, ...options } as ServerOpts, wrapped)
}

function written(socket: Socket, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())))
}

describe('what is written', () => {
  it.each([['a little', 100], ['what is passed on as it is', 100_000]])('%s is freed when the kernel has it', async (_what, size) => {
    const { client, peer } = await wrappedPair()
    const chunk = new Uint8Array(size).fill(7)
    const chunks: Buffer[] = []
    peer.on('data', (data) => chunks.push(Buffer.from(data)))
    await written(client, chunk)
    expect(chunk.length).toBe(0)
    client.end()
    await once(peer, 'end')
    expect(Buffer.concat(chunks).equals(Buffer.alloc(size, 7))).toBe(true)
  })

  it('is freed only when the kernel has all of it', async () => {
    const { client, peer } = await wrappedPair({ pauseOnConnect: true })
    const big = pattern(16 * 2 ** 20)
    const [first, second] = [new Uint8Array(big), new Uint8Array(big)]
    const firstTaken = written(client, first)
    const secondTaken = written(client, second)
    expect([first.length, second.length]).toEqual([big.length, big.length])
    const chunks: Buffer[] = []
    peer.on('data', (data) => chunks.push(Buffer.from(data)))
    peer.resume()
    await firstTaken
    await secondTaken
    expect([first.length, second.length]).toEqual([0, 0])
    client.end()
    await once(peer, 'end')
    expect(Buffer.concat(chunks).equals(Buffer.concat([big, big]))).toBe(true)
  })

  it('chunks of one call are freed, too, and texts and parts of something larger are left alone', async () => {
    const { client, peer } = await wrappedPair()
    const received = everything(peer)
    const whole = new Uint8Array([0x61, 0x62])
    const larger = Buffer.from(new Uint8Array([0x63, 0x64, 0x65]).buffer)
    client.cork()
    client.write(whole)
    client.write(larger.subarray(0, 2))
    client.write('f')
    client.uncork()
    client.end()
    expect(await received).toBe('abcdf')
    expect([whole.length, larger.length]).toEqual([0, 3])
  })

  it('belongs to the writer of any other socket', async () => {
    const { client, peer } = await pairOf(net)
    peer.resume()
    const chunk = new Uint8Array(100_000)
    await written(client, chunk)
    expect(chunk.length).toBe(100_000)
  })
})

describe('what is emitted', () => {
  it('is lent: the same memory is read into again', async () => {
    const { client, peer } = await wrappedPair()
    const chunks: Buffer[] = []
    peer.on('data', (chunk) => chunks.push(chunk))
    for (const text of ['one', 'two']) {
      client.write(text)
      await once(peer, 'data')
    }
    expect(chunks[0]?.buffer).toBe(chunks[1]?.buffer)
    expect(String(chunks[0])).toBe('two')
  })

  it.each([['is paused', (socket: Socket) => socket.pause()], ["listens to 'readable'", (socket: Socket) => socket.on('readable', () => {})]])(
    'what is kept, because the reader %s, is not overwritten by others',
    async (_why, hold) => {
      const { client, peer } = await wrappedPair()
      const other = await wrappedPair()
      hold(peer)
      peer.read(0)
      client.write('kept')
      while (peer.readableLength < 4) await new Promise((resolve) => setImmediate(resolve))
      other.client.write('others')
      await once(other.peer, 'data')
      expect(String(peer.read())).toBe('kept')
    }
  )

  it('what is lent while another read begins stays as it is', () => {
    const slab = ReadSlab.of(ownRuntime())
    slab.enter(null).write('lent')
    const lent = slab.lend(4)
    slab.enter(null).write('else')
    slab.giveBack(false)
    expect(String(lent)).toBe('lent')
  })
})

it('wrapped is a boolean', () => {
  for (const make of [() => new net.Socket({ wrapped: 'yes' } as object), () => net.createServer({ wrapped: 1 } as object)]) {
    expect(thrown(make)).toBe('ERR_INVALID_ARG_TYPE')
  }
})
