/** Hazard 58: nothing of a blocking call is retained once it has ended, been called off or let go of, although the run goes on. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { blocking, checkpoint, race, run, scope, spawn, type Coroutine } from 'coreactor'
import { caught } from './support.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const PATIENCE_MS = 10_000

let directory: string
const at = (name: string): string => join(directory, name)

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'coreactor-'))
  writeFileSync(at('file'), 'x'.repeat(100_000))
  execFileSync('mkfifo', [at('fifo')])
})

afterAll(() => rmSync(directory, { recursive: true }))

/** Remembers an object, and gives it back. */
type Watched = <T extends object>(object: T) => T

/** Something that is over when it returns. */
type Scene = (watched: Watched) => Coroutine<void>

const scenes: Record<string, Scene> = {
  *'has ended'(watched) {
    watched(yield* watched(blocking.stat(at('file'))))
    const file = watched(yield* watched(blocking.open(at('file'))))
    yield* watched(file.read(watched(Buffer.alloc(100)), { position: 0 }))
    watched((yield* watched(file.readSome())) as Buffer)
    yield* watched(file.close())
  },
  *'has failed'(watched) {
    const reading = watched(blocking.readFile(at('missing')))
    watched(yield* caught(() => reading))
  },
  *'was never made, as its scope was cancelled'(watched) {
    yield* scope(function* (inside) {
      inside.cancel()
      const reading = watched(blocking.read(0, watched(Buffer.alloc(100))))
      watched(yield* caught(() => reading))
    })
  },
  *'was cancelled while it waited in the queue'(watched) {
    const limit = blocking.statistics().files.limit
    blocking.configure({ files: 1 })
    yield* scope(function* (inside) {
      for (let i = 0; i < 20; i++) inside.spawn(() => watched(blocking.readFile(at('file'))))
      yield* checkpoint()
      inside.cancel()
    })
    blocking.configure({ files: limit })
  },
  *'was abandoned while it ran'(watched) {
    const opening = spawn(() => watched(blocking.open(at('fifo'), 'r', { abandon: true })))
    while (blocking.statistics().waits.running === 0) yield* checkpoint()
    opening.cancel()
    yield* checkpoint()
  },
  *'has lost a race'(watched) {
    for (let i = 0; i < 20; i++) yield* race([checkpoint(), watched(blocking.open(at('file')))])
  }
}

it.each(Object.entries(scenes))('of a call that %s', async (_, scene) => {
  const watching: WeakRef<object>[] = []
  await run(function* () {
    yield* scene((object) => {
      watching.push(new WeakRef(object))
      return object
    })
    const left = (): string[] => watching.flatMap((each) => each.deref()?.constructor.name ?? [])
    for (const deadline = Date.now() + PATIENCE_MS; left().length > 0 && Date.now() < deadline; ) {
      // A WeakRef that was looked at holds on until the turn has ended.
      yield* checkpoint()
      yield* checkpoint()
      collectGarbage()
    }
    expect(watching.length).toBeGreaterThan(0)
    expect(left()).toEqual([])
  })
  // Whoever was abandoned goes on.
  if (blocking.running().length > 0) await run(() => blocking.open(at('fifo'), 'r+')).then((file) => file.close())
})
