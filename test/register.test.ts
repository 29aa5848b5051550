/** `node --import coreactor/register`: whose `net` and `dgram` become ours. In child processes, with packages in a folder of their own. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packagesOf, replacement } from '../lib/node/register-rules.js'
import { ENDS_MS } from './patience.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

let folder: string

/** Each tells whose modules it gets: by one way or another. */
const FILES: Record<string, string> = {
  'node_modules/old/package.json': '{ "name": "old", "main": "index.js" }',
  'node_modules/old/index.js': `
    const { Socket } = require('net')
    exports.net = [require('net'), require('node:net')]
    exports.dgram = [require('dgram'), require('node:dgram')]
    exports.imported = async () => (await import('net')).default
    exports.Socket = Socket`,
  'node_modules/new/package.json': '{ "name": "new", "type": "module", "exports": "./index.js" }',
  'node_modules/new/index.js': `
    import net, { Socket } from 'node:net'
    import * as dgram from 'dgram'
    export { net, dgram, Socket }`,
  'node_modules/@some/scoped/package.json': '{ "name": "@some/scoped", "main": "index.js" }',
  'node_modules/@some/scoped/index.js': `exports.net = require('net')`,
  'whose.cjs': `
    const ours = { net: require('coreactor/net'), dgram: require('coreactor/dgram') }
    const node = { net: process.getBuiltinModule('net'), dgram: process.getBuiltinModule('dgram') }
    exports.whose = (name, module) => module === ours[name] || module.default === ours[name] ? 'ours'
      : module === node[name] || module.default === node[name] ? 'node' : 'nobody'`,
  'app.mjs': `
    import net from 'net'
    import dgram, { createSocket } from 'node:dgram'
    import { createRequire } from 'node:module'
    import { whose } from './whose.cjs'
    import old from 'old'
    import * as recent from 'new'
    import scoped from '@some/scoped'
    const require = createRequire(import.meta.url)
    console.log(JSON.stringify({
      program: [whose('net', net), whose('dgram', dgram), whose('net', await import('node:net')), whose('net', require('net'))],
      old: [...old.net.map((each) => whose('net', each)), ...old.dgram.map((each) => whose('dgram', each)), whose('net', await old.imported())],
      recent: [whose('net', recent.net), whose('dgram', recent.dgram)],
      scoped: [whose('net', scoped.net)],
      same: [createSocket === dgram.createSocket, old.Socket === net.Socket]
    }))`,
  'app.cjs': `
    const { whose } = require('./whose.cjs')
    const old = require('old')
    const net = require('node:net')
    const run = async () => console.log(JSON.stringify({
      program: [whose('net', net), whose('net', require('net')), whose('dgram', require('dgram')), whose('net', await import('net'))],
      old: [...old.net.map((each) => whose('net', each)), ...old.dgram.map((each) => whose('dgram', each)), whose('net', await old.imported())],
      scoped: [whose('net', require('@some/scoped').net)]
    }))
    run()`,
  'worker.mjs': `
    import net from 'net'
    import { Worker, isMainThread, parentPort } from 'node:worker_threads'
    import { whose } from './whose.cjs'
    if (isMainThread) new Worker(new URL(import.meta.url)).on('message', (seen) => console.log(seen))
    else parentPort.postMessage([whose('net', net), whose('net', process.getBuiltinModule('module').createRequire(import.meta.url)('old').net[0])].join())`,
  'echo.mjs': `
    import net from 'net'
    import dgram from 'dgram'
    import http from 'http'
    import { once } from 'events'
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = net.connect(server.address().port, '127.0.0.1')
    client.end('over tcp')
    let text = ''
    for await (const chunk of client) text += chunk
    server.close()
    const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(udp, 'listening')
    udp.send('over udp', udp.address().port)
    text += ', ' + (await once(udp, 'message'))[0]
    udp.close()
    const web = http.createServer((_request, response) => response.end('over http')).listen(0, '127.0.0.1')
    await once(web, 'listening')
    text += ', ' + await (await fetch('http://127.0.0.1:' + web.address().port, { headers: { connection: 'close' } })).text()
    web.close()
    console.log(text)`,
  'http.mjs': `
    import net from 'net'
    import http from 'http'
    import https from 'https'
    import { once } from 'events'
    const kinds = []
    const kindOf = (socket) => socket instanceof net.Socket ? 'ours' : 'node'
    const web = http.createServer((request, response) => {
      kinds.push(kindOf(request.socket))
      response.end(request.socket.remoteAddress)
    })
    const server = net.createServer((socket) => web.emit('connection', socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    http.globalAgent.createConnection = net.createConnection
    const text = await new Promise((resolve) => {
      const request = http.get({ port: server.address().port, host: '127.0.0.1' }, async (response) => {
        let body = ''
        for await (const chunk of response) body += chunk
        resolve(body)
      })
      request.on('socket', (socket) => kinds.push(kindOf(socket)))
    })
    http.globalAgent.destroy()
    web.closeIdleConnections()
    server.close()
    console.log(kinds.join(), text)`
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'coreactor-register-'))
  for (const [name, content] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  symlinkSync(ROOT, join(folder, 'node_modules/coreactor'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function node(args: readonly string[], packages?: string): { stdout: string; stderr: string; status: number | null } {
  const { COREACTOR_REGISTER: _, NODE_OPTIONS: __, ...env } = process.env
  if (packages !== undefined) env['COREACTOR_REGISTER'] = packages
  return spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', timeout: ENDS_MS })
}

/** What the program prints, from JSON. */
function told(args: readonly string[], packages?: string): unknown {
  const { stdout, stderr, status } = node(args, packages)
  expect([stderr, status]).toEqual(['', 0])
  return JSON.parse(stdout)
}

const REGISTER = ['--import', 'coreactor/register']
const all = (count: number, whose: string): string[] => Array.from({ length: count }, () => whose)

describe('coreactor/register', () => {
  it('gives a program of ES modules, and its packages of either kind, our modules', () => {
    expect(told([...REGISTER, 'app.mjs'])).toEqual({
      program: all(4, 'ours'),
      old: all(5, 'ours'),
      recent: all(2, 'ours'),
      scoped: ['ours'],
      same: [true, true]
    })
  })

  it('gives a program of CommonJS our modules', () => {
    expect(told([...REGISTER, 'app.cjs'])).toEqual({ program: all(4, 'ours'), old: all(5, 'ours'), scoped: ['ours'] })
  })

  it('can be required, as with `--require`', () => {
    expect(told(['--require', 'coreactor/register', 'app.cjs'])).toEqual({ program: all(4, 'ours'), old: all(5, 'ours'), scoped: ['ours'] })
  })

  it('changes nothing unless it is loaded', () => {
    expect(told(['app.cjs'])).toEqual({ program: all(4, 'node'), old: all(5, 'node'), scoped: ['node'] })
  })

  it('is limited to the packages that COREACTOR_REGISTER names', () => {
    expect(told([...REGISTER, 'app.mjs'], 'old, @some/scoped')).toEqual({
      program: all(4, 'node'),
      old: all(5, 'ours'),
      recent: all(2, 'node'),
      scoped: ['ours'],
      same: [true, false]
    })
    expect(told([...REGISTER, 'app.mjs'], 'new')).toMatchObject({ program: all(4, 'node'), old: all(5, 'node'), recent: all(2, 'ours') })
  })

  it('is limited to the program itself by a dot', () => {
    expect(told([...REGISTER, 'app.cjs'], '.')).toEqual({ program: all(4, 'ours'), old: all(5, 'node'), scoped: ['node'] })
  })

  it('is for all code if COREACTOR_REGISTER is empty', () => {
    expect(told([...REGISTER, 'app.cjs'], '')).toMatchObject({ program: all(4, 'ours'), scoped: ['ours'] })
  })

  it('does not start with a list that it does not understand, and says why', () => {
    const { stderr, status } = node([...REGISTER, 'app.cjs'], 'mysql2;ioredis')
    expect(status).toBe(1)
    expect(stderr).toContain('"mysql2;ioredis" is neither')
    expect(stderr).toContain('ERR_COREACTOR_REGISTER')
  })

  it('is for worker threads, too', () => {
    const { stdout, stderr, status } = node([...REGISTER, 'worker.mjs'])
    expect([stdout, stderr, status]).toEqual(['ours,ours\n', '', 0])
  })

  it('leaves the program working: TCP and UDP over ours, http and fetch over Node\'s own', () => {
    const { stdout, stderr, status } = node([...REGISTER, 'echo.mjs'])
    expect([stdout, stderr, status]).toEqual(['over tcp, over udp, over http\n', '', 0])
  })

  it('leaves http to be told of our sockets by what it documents', () => {
    const { stdout, stderr, status } = node([...REGISTER, 'http.mjs'])
    expect([stdout, stderr, status]).toEqual(['ours,ours 127.0.0.1\n', '', 0])
  })
})

describe('whose modules are replaced', () => {
  const home = pathToFileURL(join(ROOT, 'dist/')).href
  const of = (packages: string | undefined, parent: string | undefined, specifier = 'net'): string | null =>
    replacement({ packages: packagesOf(packages), home }, specifier, parent)

  it('is told by the last folder of packages in the path', () => {
    expect(of('mysql2', 'file:///app/node_modules/mysql2/lib/connection.js')).toBe('net')
    expect(of('mysql2', 'file:///app/node_modules/.pnpm/mysql2@3.0.0/node_modules/mysql2/index.js')).toBe('net')
    expect(of('mysql2', 'file:///app/node_modules/mysql2/node_modules/long/index.js')).toBe(null)
    expect(of('@a/b', 'file:///app/node_modules/%40a/b/index.js')).toBe('net')
    expect(of('@a/b', 'file:///app/node_modules/@a/c/index.js')).toBe(null)
    expect(of('.', 'file:///app/index.js')).toBe('net')
    expect(of('.', undefined)).toBe('net')
  })

  it('never includes this library, nor any other module', () => {
    expect(of(undefined, `${home}node/net.js`)).toBe(null)
    expect(of(undefined, 'file:///app/index.js', 'node:dgram')).toBe('dgram')
    expect(of(undefined, 'file:///app/index.js', 'node:tls')).toBe(null)
    expect(of(undefined, 'file:///app/index.js', './net')).toBe(null)
  })

  it.each(['a b', '@scope', '@/x', 'a/b', 'a,,b', ',', '..'])('refuses %o', (list) => {
    expect(() => packagesOf(list)).toThrow(expect.objectContaining({ code: 'ERR_COREACTOR_REGISTER' }))
  })
})
