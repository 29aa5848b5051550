/**
 * Puts into native/vendor/ the headers that the shipped sources need and that Node.js does not have, before the package is
 * packed (`node scripts/vendor.mjs [directory]`), and takes them away afterwards (`--remove`): a clone has them in node_modules.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { root } from './setup.mjs'

const HEADERS = ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md']

const [directory] = process.argv.slice(2).filter((each) => each !== '--remove')
const vendor = directory ?? join(root, 'native/vendor')
rmSync(vendor, { recursive: true, force: true })
if (!process.argv.includes('--remove')) {
  const source = dirname(createRequire(import.meta.url).resolve('node-addon-api/package.json'))
  mkdirSync(vendor, { recursive: true })
  for (const name of HEADERS) copyFileSync(join(source, name), join(vendor, name))
}
