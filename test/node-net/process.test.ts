/** What keeps the process alive: the same as with Node's sockets. Each program runs by itself, over either module. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { ENDS_MS } from '../patience.js'
import { onBoth } from './both.js'

const DIST = new URL('../../dist/net.js', import.meta.url).href
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

onBoth((_net, name) => {
  /** What the program prints; one that does not end by itself in so many milliseconds is killed, and that is said, too. */
  function output(program: string, patience: number): string {
    const source = `import net from '${name === 'node:net' ? 'node:net' : DIST}'\nprocess.on('exit', () => console.log('exit'))\n${program}`
    const { stdout, stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
      cwd: ROOT, encoding: 'utf8', timeout: patience
    })
    return `${stdout}${stderr}${signal === null ? '' : 'goes on'}`.trim().replaceAll('\n', ' ')
  }

  it.each([
    ['a server that listens', `net.createServer().listen(0)`, 'goes on'],
    ['a server that is not referenced', `net.createServer().listen(0).unref()`, 'exit'],
    ['a server that is closed', `const s = net.createServer().listen(0, () => s.close())`, 'exit'],
    ['a server that lets go later', `const s = net.createServer().listen(0, () => s.unref())`, 'exit'],
    ['a socket that was never connected', `new net.Socket()`, 'exit'],
    [
      'a connection on which nothing happens',
      `const s = net.createServer().listen(0, () => { s.unref(); net.connect(s.address().port) })`,
      'goes on'
    ],
    [
      'two sides that are not referenced',
      `const s = net.createServer((c) => c.unref()).listen(0, () => { s.unref(); const c = net.connect(s.address().port, () => c.unref()) })`,
      'exit'
    ],
    [
      'a connection that is ended',
      `const s = net.createServer((c) => c.end('x')).listen(0, () => net.connect(s.address().port).on('close', () => { console.log('closed'); s.close() }).resume())`,
      'closed exit'
    ],
    [
      'a write before process.exit in its callback',
      `const s = net.createServer((c) => c.write('x', () => { console.log(c.bytesWritten); process.exit() })).listen(0, () => net.connect(s.address().port))`,
      '1 exit'
    ],
    ['an idle timeout', `const s = net.createServer().listen(0, () => { s.unref(); const c = net.connect(s.address().port, () => { c.unref(); c.setTimeout(60_000) }) }); s.on('connection', (c) => c.unref())`, 'exit'],
    [
      'a refused connection, and nobody listens to its error',
      `process.on('uncaughtException', (e) => console.log(e.code)); net.connect(1, '127.0.0.1')`,
      'ECONNREFUSED exit'
    ]
  ])('%s', (_what, program, expected) => {
    // That it ends is waited for, however busy the machine is.
    expect(output(program, expected === 'goes on' ? 3000 : ENDS_MS)).toBe(expected)
  })
})
