/**
 * `npm run build:native`: node-gyp, on the binding.gyp of the root. A file of its own, because a package with "node-gyp" in
 * one of its scripts gets that as a dependency from Yarn.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { root } from './setup.mjs'

const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
process.exitCode = spawnSync(process.execPath, [gyp, 'rebuild', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' }).status ?? 1
