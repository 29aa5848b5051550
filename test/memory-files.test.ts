/** Files on the memory kernel: they answer as the system's do, belong to the kernel, and leave nothing open. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { all, blocking, connect, moveOnAfter, now, race, run, serve, sleep, spawn, checkpoint, type Coroutine, type File, type Op } from 'coreactor'
import { MemoryKernel } from 'coreactor/testing'
import { readAll } from './support.js'

/** What a call gives, or what its error says. */
function* outcome(call: () => Op<unknown> | Coroutine<unknown>): Coroutine<unknown> {
  try {
    return yield* call() as Coroutine<unknown>
  } catch (error) {
    const { code, syscall } = error as { code: string; syscall: string }
    return { code, syscall }
  }
}

type Call = (at: (name: string) => string, files: Map<string, File>) => Op<unknown> | Coroutine<unknown>

/** One after the other, in a directory that is empty at first. */
const calls: Record<string, Call> = {
  'writes a file': (at) => blocking.writeFile(at('a'), 'one'),
  'adds to it': (at) => blocking.appendFile(at('a'), ['/', 'two'].map((text) => Buffer.from(text))),
  'reads it': (at) => blocking.readFile(at('a'), 'utf8'),
  'reads one that is not there': (at) => blocking.readFile(at('none')),
  'reads a directory as a file': (at) => blocking.readFile(at('')),
  'writes where there is no directory': (at) => blocking.writeFile(at('none/a'), ''),
  'writes below a file': (at) => blocking.writeFile(at('a/b'), ''),
  'makes what is there, exclusively': (at) => blocking.writeFile(at('a'), '', { flags: 'wx' }),
  'writes a large file': (at) => blocking.writeFile(at('large'), Buffer.alloc(2_500_000, 'abc')),
  'reads a large file': (at) => digest(blocking.readFile(at('large'))),
  'cuts it': (at) => blocking.truncate(at('large'), 5),
  'makes it longer': (at) => blocking.truncate(at('large'), 8),
  'reads what was cut': (at) => blocking.readFile(at('large'), 'latin1'),
  'makes a directory': (at) => blocking.mkdir(at('d')),
  'makes it again': (at) => blocking.mkdir(at('d')),
  'makes it again, recursively': (at) => blocking.mkdir(at('d'), { recursive: true }),
  'makes a directory where there is none': (at) => blocking.mkdir(at('x/y')),
  'makes all of them': (at) => blocking.mkdir(at('x/y/z'), { recursive: true }),
  'makes a directory below a file': (at) => blocking.mkdir(at('a/y'), { recursive: true }),
  'removes one that is not empty': (at) => blocking.rmdir(at('x')),
  'removes a directory as a file': (at) => blocking.unlink(at('x')),
  'removes a file as a directory': (at) => blocking.rmdir(at('a')),
  'removes an empty one': (at) => blocking.rmdir(at('x/y/z')),
  'renames a file': (at) => blocking.rename(at('a'), at('d/a')),
  'renames it onto itself': (at) => blocking.rename(at('d/a'), at('d/a')),
  'renames what is not there': (at) => blocking.rename(at('a'), at('b')),
  'renames a directory onto a file': (at) => blocking.rename(at('d'), at('large')),
  'renames a file onto a directory': (at) => blocking.rename(at('large'), at('d')),
  'renames a directory into itself': (at) => blocking.rename(at('d'), at('d/e')),
  'copies a file': (at) => blocking.copyFile(at('d/a'), at('copy')),
  'copies it onto itself': (at) => blocking.copyFile(at('copy'), at('copy')),
  'copies it where one is, exclusively': (at) => blocking.copyFile(at('copy'), at('large'), { exclusive: true }),
  'reads the copy': (at) => blocking.readFile(at('copy'), 'utf8'),
  opens: (at, files) => opened(files, 'f', blocking.open(at('f'), 'w+')),
  'opens it again': (at, files) => opened(files, 'g', blocking.open(at('f'), 'a+')),
  'writes at its place': (_, files) => (files.get('f') as File).write('0123456789'),
  'writes at a position': (_, files) => (files.get('f') as File).write('AB', { position: 4 }),
  'writes past the end': (_, files) => (files.get('f') as File).write('Z', { position: 12 }),
  'writes at the end, wherever it is told to': (_, files) => (files.get('g') as File).write('!', { position: 0 }),
  'reads from a position': (_, files) => readAt(files.get('g') as File, 3, 6),
  'reads past the end': (_, files) => readAt(files.get('g') as File, 100, 6),
  'reads into several buffers': (_, files) => blocking.readv(files.get('f') as File, [Buffer.alloc(2), Buffer.alloc(50)], { position: 1 }),
  'knows its size': (_, files) => sizeOf((files.get('f') as File).stat()),
  'locks it': (_, files) => isThere((files.get('f') as File).tryLock()),
  'does not lock it twice': (_, files) => isThere((files.get('g') as File).tryLock({ shared: true })),
  'waits for the disk': (_, files) => (files.get('f') as File).datasync(),
  'removes its name': (at) => blocking.unlink(at('f')),
  'reads it all the same': (_, files) => readAt(files.get('f') as File, 0, 100),
  'closes it': (_, files) => (files.get('f') as File).close(),
  'has the lock free then': (_, files) => isThere((files.get('g') as File).tryLock()),
  'closes the other': (_, files) => (files.get('g') as File).close(),
  'reads a closed fd': () => blocking.fstat(2_000_000_000),
  'tells what a file is': (at) => kindOf(blocking.stat(at('large'))),
  'tells what a directory is': (at) => kindOf(blocking.lstat(at('d'))),
  'tells nothing of what is not there': (at) => blocking.stat(at('none')),
  'writes to what is open for reading': (at) => readOnly(blocking.open(at('large'))),
  lists: (at) => sorted(blocking.readdir(at(''))),
  'lists with kinds': (at) => directories(blocking.readdir(at(''), { withFileTypes: true })),
  'lists an empty directory': (at) => blocking.readdir(at('x/y')),
  'lists a file': (at) => blocking.readdir(at('large'))
}

function* transcript(root: string): Coroutine<Record<string, unknown>> {
  const files = new Map<string, File>()
  const said: Record<string, unknown> = {}
  for (const [title, call] of Object.entries(calls)) said[title] = yield* outcome(() => call((name) => join(root, name), files))
  return said
}

describe('files in memory', () => {
  it('answer every call as the system does', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
    try {
      const kernel = new MemoryKernel({ files: { '/data/x': '' } })
      const inMemory = await run(function* () {
        yield* blocking.unlink('/data/x')
        return yield* transcript('/data')
      }, { kernel })
      expect(inMemory).toEqual(await run(() => transcript(directory)))
      expect([kernel.openFiles, kernel.openJobs]).toEqual([0, 0])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('are there from the beginning, and outlive a run', async () => {
    const kernel = new MemoryKernel({ files: { '/etc/app.json': '{"port":1}', relative: Buffer.from([1, 2]) } })
    await run(function* () {
      expect(JSON.parse(yield* blocking.readFile('/etc/app.json', 'utf8'))).toEqual({ port: 1 })
      expect(yield* blocking.readFile('/relative')).toEqual(Buffer.from([1, 2]))
      yield* blocking.writeFile('/etc/state', 'kept')
    }, { kernel })
    expect(await run(() => blocking.readFile('etc/state', 'utf8'), { kernel })).toBe('kept')
  })

  it('have times of the virtual clock, and calls on them take none of it', async () => {
    await run(function* () {
      yield* sleep(5000)
      yield* blocking.writeFile('/file', 'x')
      expect(now()).toBe(5000)
      expect((yield* blocking.stat('/file')).mtimeMs).toBe(5000)
    }, { kernel: new MemoryKernel() })
  })

  it('are sent over sockets in memory', async () => {
    const kernel = new MemoryKernel({ files: { '/page': 'x'.repeat(200_000) } })
    await run(function* () {
      const server = yield* serve({ port: 80 }, function* (connection) {
        const file = yield* blocking.open('/page')
        yield* connection.sendFile(file, 1)
        yield* file.close()
      })
      const client = yield* connect({ port: 80 })
      expect((yield* readAll(client)).length).toBe(199_999)
      yield* client.close()
      yield* server.close()
    }, { kernel })
    expect([kernel.openFiles, kernel.openSockets]).toEqual([0, 0])
  })

  it('are closed for who has let go of their opening, or lost a race', async () => {
    const kernel = new MemoryKernel({ files: { '/file': 'x', '/large': Buffer.alloc(3_000_000) } })
    await run(function* () {
      const opening = spawn(() => blocking.open('/file', 'r', { abandon: true }))
      yield* checkpoint()
      opening.cancel()
      yield* race([checkpoint(), blocking.open('/file')])
      // Both have ended when the first is asked.
      const open = (): Op<File> => blocking.open('/file', 'r', { abandon: true })
      yield* (yield* race([open(), open()])).close()
      yield* race([checkpoint(), blocking.readFile('/large')])
      const [file] = yield* all([blocking.open('/file'), moveOnAfter(0, () => blocking.open('/file'))])
      yield* file.close()
    }, { kernel })
    expect([kernel.openFiles, kernel.openJobs]).toEqual([0, 0])
  })
})

function* opened(files: Map<string, File>, name: string, opening: Op<File>): Coroutine<void> {
  files.set(name, yield* opening)
}

function* readAt(file: File, position: number, length: number): Coroutine<string> {
  const into = Buffer.alloc(length)
  return into.toString('latin1', 0, yield* file.read(into, { position }))
}

function* digest(reading: Op<Buffer>): Coroutine<string> {
  return createHash('sha256').update(yield* reading).digest('hex')
}

function* sizeOf(status: Op<{ size: number }>): Coroutine<number> {
  return (yield* status).size
}

function* isThere(found: Op<unknown>): Coroutine<boolean> {
  return (yield* found) !== null
}

function* kindOf(status: Op<{ isFile(): boolean; isDirectory(): boolean }>): Coroutine<boolean[]> {
  const about = yield* status
  return [about.isFile(), about.isDirectory()]
}

function* readOnly(opening: Op<File>): Coroutine<unknown> {
  const file = yield* opening
  try {
    return yield* file.write('x')
  } finally {
    yield* file.close()
  }
}

function* sorted(names: Op<string[]>): Coroutine<string[]> {
  return (yield* names).sort()
}

function* directories(entries: Op<{ name: string; isDirectory(): boolean }[]>): Coroutine<string[]> {
  return (yield* entries).filter((entry) => entry.isDirectory()).map(({ name }) => name).sort()
}
