#!/usr/bin/env node
/**
 * `npx coreactor build`: compiles the addon from the sources in the package, for platforms that it has no addon for, or on
 * which that does not load. The result is put where the library looks first.
 *
 * Needs node-gyp, which npm brings along, python 3, make and a C++17 compiler.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

if (process.argv.length !== 3 || process.argv[2] !== 'build') {
  console.error('Usage: npx coreactor build     compiles the addon for this machine')
  process.exit(2)
}

const native = join(root, 'native')
const gyp = nodeGyp()
if (gyp === undefined) {
  console.error('node-gyp was not found: neither npm brought it along, nor is it installed here. npm install --no-save node-gyp')
  process.exit(1)
}
const options = ['rebuild', '-C', native, ...installedHeaders()]
const { status, error } = spawnSync(process.execPath, [gyp, ...options], { cwd: native, stdio: 'inherit' })
if (status !== 0) {
  console.error(`The addon could not be compiled${error === undefined ? '' : `: ${error.message}`}. It needs python 3, make and a C++17 compiler.`)
  process.exit(1)
}
const built = join(root, 'build/Release/coreactor.node')
mkdirSync(dirname(built), { recursive: true })
copyFileSync(join(native, 'build/Release/coreactor.node'), built)
// It says whether it loads.
await import(new URL('../dist/kernel/native.js', import.meta.url).href).then(({ nativeKernel }) => nativeKernel())
console.log(built)

/** The project's own, or npm's: npx says where npm is, and otherwise it lies beside Node. */
function nodeGyp() {
  const beside = dirname(dirname(realpathSync(process.execPath)))
  const npm = process.env.npm_execpath === undefined ? [] : [process.env.npm_execpath]
  const places = [import.meta.url, join(process.cwd(), 'here.js'), ...npm, join(beside, 'lib/node_modules/npm/bin/npm-cli.js')]
  for (const place of places) {
    try {
      return createRequire(place).resolve('node-gyp/bin/node-gyp.js')
    } catch {
      // Not there: the next place.
    }
  }
  return undefined
}

/** A distribution's Node.js has its headers installed beside it: then node-gyp need not download them. */
function installedHeaders() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const installed = existsSync(join(prefix, 'include/node/common.gypi'))
  return installed && !process.env.npm_config_nodedir ? [`--nodedir=${prefix}`] : []
}
