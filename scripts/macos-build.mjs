/**
 * `npm run test:macos-build`: compiles the whole addon for macOS, x64 and arm64, and for FreeBSD, from whatever runs this:
 * warnings are errors, and what the sources assert of the systems' structures is checked. Nothing of it is run.
 *
 *   node scripts/macos-build.mjs [target ...]     all of TARGETS by default
 *
 * Headers: Node-API from node-api-headers, node-addon-api, and uv.h from beside the Node that runs this (or from
 * npm_config_nodedir), as node-api-headers has none.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { zig } from './zig.mjs'

/** zig's name of the platform, with the oldest version that the addon is for; and the lists of sources.gypi that it takes. */
const TARGETS = {
  'x86_64-macos.11.0': ['core', 'core_kqueue', 'core_bsd', 'core_macos', 'node', 'node_macos', 'prebuilt_macos'],
  'aarch64-macos.11.0': ['core', 'core_kqueue', 'core_bsd', 'core_macos', 'node', 'node_macos', 'prebuilt_macos'],
  'x86_64-freebsd.14.0': ['core', 'core_kqueue', 'core_bsd', 'core_freebsd', 'node']
}
const CORES = 2

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const native = join(root, 'native')
const require = createRequire(import.meta.url)

const HEADERS = [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api/napi.h')), uvHeaders()]
const FLAGS = [
  '-std=c++17 -O1 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti',
  '-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror',
  '-DNAPI_VERSION=8 -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'
]
  .flatMap((flags) => flags.split(' '))
  // In this order: of the headers beside Node only uv.h is wanted.
  .concat(HEADERS.flatMap((directory) => ['-isystem', directory]))

const wanted = process.argv.slice(2)
const unknown = wanted.filter((target) => !(target in TARGETS))
if (unknown.length > 0) fail(`Unknown: ${unknown.join(', ')}. Known: ${Object.keys(TARGETS).join(', ')}`, 2)

const compiler = zig()
for (const target of wanted.length > 0 ? wanted : Object.keys(TARGETS)) {
  const start = performance.now()
  const product = await build(target)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${target}: compiled and linked, ${(statSync(product).size / 1024).toFixed(0)} KiB, ${seconds} s`)
}

/** Gives the path of the addon. */
async function build(target) {
  const isMac = target.includes('macos')
  const out = join(root, 'out/cross', target)
  const jobs = TARGETS[target].flatMap(sources).map((source) => ({ source, object: join(out, `${source}.o`) }))
  const left = jobs.filter(({ source, object }) => isStale(object, source))
  const failures = []
  // As native/addon.gyp does.
  const names = isMac ? ['st_atim', 'st_mtim', 'st_ctim'].map((name) => `-D${name}=${name}espec`) : []
  const compileNext = async () => {
    for (let job; (job = left.pop()) !== undefined; ) {
      mkdirSync(dirname(job.object), { recursive: true })
      const said = await run(['c++', '-target', target, ...FLAGS, ...names, '-c', job.source, '-o', job.object])
      if (said !== '') failures.push(said)
    }
  }
  await Promise.all(Array.from({ length: CORES }, compileNext))
  if (failures.length > 0) fail(`${failures.join('\n')}\nThe addon does not compile for ${target}`)
  const product = join(out, 'coreactor.node')
  const link = isMac ? ['-dynamiclib', '-Wl,-undefined,dynamic_lookup'] : ['-shared', '-Wl,-z,nodelete']
  // Linked as C: what is missing then is the library of C++, which a Mac has, and Node.
  const said = await run(['cc', '-target', target, ...link, '-o', product, ...jobs.map(({ object }) => object)])
  if (said !== '') fail(`${said}\nThe addon does not link for ${target}`)
  const missing = isMac ? undefinedInMachO(readFileSync(product)).filter((name) => name.includes('9coreactor')) : []
  if (missing.length > 0) fail(`No source of ${target} defines:\n  ${missing.join('\n  ')}`)
  return product
}

/** The symbols that a library for 64-bit macOS looks for elsewhere (LC_SYMTAB, <mach-o/nlist.h>). */
function undefinedInMachO(bytes) {
  const LC_SYMTAB = 2
  const N_TYPE = 0x0e
  const names = []
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4)) {
    if (bytes.readUInt32LE(at) !== LC_SYMTAB) continue
    const [symbols, count, strings] = [8, 12, 16].map((offset) => bytes.readUInt32LE(at + offset))
    for (let symbol = symbols; symbol < symbols + count * 16; symbol += 16) {
      if ((bytes[symbol + 4] & N_TYPE) !== 0) continue
      const name = strings + bytes.readUInt32LE(symbol)
      names.push(bytes.toString('latin1', name, bytes.indexOf(0, name)))
    }
  }
  return names
}

/** What zig has said: nothing if all is well. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(compiler, args, { cwd: native, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk))
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => {
      const text = Buffer.concat(output).toString().trim()
      resolve(code === 0 ? '' : text || `zig ended with ${code}`)
    })
  })
}

/** The sources of one list of native/sources.gypi, which is Python and nearly JSON. */
function sources(list) {
  const text = readFileSync(join(native, 'sources.gypi'), 'utf8')
  const [, body] = text.match(new RegExp(`'${list}_sources': \\[([^\\]]*)\\]`)) ?? fail(`sources.gypi has no ${list}_sources`)
  return [...body.matchAll(/'([^']+\.cc)'/g)].map(([, path]) => path)
}

/** Whether an object is missing, or older than its source, a header, or this script. */
function isStale(object, source) {
  if (!existsSync(object)) return true
  const headers = readdirSync(native, { recursive: true }).filter((name) => name.endsWith('.h') && !name.startsWith('test'))
  const inputs = [source, ...headers].map((name) => join(native, name)).concat(fileURLToPath(import.meta.url))
  const built = statSync(object).mtimeMs
  return inputs.some((path) => statSync(path).mtimeMs > built)
}

/** Where uv.h is: beside this Node, or where npm_config_nodedir says. */
function uvHeaders() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const candidates = [process.env.npm_config_nodedir, prefix].filter(Boolean).map((home) => join(home, 'include/node'))
  return (
    candidates.find((directory) => existsSync(join(directory, 'uv.h'))) ??
    fail(`uv.h was not found in ${candidates.join(' or ')}: npm_config_nodedir names the directory of a Node that has it`)
  )
}

function fail(message, code = 1) {
  console.error(message)
  process.exit(code)
}
