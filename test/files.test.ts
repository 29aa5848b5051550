/** Files through the pool: what each call does, how it fails, and what a cancelled one leaves behind. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdtempSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import * as nodeFs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  all,
  blocking,
  BusyError,
  Cancelled,
  checkpoint,
  ClosedError,
  DetachedBufferError,
  fd,
  FdInUseError,
  FileLock,
  LimitError,
  moveOnAfter,
  op,
  race,
  run,
  scope,
  spawn,
  UnexpectedEndError,
  until,
  type Coroutine,
  type Op
} from 'coreactor'
import { allParked } from 'coreactor/testing'
import { currentRuntime } from '../lib/runtime/current.js'
import { caught, pair, pattern, readAll } from './support.js'

let directory: string
let before: Set<string>

const at = (name: string): string => join(directory, name)

/** The files below the test's directory that this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((n) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${n}`)
      return link.startsWith(directory) ? [link] : []
    } catch {
      return []
    }
  })
}

/** Fds that are closed by a job are so a moment after the test's last operation. */
async function untilClosed(): Promise<string[]> {
  for (const deadline = Date.now() + 10_000; openFiles().length > 0 && Date.now() < deadline; ) await new Promise(setImmediate)
  return openFiles()
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'coreactor-files-'))
  before = new Set(openFiles())
})

afterEach(async () => {
  expect((await untilClosed()).filter((link) => !before.has(link))).toEqual([])
  rmSync(directory, { recursive: true })
})

/** The error of a call of Node's on the same, which ours is to look like. */
async function nodes(call: Promise<unknown>): Promise<Record<string, unknown>> {
  const { code, syscall, errno, path, dest, message } = (await call.catch((error: unknown) => error)) as Record<string, unknown>
  return Object.fromEntries(Object.entries({ code, syscall, errno, path, dest, message }).filter(([, value]) => value !== undefined))
}

describe('whole files', () => {
  it('are written, added to and read: text, bytes, nothing, and more than one job takes', async () => {
    await run(function* () {
      yield* blocking.writeFile(at('text'), 'grüße\n')
      yield* blocking.appendFile(at('text'), [Buffer.from('a'), Buffer.from('b')])
      expect(yield* blocking.readFile(at('text'), 'utf8')).toBe('grüße\nab')
      expect(yield* blocking.readFile(Buffer.from(at('text')), { encoding: 'latin1' })).toBe(readFileSync(at('text'), 'latin1'))
      yield* blocking.writeFile(pathToFileURL(at('empty')), '')
      expect(yield* blocking.readFile(at('empty'))).toEqual(Buffer.alloc(0))
      for (const size of [1, 4096, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2_500_000]) {
        const contents = pattern(size)
        yield* blocking.writeFile(at('big'), contents)
        expect((yield* blocking.readFile(at('big'))).equals(contents)).toBe(true)
      }
      // A size of 0 is not believed.
      expect(yield* blocking.readFile('/proc/self/status', 'utf8')).toContain('Name:')
    })
    expect(statSync(at('big')).size).toBe(2_500_000)
  })

  it('flags and mode are those of Node', async () => {
    await run(function* () {
      yield* blocking.writeFile(at('secret'), 'x', { flags: 'wx', mode: 0o600 })
      expect(statSync(at('secret')).mode & 0o777).toBe(0o600)
      expect(yield* caught(() => blocking.writeFile(at('secret'), 'y', { flags: 'wx' }))).toMatchObject({ code: 'EEXIST', syscall: 'open' })
      yield* blocking.writeFile(at('secret'), 'z', { flags: 'a' })
    })
    expect(readFileSync(at('secret'), 'utf8')).toBe('xz')
  })

  it('a FIFO is read and written like a file, by one that waits for the other', async () => {
    execFileSync('mkfifo', [at('fifo')])
    await run(function* () {
      const reading = spawn(() => blocking.readFile(at('fifo'), 'utf8'))
      yield* blocking.writeFile(at('fifo'), 'through')
      expect(yield* reading).toBe('through')
    })
  })
})

describe('errors', () => {
  it('look like those of node:fs: code, errno, syscall, path, dest and message', async () => {
    mkdirSync(at('full'))
    writeFileSync(at('full/x'), '')
    const none = at('none')
    const cases: [string, () => Op<unknown>, () => Promise<unknown>][] = [
      ['open', () => blocking.open(none), () => nodeFs.open(none)],
      ['stat', () => blocking.stat(none), () => nodeFs.stat(none)],
      ['lstat', () => blocking.lstat(none), () => nodeFs.lstat(none)],
      ['unlink', () => blocking.unlink(none), () => nodeFs.unlink(none)],
      ['rmdir', () => blocking.rmdir(at('full')), () => nodeFs.rmdir(at('full'))],
      ['mkdir', () => blocking.mkdir(at('full')), () => nodeFs.mkdir(at('full'))],
      ['mkdir -p', () => blocking.mkdir(at('full/x'), { recursive: true }), () => nodeFs.mkdir(at('full/x'), { recursive: true })],
      ['rename', () => blocking.rename(none, at('other')), () => nodeFs.rename(none, at('other'))],
      ['readdir', () => blocking.readdir(none), () => nodeFs.readdir(none)],
      ['readFile', () => blocking.readFile(none), () => nodeFs.readFile(none)],
      ['writeFile', () => blocking.writeFile(directory, 'x'), () => nodeFs.writeFile(directory, 'x')]
    ]
    await run(function* () {
      for (const [name, call, expected] of cases) {
        const error = yield* caught(call)
        expect([name, error]).toEqual([name, expect.objectContaining(yield* until(nodes(expected())))])
      }
    })
  })

  it('of an fd have no path, and of a File that of its file', async () => {
    writeFileSync(at('x'), 'x')
    await run(function* () {
      expect(yield* caught(() => blocking.fsync(0x7fff_fffe))).toMatchObject({ code: 'EBADF', syscall: 'fsync', message: 'fsync EBADF: bad file descriptor' })
      const file = yield* blocking.open(at('x'))
      expect(yield* caught(() => file.write('y'))).toMatchObject({ code: 'EBADF', syscall: 'write', path: at('x') })
      yield* file.close()
      const folder = yield* blocking.open(directory)
      expect(yield* caught(() => folder.readSome())).toMatchObject({ code: 'EISDIR', syscall: 'read', path: directory })
      yield* folder.close()
    })
  })
})

describe('names', () => {
  it('directories are made, listed and removed', async () => {
    await run(function* () {
      yield* blocking.mkdir(at('a/b/c'), { recursive: true, mode: 0o700 })
      yield* blocking.mkdir(at('a/b/c'), { recursive: true })
      expect(statSync(at('a/b')).mode & 0o777).toBe(0o700)
      writeFileSync(at('a/file'), '')
      symlinkSync('file', at('a/link'))
      execFileSync('mkfifo', [at('a/fifo')])
      expect((yield* blocking.readdir(at('a'))).sort()).toEqual(['b', 'fifo', 'file', 'link'])
      const kinds = (yield* blocking.readdir(at('a'), { withFileTypes: true })).map((entry) => [
        entry.name,
        entry.isFile(),
        entry.isDirectory(),
        entry.isSymbolicLink(),
        entry.isFIFO()
      ])
      expect(kinds.sort()).toEqual([
        ['b', false, true, false, false],
        ['fifo', false, false, false, true],
        ['file', true, false, false, false],
        ['link', false, false, true, false]
      ])
      expect(yield* blocking.readdir(at('a/b/c'))).toEqual([])
      yield* blocking.rmdir(at('a/b/c'))
      yield* blocking.unlink(at('a/link'))
      yield* blocking.rename(at('a/file'), at('a/renamed'))
    })
    expect(readdirSync(at('a')).sort()).toEqual(['b', 'fifo', 'renamed'])
  })

  it('stat follows a link and lstat does not', async () => {
    writeFileSync(at('file'), '12345')
    symlinkSync('file', at('link'))
    const [followed, itself] = await run(() => all([blocking.stat(at('link')), blocking.lstat(at('link'))]))
    expect([followed.isFile(), followed.size, followed.ino]).toEqual([true, 5, statSync(at('file')).ino])
    expect([itself.isSymbolicLink(), itself.ino]).toEqual([true, lstatSync(at('link')).ino])
  })

  it('a file is cut off, or made longer, by its path and by its fd', async () => {
    writeFileSync(at('file'), '0123456789')
    await run(function* () {
      yield* blocking.truncate(at('file'), 4)
      expect(readFileSync(at('file'), 'latin1')).toBe('0123')
      const n = openSync(at('file'), 'r+')
      yield* blocking.truncate(n, 6)
      closeSync(n)
    })
    expect(readFileSync(at('file'), 'latin1')).toBe('0123\0\0')
  })
})

describe('copying', () => {
  it('gives the bytes, the mode and their number; of what has no size, too', async () => {
    const contents = pattern(700_000)
    writeFileSync(at('from'), contents, { mode: 0o640 })
    await run(function* () {
      expect(yield* blocking.copyFile(at('from'), at('to'))).toBe(700_000)
      expect(statSync(at('to')).mode & 0o777).toBe(0o640)
      // Over a longer one.
      writeFileSync(at('to'), pattern(900_000, 2))
      yield* blocking.copyFile(at('from'), at('to'))
      expect(readFileSync(at('to')).equals(contents)).toBe(true)
      expect(yield* blocking.copyFile('/proc/self/limits', at('limits'))).toBeGreaterThan(100)
    })
    expect(readFileSync(at('limits'), 'utf8')).toContain('Max open files')
  })

  it('onto itself changes nothing, and exclusively nothing that is there', async () => {
    writeFileSync(at('file'), 'contents')
    writeFileSync(at('other'), 'mine')
    await run(function* () {
      yield* blocking.copyFile(at('file'), at('file'))
      expect(yield* caught(() => blocking.copyFile(at('file'), at('other'), { exclusive: true }))).toMatchObject({ code: 'EEXIST', path: at('other') })
    })
    expect([readFileSync(at('file'), 'utf8'), readFileSync(at('other'), 'utf8')]).toEqual(['contents', 'mine'])
  })

  it('that is called off leaves no part of a copy, and one that fails neither', async () => {
    // Sparse: it takes no room, and many jobs.
    writeFileSync(at('from'), '')
    await run(function* () {
      yield* blocking.truncate(at('from'), 300 * 1024 * 1024)
      const copying = spawn(() => blocking.copyFile(at('from'), at('to')))
      while (!existsSync(at('to'))) yield* checkpoint()
      copying.cancel()
      yield* caught(() => copying)
      expect(copying.state).toBe('ended')
      expect(existsSync(at('to'))).toBe(false)
      expect(yield* caught(() => blocking.copyFile(directory, at('to')))).toMatchObject({ code: 'EISDIR', path: directory, dest: at('to') })
      expect(existsSync(at('to'))).toBe(false)
    })
  })
})

describe('a file that is open', () => {
  it('is read and written at a position, which moves nothing, and at its own place', async () => {
    await run(function* () {
      const file = yield* blocking.open(at('file'), 'w+')
      expect(yield* file.write('0123456789')).toBe(10)
      expect(yield* file.write(['ab', 'c'].map((text) => Buffer.from(text)), { position: 4 })).toBe(3)
      expect(yield* file.write('X')).toBe(1)
      const into = Buffer.alloc(4)
      expect(yield* file.read(into, { position: 3 })).toBe(4)
      expect(String(into)).toBe('3abc')
      const [first, second] = [Buffer.alloc(2), Buffer.alloc(30)]
      expect(yield* blocking.readv(file, [first, second], { position: 0 })).toBe(11)
      expect(`${String(first)}|${second.toString('latin1', 0, 9)}`).toBe('01|23abc789X')
      expect(yield* blocking.read(file, into)).toBe(0)
      expect(yield* blocking.writev(file, [Buffer.from('!')], { position: 0 })).toBe(1)
      expect([file.bytesWritten, (yield* file.stat()).size]).toEqual([14, 11])
      yield* file.datasync()
      yield* file.sync()
      yield* file.truncate(3)
      yield* file.close()
    })
    expect(readFileSync(at('file'), 'utf8')).toBe('!12')
  })

  it('reads like a connection: lines, frames, a look ahead, what is put back, and its end', async () => {
    writeFileSync(at('file'), `${'x'.repeat(70_000)}\nsecond\r\n\nHEAD\r\n\r\nbodyrest`)
    await run(function* () {
      const file = yield* blocking.open(at('file'))
      const error = yield* caught(() => file.readLine({ limit: 1000 }))
      expect(error).toBeInstanceOf(LimitError)
      expect((yield* file.readLine({ limit: 100_000 }))?.length).toBe(70_000)
      expect(yield* file.readLine()).toBe('second')
      expect(yield* file.readLine()).toBe('')
      expect(String(yield* file.peek(4))).toBe('HEAD')
      expect(String(yield* file.readUntil('\r\n\r\n'))).toBe('HEAD\r\n\r\n')
      expect(String(yield* file.readExactly(4))).toBe('body')
      file.unread(Buffer.from('the '))
      expect(file.bufferedInput).toBe(8)
      expect(yield* file.skipUntil('e')).toBe(true)
      expect(yield* file.readLine()).toBe(' rest')
      expect(yield* file.readLine()).toBeNull()
      expect(yield* file.readSome()).toBeNull()
      expect(yield* caught(() => file.readExactly(1))).toBeInstanceOf(UnexpectedEndError)
      // A file that grows is read on.
      writeFileSync(at('file'), 'more\n', { flag: 'a' })
      expect(yield* file.readLine()).toBe('more')
      yield* file.close()
    })
  })

  it('is iterated over, and closed by `await using`', async () => {
    const contents = pattern(200_000)
    writeFileSync(at('file'), contents)
    const chunks: Buffer[] = []
    await run(async () => {
      const file = await blocking.open(at('file'))
      try {
        for await (const chunk of file) chunks.push(chunk)
      } finally {
        await file[Symbol.asyncDispose]()
      }
      expect(file.closed).toBe(true)
    })
    expect(Buffer.concat(chunks).equals(contents)).toBe(true)
  })

  it('goes to a connection, comes from one, and to another file', async () => {
    const contents = pattern(1_500_000)
    writeFileSync(at('from'), contents)
    await run(function* () {
      const [client, server] = yield* pair()
      const receiving = spawn(() => readAll(server))
      const file = yield* blocking.open(at('from'))
      expect(yield* file.pipeTo(client)).toBe(1_500_000)
      expect((yield* receiving).equals(contents)).toBe(true)
      yield* file.close()

      const upload = yield* blocking.open(at('upload'), 'wx')
      const storing = spawn(() => client.pipeTo(upload))
      yield* server.write(contents)
      yield* server.closeWrite()
      expect(yield* storing).toBe(1_500_000)
      expect(upload.closed).toBe(true)
      yield* client.close()
      yield* server.close()

      const [source, target] = yield* all([blocking.open(at('from')), blocking.open(at('copy'), 'w')])
      expect(yield* source.pipeTo(target, { end: false })).toBe(1_500_000)
      yield* target.write('end')
      yield* all([source.close(), target.close()])
    })
    expect(readFileSync(at('upload')).equals(contents)).toBe(true)
    expect(statSync(at('copy')).size).toBe(1_500_003)
  })

  it('is sent with sendfile', async () => {
    const contents = pattern(400_000)
    writeFileSync(at('file'), contents)
    await run(function* () {
      const [client, server] = yield* pair()
      const receiving = spawn(() => readAll(server))
      const file = yield* blocking.open(at('file'))
      expect(yield* client.sendFile(file)).toBe(400_000)
      yield* client.closeWrite()
      expect((yield* receiving).equals(contents)).toBe(true)
      yield* file.close()
      yield* client.close()
      yield* server.close()
    })
  })

  it('what a file cannot take of a connection is read from the connection next', async () => {
    await run(function* () {
      const [client, server] = yield* pair()
      const full = yield* blocking.open('/dev/full', 'w')
      yield* client.write('precious')
      expect(yield* caught(() => server.pipeTo(full))).toMatchObject({ code: 'ENOSPC', syscall: 'write', path: '/dev/full' })
      expect(String(yield* server.readExactly(8))).toBe('precious')
      yield* full.close()
      yield* client.close()
      yield* server.close()
    })
  })

  it('a FIFO that was opened not to block is read and written as any other: who reads it, or finds it full, waits', async () => {
    execFileSync('mkfifo', [at('fifo')])
    const more = pattern(300_000)
    await run(function* () {
      const file = yield* blocking.open(at('fifo'), constants.O_RDONLY | constants.O_NONBLOCK)
      const writer = yield* blocking.open(at('fifo'), constants.O_WRONLY | constants.O_NONBLOCK)
      // Each finds nothing, or no room, and waits in a thread.
      const reading = spawn(() => file.readSome())
      while (blocking.statistics().waits.running === 0) yield* checkpoint()
      yield* writer.write('first')
      expect(String(yield* reading)).toBe('first')
      const writing = spawn(() => writer.write(more))
      while (blocking.statistics().waits.running === 0) yield* checkpoint()
      const received = spawn(() => readAll(file))
      expect(yield* writing).toBe(more.length)
      yield* writer.close()
      expect(yield* received).toEqual(more)
      yield* file.close()
    })
  })

  it('has one reader, belongs to one owner, and is closed for all', async () => {
    execFileSync('mkfifo', [at('fifo')])
    await run(function* () {
      // Nothing comes: the reader waits.
      const [file, writer] = yield* all([blocking.open(at('fifo')), blocking.open(at('fifo'), 'w')])
      const reading = spawn(() => caught(() => file.readSome()))
      yield* checkpoint()
      expect(yield* caught(() => file.readSome())).toBeInstanceOf(BusyError)
      expect(() => fd(file.fd, { own: true })).toThrow(FdInUseError)
      yield* file.close()
      expect(yield* reading).toBeInstanceOf(ClosedError)
      yield* writer.close()
      yield* file.close()
      expect([file.fd, file.closed]).toEqual([-1, true])
      for (const use of [() => file.readSome(), () => file.write('x'), () => file.stat(), () => file.lock()] as (() => Op<unknown>)[]) {
        expect(yield* caught(use)).toBeInstanceOf(ClosedError)
      }
    })
  })

  it('is closed when the calls on it have ended, and not under them', async () => {
    const contents = pattern(1_000_000)
    await run(function* () {
      const file = yield* blocking.open(at('file'), 'w')
      const writes = Array.from({ length: 20 }, (_, i) => spawn(() => file.write(contents, { position: i * contents.length })))
      yield* checkpoint()
      yield* file.close()
      for (const write of writes) expect(yield* write).toBe(contents.length)
    })
    expect(statSync(at('file')).size).toBe(20_000_000)
  })

  it('is closed although the scope has been cancelled, and although closing is called off', async () => {
    writeFileSync(at('file'), '')
    await run(function* () {
      yield* scope(function* (inside) {
        const file = yield* blocking.open(at('file'))
        inside.cancel()
        expect(yield* caught(() => file.close())).toBeInstanceOf(Cancelled)
        expect(file.closed).toBe(true)
      })
      const file = yield* blocking.open(at('file'))
      const closing = spawn(() => file.close())
      yield* checkpoint()
      closing.cancel()
      yield* caught(() => closing)
    })
    expect(await untilClosed()).toEqual([])
  })
})

describe('locks', () => {
  it('keep others out until they are released, and shared ones only exclusive ones', async () => {
    writeFileSync(at('lock'), '')
    await run(function* () {
      const [first, second, third] = yield* all([1, 2, 3].map(() => blocking.open(at('lock'))))
      if (first === undefined || second === undefined || third === undefined) throw new Error('three files')
      const held = yield* first.lock()
      expect(yield* second.tryLock()).toBeNull()
      const waiting = spawn(() => second.lock({ shared: true }))
      yield* allParked()
      expect(waiting.state).toBe('parked')
      yield* held.release()
      yield* held.release()
      const shared = yield* waiting
      const alsoShared = yield* third.tryLock({ shared: true })
      expect(alsoShared).not.toBeNull()
      expect(yield* first.tryLock()).toBeNull()
      yield* shared.release()
      yield* third.close()
      yield* (yield* blocking.flock(first)).release()
      yield* all([first.close(), second.close()])
    })
  })

  it('that are waited for hold no thread, so that any number may wait, and are called off at once', async () => {
    writeFileSync(at('lock'), '')
    await run(function* () {
      const holder = yield* blocking.open(at('lock'))
      const lock = yield* holder.lock()
      const files = yield* all(Array.from({ length: 40 }, () => blocking.open(at('lock'))))
      const waiters = files.map((file) => spawn(() => file.lock()))
      yield* allParked()
      // More waiters than threads, and the one who holds it needs a thread.
      expect((yield* holder.stat()).isFile()).toBe(true)
      for (const waiter of waiters.slice(1)) waiter.cancel()
      for (const waiter of waiters.slice(1)) yield* caught(() => waiter)
      yield* lock.release()
      // Nobody who was called off has it.
      yield* (yield* (waiters[0] as Op<FileLock>)).release()
      expect(yield* holder.tryLock()).not.toBeNull()
      yield* all([holder, ...files].map((file) => file.close()))
    })
  })

  it('are released in a cancelled scope', async () => {
    writeFileSync(at('lock'), '')
    await run(function* () {
      const [first, second] = yield* all([blocking.open(at('lock')), blocking.open(at('lock'))])
      yield* moveOnAfter(0, function* () {
        const lock = yield* first.lock()
        try {
          for (;;) yield* checkpoint()
        } finally {
          yield* lock.release()
        }
      })
      expect(yield* second.tryLock()).not.toBeNull()
      yield* all([first.close(), second.close()])
    })
  })
})

describe('cancelling', () => {
  it('an open that waits is queued among its like; abandoned, its fd is closed when it comes', async () => {
    execFileSync('mkfifo', [at('fifo')])
    await run(function* () {
      const opening = spawn(() => blocking.open(at('fifo'), 'r', { abandon: true }))
      yield* waitsFor(1)
      opening.cancel()
      yield* caught(() => opening)
      expect(blocking.running()).toEqual([{ what: `open ${at('fifo')}`, ms: expect.any(Number), abandoned: true }])
      const writer = yield* blocking.open(at('fifo'), constants.O_WRONLY | constants.O_NONBLOCK)
      yield* waitsFor(0)
      // It was opened, and closed again: nobody reads.
      expect(yield* caught(() => writer.write('x'))).toMatchObject({ code: 'EPIPE' })
      yield* writer.close()
    })
  })

  it('an open that has been begun is waited for, and what it has opened is closed', async () => {
    execFileSync('mkfifo', [at('fifo')])
    await run(function* () {
      const opening = spawn(() => blocking.open(at('fifo')))
      yield* waitsFor(1)
      opening.cancel()
      yield* checkpoint()
      expect(opening.state).toBe('parked')
      const writer = yield* blocking.open(at('fifo'), 'w')
      expect(yield* caught(() => opening)).toMatchObject({ code: 'ERR_COREACTOR_TASK_CANCELLED' })
      yield* untilIdle()
      expect(yield* caught(() => writer.write('x'))).toMatchObject({ code: 'EPIPE' })
      yield* writer.close()
    })
  })

  it('a file that was opened, or a lock that was taken, for who has lost a race at that very moment is nobody\'s', async () => {
    writeFileSync(at('file'), '')
    await run(function* () {
      const [first, second] = yield* all([blocking.open(at('file')), blocking.open(at('file'))])
      for (let i = 0; i < 50; i++) {
        // Who wins has to do it itself.
        yield* (yield* race([endsFirst(() => openFiles().length === 2), blocking.open(at('file'))]))?.close() ?? checkpoint()
        yield* (yield* race([endsFirst(() => !isLocked(at('file'))), first.lock()]))?.release() ?? checkpoint()
        yield* untilIdle()
        const lock = yield* second.tryLock()
        expect(lock).not.toBeNull()
        yield* lock?.release() as Op<void>
      }
      yield* all([first.close(), second.close()])
    })
  })

  it('what has happened when a race is lost is not undone, nor reported as if it had not', async () => {
    writeFileSync(at('from'), '')
    for (let i = 0; i < 50; i++) {
      await run(function* () {
        let done = false
        const renaming = op(function* () {
          yield* blocking.rename(at('from'), at('to'))
          done = true
        })
        yield* race([endsFirst(() => !existsSync(at('to'))), renaming])
        expect(done).toBe(true)
        yield* blocking.rename(at('to'), at('from'))
      })
    }
  })
})

/** Ends in a turn that begins when a thread has done its work, and before the one who waits for that has its step: most times. */
function endsFirst(busy: () => boolean): Op<void> {
  return op(function* () {
    yield* checkpoint()
    while (busy()) continue
    yield* checkpoint()
  })
}

/** Whether anybody has a lock on the file. */
function isLocked(path: string): boolean {
  const inode = `:${statSync(path).ino} `
  return readFileSync('/proc/locks', 'utf8').split('\n').some((line) => line.includes(' FLOCK ') && line.includes(inode))
}

function* untilIdle(): Coroutine<void> {
  while (blocking.running().length > 0) yield* checkpoint()
}

/** Turns until so many calls that wait are being made. */
function* waitsFor(count: number): Coroutine<void> {
  while (blocking.statistics().waits.running !== count) yield* checkpoint()
}

describe('memory', () => {
  it('hazard 57: a buffer that was transferred while it is read into is an error, and is not written to', async () => {
    writeFileSync(at('file'), 'contents')
    await run(function* () {
      const file = yield* blocking.open(at('file'))
      const into = new Uint8Array(100)
      const reading = spawn(() => caught(() => file.read(into, { position: 0 })))
      yield* checkpoint()
      const theirs = new Uint8Array(structuredClone(into.buffer, { transfer: [into.buffer] }))
      const error = yield* reading
      expect(error).toBeInstanceOf(DetachedBufferError)
      expect(error).toMatchObject({ code: 'ERR_COREACTOR_DETACHED', bytesLost: 8 })
      expect(theirs.every((byte) => byte === 0)).toBe(true)
      yield* file.close()
    })
  })

  it('hazard 57: data that were transferred before their turn are an error, and what is written is what was given', async () => {
    await run(function* () {
      const file = yield* blocking.open(at('file'), 'w+')
      const small = new Uint8Array(10).fill(65)
      const writing = spawn(() => file.write(small))
      yield* checkpoint()
      // The thread has its own copy by now.
      structuredClone(small.buffer, { transfer: [small.buffer] })
      expect(yield* writing).toBe(10)
      expect(yield* caught(() => file.write(small))).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
      const late = new Uint8Array(10)
      const writingLate = file.write(late)
      structuredClone(late.buffer, { transfer: [late.buffer] })
      expect(yield* caught(() => writingLate)).toBeInstanceOf(DetachedBufferError)
      yield* file.close()
    })
    expect(readFileSync(at('file'), 'latin1')).toBe('A'.repeat(10))
  })

  it('hazard 57: a buffer that shrinks gets what has room, and the rest is told to be lost', async () => {
    writeFileSync(at('file'), 'contents')
    const Resizable = ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer & { resize(size: number): void }
    const memory = new Resizable(100, { maxByteLength: 100 })
    await run(function* () {
      const file = yield* blocking.open(at('file'))
      const reading = spawn(() => caught(() => blocking.read(file, new Uint8Array(memory))))
      yield* checkpoint()
      memory.resize(3)
      expect(yield* reading).toMatchObject({ code: 'ERR_COREACTOR_DETACHED', bytesLost: 5 })
      expect(Buffer.from(memory).toString()).toBe('con')
      yield* file.close()
    })
  })

  it('hazard 58: reading with collections of garbage in between gives every byte', async () => {
    const contents = pattern(3_000_000)
    writeFileSync(at('file'), contents)
    await run(function* () {
      const read = yield* all(Array.from({ length: 20 }, (_, i) => spawn(() => partOf(at('file'), i * 1000, 100_000))))
      for (const [i, part] of read.entries()) expect(part.equals(contents.subarray(i * 1000, i * 1000 + 100_000))).toBe(true)
    })
  })
})

function* partOf(path: string, position: number, length: number): Coroutine<Buffer> {
  const file = yield* blocking.open(path)
  const into = Buffer.alloc(length)
  const count = yield* file.read(into, { position })
  yield* file.close()
  return into.subarray(0, count)
}

describe('bad arguments are refused at once, before any effect', () => {
  it.each<[string, () => unknown, string]>([
    ['a path that is a number', () => blocking.open(5 as never), 'ERR_INVALID_ARG_TYPE'],
    ['a path that is empty', () => blocking.stat(''), 'ERR_INVALID_ARG_VALUE'],
    ['a path with a NUL', () => blocking.readFile('a\0b'), 'ERR_INVALID_ARG_VALUE'],
    ['bytes with a NUL', () => blocking.unlink(Buffer.from('a\0')), 'ERR_INVALID_ARG_VALUE'],
    ['flags that are none', () => blocking.open('x', 'q' as never), 'ERR_INVALID_ARG_VALUE'],
    ['a mode out of range', () => blocking.open('x', 'w', { mode: 0o10000 }), 'ERR_OUT_OF_RANGE'],
    ['an encoding that is none', () => blocking.readFile('x', 'klingon' as never), 'ERR_INVALID_ARG_VALUE'],
    ['a buffer that is text', () => blocking.read(0, 'x' as never), 'ERR_INVALID_ARG_TYPE'],
    ['a buffer that is empty', () => blocking.read(0, new Uint8Array(0)), 'ERR_INVALID_ARG_VALUE'],
    ['no buffers', () => blocking.readv(0, []), 'ERR_INVALID_ARG_TYPE'],
    ['data that are a number', () => blocking.write(1, 5 as never), 'ERR_INVALID_ARG_TYPE'],
    ['data of which one is a number', () => blocking.writeFile('x', [5] as never), 'ERR_INVALID_ARG_TYPE'],
    ['a negative position', () => blocking.read(0, new Uint8Array(1), { position: -1 }), 'ERR_OUT_OF_RANGE'],
    ['a position with a fraction', () => blocking.write(1, 'x', { position: 0.5 }), 'ERR_OUT_OF_RANGE'],
    ['a negative length', () => blocking.truncate('x', -1), 'ERR_OUT_OF_RANGE'],
    ['an abandon that is text', () => blocking.rename('x', 'y', { abandon: 'no' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a recursive that is text', () => blocking.mkdir('x', { recursive: 'yes' as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a lock of another kind', () => blocking.flock(0, { shared: 1 as never }), 'ERR_INVALID_ARG_TYPE'],
    ['an fd that is text', () => blocking.fsync('x' as never), 'ERR_INVALID_ARG_TYPE'],
    ['a pid of nobody', () => blocking.waitpid(0), 'ERR_OUT_OF_RANGE'],
    ['a limit of nothing', () => blocking.configure({ files: 0 }), 'ERR_OUT_OF_RANGE']
  ])('%s', (_, use, code) => {
    expect(use).toThrow(expect.objectContaining({ code }))
  })

  it('a job that there is none of is refused by the kernel', async () => {
    await run(function* () {
      yield* checkpoint()
      const { kernel } = currentRuntime()
      expect(kernel.submit({ kind: 'teleport' } as never, 2, 0)).toBe(-22)
      expect(kernel.submit({ kind: 'read', fd: 0, length: 0, position: -1, waits: false }, 2, 0)).toBe(-22)
      expect(kernel.submit({ kind: 'open', path: 5 as never, flags: 0, mode: 0, waits: false }, 2, 0)).toBe(-22)
    })
  })
})
