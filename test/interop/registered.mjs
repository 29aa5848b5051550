/**
 * A program that uses a driver as anybody does: `node --import coreactor/register registered.mjs DRIVER PORT`. Prints what
 * the driver answered, and of each of its connections whether it was one of ours.
 */
import { subscribe } from 'node:diagnostics_channel'
import ours from '../../dist/net.js'

const sockets = []
subscribe('net.client.socket', ({ socket }) => sockets.push(socket))

const [, , driver, portText] = process.argv
const port = Number(portText)
const host = '127.0.0.1'

const programs = {
  async redis() {
    const { createClient } = await import('redis')
    const client = createClient({ socket: { host, port, reconnectStrategy: 1 } })
    client.on('error', () => {})
    await client.connect()
    await client.set('key', 'größer')
    const answers = [await client.get('key')]
    // The server ends the connection, and the client makes another one by itself.
    const ready = new Promise((resolve) => client.once('ready', resolve))
    await client.sendCommand(['CLIENT', 'KILL', 'ID', String(await client.sendCommand(['CLIENT', 'ID'])), 'SKIPME', 'no']).catch(() => {})
    await ready
    answers.push(await client.get('key'))
    await client.close()
    return answers
  },

  async ioredis() {
    const { Redis } = await import('ioredis')
    const client = new Redis({ host, port })
    await client.set('key', 'größer')
    const answers = [await client.get('key')]
    await client.quit()
    return answers
  },

  async mysql2() {
    const { createPool } = await import('mysql2/promise')
    const pool = createPool({ host, port, user: 'app', password: 'secret', database: 'test', ssl: { rejectUnauthorized: false } })
    const [rows] = await pool.execute('SELECT ? + 1 AS n', [1])
    await pool.end()
    return rows
  },

  async pg() {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ host, port, user: 'app', password: 'secret', database: 'postgres' })
    // It connects a socket that it has made: the channel does not tell of those.
    pool.on('connect', ({ connection }) => sockets.push(connection.stream))
    const { rows } = await pool.query('SELECT $1::int + 1 AS n', [1])
    await pool.end()
    return rows
  }
}

const answers = await programs[driver]()
console.log(JSON.stringify({ answers, ours: sockets.map((socket) => socket instanceof ours.Socket) }))
