/**
 * Builds the example's addon with node-gyp, as a package of its own would, in out/native-job: the sources stay alone.
 *
 *   node examples/native-job/build.mjs
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const sources = ['binding.gyp', 'native_job.c'].map((name) => join(here, name))
const out = join(root, 'out/native-job')

/** Where it is once it has been built. */
export const addon = join(out, 'build/Release/native_job.node')

/** Builds it, unless it is newer than its sources. */
export function build() {
  const modified = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1
  if (Math.max(...[...sources, join(root, 'native/include/coreactor.h')].map(modified)) < modified(addon)) return addon
  mkdirSync(out, { recursive: true })
  for (const source of sources) copyFileSync(source, join(out, source.slice(here.length + 1)))
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [nodeGyp, 'rebuild', '-C', out], {
    cwd: out,
    env: environment(),
    encoding: 'utf8'
  })
  if (status !== 0) throw new Error(`the addon of the example was not built:\n${stdout}${stderr}`)
  return addon
}

/** A distribution's node has its headers installed beside it: then node-gyp need not download them. */
function environment() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const given = process.env.npm_config_nodedir
  if (given || !existsSync(join(prefix, 'include/node/common.gypi'))) return process.env
  return { ...process.env, npm_config_nodedir: prefix }
}

if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) console.log(build())
