/**
 * Makes a clone ready to use: dependencies, addon, compiled library. Does what is missing or out of date, and nothing,
 * quickly and silently, when all is there. Needs node and npm; for the addon also python 3, make and a C++17 compiler.
 *
 *   node scripts/setup.mjs [--examples]     compiles examples/ into out/examples/, too
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** What stopped the set-up, in words for the person at the terminal. */
export class SetupError extends Error {}

/** `signal` ends a step that is running; the promise is rejected with its reason. */
export async function setup({ examples = false, signal } = {}) {
  if (missingDependencies().length > 0) await installDependencies(signal)
  if (isStale('build/Release/coreactor.node', ['native', 'binding.gyp'])) await buildAddon(signal)
  // The last file that a build writes: one that failed half-way is repeated.
  if (isStale('dist/index.cjs', ['lib', 'tsconfig.json', 'tsconfig.build.json', 'package.json'])) {
    await step('Compiling the library', ['run', 'build:ts'], signal)
  }
  if (examples && isStale('out/examples/resp-server.js', ['examples', 'tsconfig.examples.json', 'dist/index.d.ts'])) {
    await step('Compiling the examples', ['run', 'build:examples'], signal)
  }
}

function missingDependencies() {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return Object.keys(devDependencies).filter((name) => !existsSync(join(root, 'node_modules', name, 'package.json')))
}

async function installDependencies(signal) {
  // npm would run node-gyp on its own, because there is a binding.gyp: building is a step of its own.
  const options = ['--ignore-scripts', '--no-audit', '--no-fund']
  if (existsSync(join(root, 'package-lock.json'))) {
    try {
      return await step('Installing the development dependencies', ['ci', ...options], signal)
    } catch (error) {
      if (!(error instanceof SetupError)) throw error
    }
  }
  const unlocked = ['install', '--no-package-lock', ...options]
  await step('Installing the development dependencies without the lock file', unlocked, signal)
}

async function buildAddon(signal) {
  const missing = []
  if (!onPath('python3', 'python')) missing.push('python 3')
  if (!onPath('make', 'gmake')) missing.push('make')
  if (!process.env.CXX && !onPath('c++', 'g++', 'clang++')) missing.push('a C++ compiler')
  if (missing.length > 0) {
    throw new SetupError(`The addon cannot be built. Not found on PATH: ${missing.join(', ')}.\n${TOOLS_HINT}`)
  }
  await step('Building the addon', ['run', 'build:native'], signal)
}

const TOOLS_HINT = `  Debian, Ubuntu   apt install python3 make g++
  Fedora           dnf install python3 make gcc-c++
  Alpine           apk add python3 make g++
  macOS            xcode-select --install
  FreeBSD          pkg install python3 gmake`

/** Runs npm and says so in one line; what it prints is shown only if it fails. */
function step(title, args, signal) {
  signal?.throwIfAborted()
  process.stderr.write(`${title} ...\n`)
  return new Promise((resolve, reject) => {
    const output = []
    const npm = spawn('npm', args, { cwd: root, env: environment(), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    npm.stdout.on('data', (chunk) => output.push(chunk))
    npm.stderr.on('data', (chunk) => output.push(chunk))
    // A group of its own: what npm started ends with it, and Ctrl-C is ours to answer.
    const stop = () => endGroup(npm.pid)
    signal?.addEventListener('abort', stop, { once: true })
    process.once('exit', stop)
    npm.once('error', (error) => reject(new SetupError(`npm cannot be started: ${error.message}`)))
    npm.once('close', (code) => {
      signal?.removeEventListener('abort', stop)
      process.removeListener('exit', stop)
      if (signal?.aborted) return reject(signal.reason)
      if (code === 0) return resolve()
      const said = Buffer.concat(output).toString().trimEnd()
      reject(new SetupError(`${title} failed: npm ${args.join(' ')}\n${said}`))
    })
  })
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM')
  } catch {
    // ESRCH: it has ended.
  }
}

/** A distribution's node has its headers installed beside it: then node-gyp need not download them. */
function environment() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const given = process.env.npm_config_nodedir
  if (given || !existsSync(join(prefix, 'include/node/common.gypi'))) return process.env
  return { ...process.env, npm_config_nodedir: prefix }
}

function onPath(...programs) {
  const directories = (process.env.PATH ?? '').split(delimiter)
  return programs.some((program) => directories.some((directory) => existsSync(join(directory, program))))
}

/** Whether `product` is missing, or older than one of `sources`: files, or directories with all in them but tests. */
function isStale(product, sources) {
  const built = modified(join(root, product))
  return sources.some((source) => newest(join(root, source)) > built)
}

function newest(path) {
  if (!existsSync(path)) return 0
  if (!statSync(path).isDirectory()) return modified(path)
  const names = readdirSync(path).filter((name) => name !== 'test')
  // The directory's own time tells of files that were removed.
  return Math.max(modified(path), ...names.map((name) => newest(join(path, name))))
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await setup({ examples: process.argv.includes('--examples') })
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
