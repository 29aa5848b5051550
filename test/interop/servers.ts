/**
 * Real servers from their Debian packages, each in a directory of its own and on a free port of 127.0.0.1. One that is not
 * installed is an error that names the package: nothing is skipped here.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect as connectOverNode, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Certificate } from './certificate.js'

const run = promisify(execFile)

/** How long a server may take to begin, on a machine that is busy. */
const START_MS = 60_000
const POLL_MS = 25

export interface RealServer {
  readonly port: number
  /** Its Unix socket. */
  readonly path: string
  stop(): Promise<void>
}

/** The path of a program, which is in one of these directories or on PATH. */
function programOf(name: string, debianPackage: string, directories: readonly string[] = []): string {
  const places = [...directories, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin']
  const found = places.map((place) => join(place, name)).find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${name} is not installed: apt-get install ${debianPackage}`)
  return found
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Servers refuse to run as root, or should not: then as the user that their package has made. */
interface User {
  uid: number
  gid: number
}

async function userOf(name: string): Promise<User | null> {
  if (process.getuid?.() !== 0) return null
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => Number((await run('id', [flag, name])).stdout)))
  return { uid: uid as number, gid: gid as number }
}

function directoryFor(name: string, user: User | null): string {
  const directory = mkdtempSync(join(tmpdir(), `coreactor-${name}-`))
  if (user !== null) chownSync(directory, user.uid, user.gid)
  return directory
}

interface Start {
  readonly program: string
  readonly args: readonly string[]
  readonly directory: string
  readonly port: number
  readonly path: string
  readonly user: User | null
  /** How it is asked to end at once, whoever is connected. */
  readonly signal: NodeJS.Signals
}

async function start({ program, args, directory, port, path, user, signal }: Start): Promise<RealServer> {
  const log = join(directory, 'log')
  const output = openSync(log, 'a')
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', output, output], ...user })
  closeSync(output)
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill(signal)
    await ended
    rmSync(directory, { recursive: true })
  }
  try {
    await listening(child, port)
  } catch (error) {
    const said = readFileSync(log, 'utf8')
    await stop()
    throw new Error(`${program}: ${(error as Error).message}\n${said}`)
  }
  return { port, path, stop }
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await pause(POLL_MS)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it has ended')
    const probe = connectOverNode(port, '127.0.0.1')
    const connected = await new Promise((resolve) => probe.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    probe.destroy()
    if (connected === true) return
  }
  throw new Error('it does not listen')
}

/** Writes them to where the server finds them. Gives their paths. */
function tlsFiles(directory: string, { cert, key }: Certificate, user: User | null): [cert: string, key: string] {
  const files = { [join(directory, 'cert.pem')]: cert, [join(directory, 'key.pem')]: key }
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(file, content, { mode: 0o600 })
    if (user !== null) chownSync(file, user.uid, user.gid)
  }
  return Object.keys(files) as [string, string]
}

/** MariaDB, with the user `root` that has no password and the user `app` whose password is `secret`; the database `test`. */
export async function startMariaDb(certificate: Certificate): Promise<RealServer> {
  const program = programOf('mariadbd', 'mariadb-server')
  const installer = programOf('mariadb-install-db', 'mariadb-server')
  const user = await userOf('mysql')
  const directory = directoryFor('mariadb', user)
  const data = join(directory, 'data')
  const path = join(directory, 'socket')
  const port = await freePort()
  const accounts = join(directory, 'accounts.sql')
  writeFileSync(
    accounts,
    `FLUSH PRIVILEGES;
CREATE DATABASE test;
CREATE USER app@'%' IDENTIFIED BY 'secret';
GRANT ALL ON test.* TO app@'%';
GRANT PROCESS, CONNECTION ADMIN ON *.* TO app@'%';
`
  )
  const installation = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db']
  await run(installer, [...installation, `--extra-file=${accounts}`], { cwd: directory, ...user })
  const [cert, key] = tlsFiles(directory, certificate, user)
  const args = [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${path}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--pid-file=${join(directory, 'pid')}`,
    `--ssl-cert=${cert}`,
    `--ssl-key=${key}`,
    '--skip-name-resolve',
    '--innodb-flush-log-at-trx-commit=0'
  ]
  return start({ program, args, directory, port, path, user, signal: 'SIGTERM' })
}

/** PostgreSQL, with the superuser `app` whose password is `secret`, checked with SCRAM; the database `postgres`. */
export async function startPostgres(certificate: Certificate): Promise<RealServer> {
  const versions = '/usr/lib/postgresql'
  const directories = existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : []
  const program = programOf('postgres', 'postgresql', directories)
  const installer = programOf('initdb', 'postgresql', directories)
  const user = await userOf('postgres')
  const directory = directoryFor('postgres', user)
  const data = join(directory, 'data')
  const port = await freePort()
  const password = join(directory, 'password')
  writeFileSync(password, 'secret\n')
  const args = ['-D', data, '-N', '-A', 'scram-sha-256', '-U', 'app', `--pwfile=${password}`, '--no-locale', '-E', 'UTF8']
  await run(installer, args, { cwd: directory, ...user })
  const [cert, key] = tlsFiles(directory, certificate, user)
  const tls = ['-c', 'ssl=on', '-c', `ssl_cert_file=${cert}`, '-c', `ssl_key_file=${key}`]
  const server = await start({
    program,
    args: ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', directory, '-F', ...tls],
    directory,
    port,
    path: join(directory, `.s.PGSQL.${port}`),
    user,
    signal: 'SIGINT'
  })
  // It listens before it answers: until then, "the database system is starting up".
  while (!readFileSync(join(data, 'postmaster.pid'), 'utf8').includes('ready')) await new Promise((resolve) => setTimeout(resolve, 10))
  return server
}

/** Redis, that keeps nothing. */
export async function startRedis(): Promise<RealServer> {
  const program = programOf('redis-server', 'redis-server')
  const directory = directoryFor('redis', null)
  const port = await freePort()
  const path = join(directory, 'socket')
  mkdirSync(join(directory, 'data'))
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', path, '--save', '', '--appendonly', 'no', '--dir', join(directory, 'data')]
  return start({ program, args, directory, port, path, user: null, signal: 'SIGTERM' })
}
