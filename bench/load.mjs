/**
 * The load where there is no C compiler: as bench/peers/load.c, over node:net, and slower. And the load of TLS, where a message
 * is a MiB. `load.mjs MODE PORT CONNECTIONS MESSAGES`
 */
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { connect as connectSecurely } from 'node:tls'

const SIZE = 64
const DEPTH = 16
const MIB = 2 ** 20
const BLOCK = 64 * 1024

const [, , mode, port, connections, messages] = process.argv
const wanted = Number(messages)
let begun = 0
let done = 0

function connected() {
  return createConnection({ port: Number(port), host: '127.0.0.1', noDelay: true })
}

/** Sends and checks until enough messages have been begun by all. */
async function converse() {
  const socket = connected()
  await once(socket, 'connect')
  const request = mode === 'echo' ? Buffer.alloc(SIZE) : Buffer.from('*1\r\n$4\r\nPING\r\n'.repeat(DEPTH))
  const answer = mode === 'echo' ? request : Buffer.from('+PONG\r\n'.repeat(DEPTH))
  const perRound = mode === 'echo' ? 1 : DEPTH
  await new Promise((resolve, reject) => {
    let got = 0
    const send = () => {
      if (begun >= wanted) return resolve()
      begun += perRound
      got = 0
      if (mode === 'echo') request.fill(begun & 0xff)
      socket.write(Buffer.from(request))
    }
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      if (!answer.subarray(got, got + chunk.length).equals(chunk)) return reject(new Error('wrong answer'))
      got += chunk.length
      if (got < answer.length) return
      done += perRound
      send()
    })
    send()
  })
  socket.resetAndDestroy()
}

/** The same for HTTP: an answer ends with its body. */
async function request() {
  const socket = connected()
  await once(socket, 'connect')
  await new Promise((resolve, reject) => {
    const send = () => {
      if (begun >= wanted) return resolve()
      begun++
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    }
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      if (!chunk.includes('hello')) return
      done++
      send()
    })
    send()
  })
  socket.resetAndDestroy()
}

async function churn() {
  for (; done < wanted; done++) {
    const socket = connected()
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'end')
    socket.resetAndDestroy()
  }
}

async function sendFirst() {
  while (begun++ < wanted) {
    const socket = connected()
    socket.on('error', () => {})
    socket.resume()
    socket.write('x')
    await once(socket, 'end')
    socket.resetAndDestroy()
    done++
  }
}

/** One connection's share of the MiB, down or up; who sends is told when it has all been taken. */
async function transfer() {
  const share = wanted / Number(connections)
  const socket = connectSecurely({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const request = Buffer.from('d....')
  request[0] = mode === 'tls-up' ? 0x75 : 0x64
  request.writeUInt32BE(share, 1)
  socket.write(request)
  const answered = new Promise((resolve, reject) => {
    let got = 0
    socket.on('data', (chunk) => (got += chunk.length)).on('end', () => resolve(got)).on('error', reject)
  })
  if (mode === 'tls-up') {
    const block = Buffer.alloc(BLOCK)
    for (let left = share * MIB; left > 0; left -= BLOCK) {
      // After the last, the answer may be there before the room.
      if (!socket.write(block) && left > BLOCK) await once(socket, 'drain')
    }
  }
  const expected = mode === 'tls-up' ? 'taken'.length : share * MIB
  const got = await answered
  if (got !== expected) throw new Error(`${got} bytes came, not ${expected}`)
  done += share
  socket.destroy()
}

const before = performance.now()
const doing = { connect: churn, first: sendFirst, http: request, 'tls-down': transfer, 'tls-up': transfer }[mode] ?? converse
await Promise.all(Array.from({ length: mode === 'connect' ? 1 : Number(connections) }, doing))
const { user, system } = process.cpuUsage()
console.log(JSON.stringify({ messages: done, seconds: (performance.now() - before) / 1000, cpu: (user + system) / 1e6 }))
