/**
 * A blocking call and a descriptor of an addon's own: the hash of a big block is computed by a thread of the pool, and a
 * coroutine waits for what the addon says on a pipe meanwhile. The other half is native-job/native_job.c.
 *
 *   npm run example native-job
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { blocking, fd, nativeApi, spawn, run, type Coroutine, type NativeJob, type Op } from 'coreactor'
import { isMain } from './resp/cli.js'

/** What the addon gives to JavaScript. */
export interface NativeAddon {
  start(api: object): void
  fingerprint(bytes: Uint8Array, rounds: number): NativeJob<string>
  ticker(milliseconds: number, count: number): number
}

export function loadAddon(path: string): NativeAddon {
  const addon = createRequire(import.meta.url)(path) as NativeAddon
  addon.start(nativeApi())
  return addon
}

/** What a user of the addon sees: an operation like any other. */
export function fingerprint(addon: NativeAddon, bytes: Uint8Array, rounds = 1): Op<string> {
  return blocking.native(addon.fingerprint(bytes, rounds))
}

/** Counts the ticks until the addon has done with it. */
export function* countTicks(addon: NativeAddon, milliseconds: number, count: number): Coroutine<number> {
  const ticks = fd(addon.ticker(milliseconds, count), { own: true })
  try {
    const into = Buffer.alloc(64)
    let seen = 0
    for (let n; (n = yield* ticks.read(into)) > 0; ) seen += n
    return seen
  } finally {
    ticks.close()
  }
}

if (isMain(import.meta.url)) {
  const path = new URL('../native-job/build/Release/native_job.node', import.meta.url).pathname
  if (!existsSync(path)) {
    console.error('The addon has not been built: node examples/native-job/build.mjs')
    process.exit(1)
  }
  const addon = loadAddon(path)
  await run(function* () {
    const ticking = spawn(countTicks, addon, 20, 10)
    const hash = yield* fingerprint(addon, Buffer.alloc(16 * 1024 * 1024, 'coreactor'), 10)
    console.log(`fingerprint ${hash}; ${yield* ticking} ticks meanwhile and after`)
  })
}
