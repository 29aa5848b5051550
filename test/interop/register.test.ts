/** `node --import coreactor/register`: drivers that open their own connections, used as everybody uses them. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeCertificate } from './certificate.js'
import { startMariaDb, startPostgres, startRedis, type RealServer } from './servers.js'

const REGISTER = new URL('../../dist/register.js', import.meta.url).href
const PROGRAM = fileURLToPath(new URL('registered.mjs', import.meta.url))

let servers: Record<'redis' | 'mariadb' | 'postgres', RealServer>
beforeAll(async () => {
  const certificate = await makeCertificate()
  const [redis, mariadb, postgres] = await Promise.all([startRedis(), startMariaDb(certificate), startPostgres(certificate)])
  servers = { redis, mariadb, postgres }
})
afterAll(() => Promise.all(Object.values(servers ?? {}).map((server) => server.stop())))

async function outputOf(driver: string, server: RealServer): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', REGISTER, PROGRAM, driver, String(server.port)])
  return JSON.parse(stdout)
}

it('node-redis, and what it connects anew by itself', async () => {
  expect(await outputOf('redis', servers.redis)).toEqual({ answers: ['größer', 'größer'], ours: [true, true] })
})

it('ioredis', async () => {
  expect(await outputOf('ioredis', servers.redis)).toEqual({ answers: ['größer'], ours: [true] })
})

it('mysql2, with TLS in mid-stream', async () => {
  expect(await outputOf('mysql2', servers.mariadb)).toEqual({ answers: [{ n: 2 }], ours: [true] })
})

it('pg', async () => {
  expect(await outputOf('pg', servers.postgres)).toEqual({ answers: [{ n: 2 }], ours: [true] })
})
