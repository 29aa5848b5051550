/** Sending much to a peer that reads slowly, in another process: what that takes of memory on this side. */
import { spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { run, serve, until } from 'coreactor'
import { pattern } from './support.js'

/** Reads everything, pausing at each of so many bytes until the clock has ticked. */
const READER = `
const socket = require('node:net').createConnection({ port: Number(process.argv[1]), host: '127.0.0.1' })
const pauseEvery = Number(process.argv[2])
let total = 0
let next = pauseEvery
socket.on('data', (chunk) => {
  total += chunk.length
  if (total < next) return
  next = total + pauseEvery
  socket.pause()
  setTimeout(() => socket.resume(), 1)
})
socket.on('end', () => console.log(total))
`

export interface Usage {
  /** The most bytes that were written and not in the kernel's hands. */
  buffered: number
  /** By how much the process grew, in bytes. */
  grown: number
}

/** Writes `total` bytes in chunks of `chunkSize` to a reader that pauses at every `pauseEvery` of them. */
export async function sendToSlowReader(total: number, chunkSize: number, pauseEvery: number): Promise<Usage> {
  const chunk = pattern(chunkSize)
  let buffered = 0
  let largest = 0
  let before = 0
  await run(function* () {
    const server = yield* serve({ port: 0, host: '127.0.0.1' }, function* (connection) {
      before = process.memoryUsage.rss()
      for (let sent = 0; sent < total; sent += chunkSize) {
        yield* connection.write(chunk)
        buffered = Math.max(buffered, connection.bufferedBytes)
        if (sent % (chunkSize * 64) === 0) largest = Math.max(largest, process.memoryUsage.rss())
      }
    })
    const reader = spawnProcess(process.execPath, ['-e', READER, String(server.address.port), String(pauseEvery)])
    let said = ''
    reader.stdout.on('data', (text) => (said += String(text)))
    yield* until(once(reader, 'close'))
    expect(Number(said)).toBe(total)
    yield* server.close()
  })
  return { buffered, grown: largest - before }
}
