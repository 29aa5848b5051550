/**
 * `npm run test:pack`: the package as its users get it. Publishes it to a registry on loopback, installs it from there where
 * no compiler, make or python is on the PATH, with npm (install and ci), pnpm, Yarn and Bun, and runs an echo server from
 * each; then bundled, as a single executable, in a worker, compiled by `npx coreactor build`; looks at its types as modules
 * of every kind see them. What is there to run them is used for the arm64 and the musl addon; what was not run is said.
 *
 *   npm run test:pack -- --short     npm, Node and the types alone; the addon is the one that was built here
 *
 * A line for each check; ends with 1 if anything fails. An addon that was not compiled is replaced by an empty file.
 */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { openRegistry } from '../test/pack/registry.mjs'
import { foreignChecks } from './pack-foreign.mjs'
import { root, setup } from './setup.mjs'
import { prebuilds, targets } from './targets.mjs'

const SHORT = process.argv.includes('--short')
const ECHO = 'there and back\n'
/** What installing may need of a system; that there is nothing else is the point. */
const COMMANDS = ['sh', 'env', 'sed', 'dirname', 'basename', 'uname', 'readlink', 'cat', 'ls', 'mkdir', 'rm', 'ln', 'chmod', 'tar', 'gzip']
const home = join(root, 'test/pack')
const tools = join(home, 'node_modules')
const npm = join(dirname(dirname(realpathSync(process.execPath))), 'lib/node_modules/npm/bin/npm-cli.js')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { name } = manifest

let failures = 0
let passes = 0
const notRun = []

await setup()
if (!existsSync(join(tools, '.package-lock.json'))) {
  process.stderr.write('Installing the package managers ...\n')
  await must(process.execPath, [npm, 'install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: home, env: process.env })
}
const work = mkdtempSync(join(tmpdir(), 'coreactor-pack-'))
const registry = await openRegistry()
try {
  await main()
} finally {
  registry.close()
  rmSync(work, { recursive: true, force: true })
}
for (const each of notRun) console.log(`not run  ${each}`)
console.log(`${passes} passed, ${failures} failed`)
process.exitCode = failures > 0 ? 1 : 0

async function main() {
  const environment = bareEnvironment()
  await publish(environment)
  await check('published without a script, and without anything that makes package managers build', () => {
    const version = registry.packument(name).versions[manifest.version]
    const told = ['install', 'preinstall', 'postinstall'].filter((script) => version.scripts?.[script] !== undefined)
    // Yarn would install node-gyp along with the package.
    told.push(...Object.keys(version.scripts).filter((script) => version.scripts[script].includes('node-gyp')))
    if (told.length > 0 || version.gypfile === true) throw new Error(`published with ${told.join(', ')} gypfile: ${version.gypfile}`)
  })
  await installs(environment)
  const project = join(work, 'npm')
  await check('in a worker', () => echoes(process.execPath, ['worker.mjs'], { cwd: project, env: environment }))
  await typeChecks(project)
  await bundles(project, environment)
  if (SHORT) return
  await executable(project, environment)
  await foreignChecks({ check, notRun, project, work, echoes, must })
  await compiled(environment)
}

/** The package's files in a folder of their own: what is packed is not what happens to lie in the clone. */
async function publish(environment) {
  const stage = join(work, 'stage')
  const files = ['package.json', 'README.md', 'LICENSE', 'binding.gyp', ...manifest.files.filter((each) => !each.startsWith('!') && each !== 'prebuilds')]
  for (const file of files) if (existsSync(join(root, file))) cpSync(join(root, file), join(stage, file), { recursive: true })
  await must(process.execPath, [join(root, 'scripts/vendor.mjs'), join(stage, 'native/vendor')], { cwd: root, env: process.env })
  for (const { file, platform, arch, libc } of targets) {
    const path = join(stage, 'prebuilds', file)
    mkdirSync(dirname(path), { recursive: true })
    const ours = platform === process.platform && arch === process.arch && libc !== 'musl'
    if (SHORT && ours) copyFileSync(join(root, 'build/Release/coreactor.node'), path)
    else if (!SHORT && existsSync(join(prebuilds, file))) copyFileSync(join(prebuilds, file), path)
    // A bundler wants all that it might need.
    else {
      writeFileSync(path, '')
      if (!SHORT) notRun.push(`${file}: it has not been compiled`)
    }
  }
  const options = ['publish', '--ignore-scripts', '--provenance=false', '--registry', registry.address]
  await must(process.execPath, [npm, ...options], { cwd: stage, env: environment })
  await must(process.execPath, [npm, 'pack', '--ignore-scripts', '--pack-destination', work], { cwd: stage, env: environment })
}

/** Nothing of ours, and a PATH with Node and a shell's tools. */
function bareEnvironment() {
  const bin = join(work, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  for (const command of COMMANDS) {
    const found = process.env.PATH.split(delimiter).map((folder) => join(folder, command)).find((path) => existsSync(path))
    if (found !== undefined) symlinkSync(found, join(bin, command))
  }
  const user = join(work, 'home')
  mkdirSync(user)
  const host = registry.address.replace('http:', '')
  writeFileSync(join(user, '.npmrc'), `registry=${registry.address}/\n${host}/:_authToken=nobody\naudit=false\nfund=false\nupdate-notifier=false\n`)
  return { PATH: bin, HOME: user, TMPDIR: work, npm_config_registry: `${registry.address}/` }
}

function emptyProject(folder) {
  const project = join(work, folder)
  cpSync(join(home, 'programs'), project, { recursive: true })
  writeFileSync(join(project, 'package.json'), '{ "name": "user", "version": "1.0.0", "private": true }\n')
  return project
}

async function installs(env) {
  const node = process.execPath
  const runs = (cwd, before = []) => async () => {
    for (const program of ['echo.mjs', 'echo.cjs']) await echoes(node, [...before, program], { cwd, env })
  }
  /** Installs, looks at what was said and what is there, and runs both programs. */
  const installed = (title, cwd, args, program = node, before = []) =>
    check(title, async () => {
      const said = await must(program, args, { cwd, env })
      if (/gyp|allow-scripts|approve|blocked|ignored build/i.test(said)) throw new Error(`installing said:\n${said}`)
      const there = join(cwd, 'node_modules', name)
      if (existsSync(there) && existsSync(join(there, 'binding.gyp'))) throw new Error('a binding.gyp is in the package')
      await runs(cwd, before)()
    })

  const withNpm = emptyProject('npm')
  await installed('npm install', withNpm, [npm, 'install', name])
  await check('the lock file knows of no script', () => {
    if (readFileSync(join(withNpm, 'package-lock.json'), 'utf8').includes('hasInstallScript')) throw new Error('hasInstallScript')
  })
  rmSync(join(withNpm, 'node_modules'), { recursive: true })
  await installed('npm ci', withNpm, [npm, 'ci'])
  if (SHORT) return

  await installed('pnpm', emptyProject('pnpm'), [join(tools, 'pnpm/bin', pnpmProgram()), 'add', name])
  const yarn = join(tools, '@yarnpkg/cli-dist/bin/yarn.js')
  for (const linker of ['node-modules', 'pnp']) {
    const project = emptyProject(`yarn-${linker}`)
    const settings = [`npmRegistryServer: '${registry.address}'`, "unsafeHttpWhitelist: ['127.0.0.1']", `nodeLinker: ${linker}`, 'enableTelemetry: false', 'enableGlobalCache: false', 'npmMinimalAgeGate: 0']
    writeFileSync(join(project, '.yarnrc.yml'), `${settings.join('\n')}\n`)
    writeFileSync(join(project, 'yarn.lock'), '')
    await installed(`yarn, ${linker}`, project, [yarn, 'add', name], node, linker === 'pnp' ? [yarn, 'node'] : [])
  }
  const bun = join(tools, '@oven/bun-linux-x64/bin/bun')
  if (existsSync(bun)) {
    chmodSync(bun, 0o755)
    await installed('bun', emptyProject('bun'), ['add', name], bun)
  } else notRun.push('bun: it is not there for this platform')
}

function pnpmProgram() {
  return readdirSync(join(tools, 'pnpm/bin')).find((file) => /^pnpm\.[cm]js$/.test(file))
}

/** Every entry of package.json, as an ES module, as CommonJS and for a bundler; and what the linters of packages say. */
async function typeChecks(project) {
  const tarball = join(work, readdirSync(work).find((file) => file.endsWith('.tgz')))
  const env = { ...process.env, NO_COLOR: '1' }
  const entries = Object.keys(manifest.exports).filter((entry) => typeof manifest.exports[entry] === 'object').map((entry) => entry.replace('.', name))
  await check('publint', () => must(process.execPath, [join(tools, 'publint/src/cli.js'), tarball, '--strict'], { cwd: work, env }))
  await check('attw', () => must(process.execPath, [join(tools, '@arethetypeswrong/cli/dist/index.js'), tarball, '--profile', 'node16'], { cwd: work, env }))
  const imports = entries.map((entry, i) => `import * as entry${i} from '${entry}'\n`).join('')
  const requires = entries.map((entry, i) => `import entry${i} = require('${entry}')\n`).join('')
  const uses = entries.map((_, i) => `export const names${i}: string[] = Object.keys(entry${i})\n`).join('')
  const use = `export const listener = entry0.listen({ port: 0 })\n${uses}`
  for (const [module, resolution, files] of [
    ['node16', 'node16', { 'user.mts': imports, 'user.cts': requires }],
    ['nodenext', 'nodenext', { 'user.mts': imports, 'user.cts': requires }],
    ['esnext', 'bundler', { 'user.ts': imports }]
  ]) {
    await check(`types of ${entries.length} entries, ${resolution}`, async () => {
      const folder = join(project, `types-${resolution}`)
      mkdirSync(folder)
      for (const [file, head] of Object.entries(files)) writeFileSync(join(folder, file), head + use)
      const typeRoots = [join(tools, '@types')]
      const compilerOptions = { target: 'es2023', module, moduleResolution: resolution, strict: true, noEmit: true, types: ['node'], typeRoots }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      await must(process.execPath, [join(tools, 'typescript/bin/tsc'), '-p', folder], { cwd: folder, env })
    })
  }
}

function esbuild(args, options) {
  return must(process.execPath, [join(tools, 'esbuild/bin/esbuild'), '--bundle', '--platform=node', '--log-level=error', ...args], options)
}

/** Away from node_modules, and with nothing else around. */
async function bundles(project, env) {
  const banner = "--banner:js=import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);"
  for (const [title, file, options] of [
    ['a bundle, CommonJS', 'echo.cjs', ['--format=cjs', '--outfile=OUT']],
    ['a bundle, ES module', 'echo.mjs', ['--format=esm', banner, '--outfile=OUT']],
    ['a bundle for this platform alone', 'echo.cjs', ['--format=cjs', '--outfile=OUT', `--define:process.platform="${process.platform}"`, `--define:process.arch="${process.arch}"`]]
  ]) {
    await check(title, async () => {
      const out = mkdtempSync(join(work, 'bundle-'))
      await esbuild(['echo.mjs', '--loader:.node=copy', ...options.map((each) => each.replace('OUT', join(out, file)))], { cwd: project, env: process.env })
      await echoes(process.execPath, [file], { cwd: out, env })
    })
  }
}

async function executable(project, env) {
  const node = join(tools, 'node26/bin/node')
  if (!existsSync(node)) return notRun.push('a single executable: there is no Node 26 for this platform')
  await check('a single executable, Node 26', async () => {
    const out = mkdtempSync(join(work, 'executable-'))
    await esbuild(['echo.mjs', '--format=cjs', '--external:*.node', `--outfile=${out}/main.cjs`], { cwd: project, env: process.env })
    const addon = join(project, 'node_modules', name, 'prebuilds', targets.find(({ platform, arch }) => platform === process.platform && arch === process.arch).file)
    const settings = { main: `${out}/main.cjs`, output: `${out}/alone/echo`, disableExperimentalSEAWarning: true, assets: { 'coreactor.node': addon } }
    mkdirSync(`${out}/alone`)
    writeFileSync(`${out}/sea.json`, JSON.stringify(settings))
    await must(node, ['--build-sea', `${out}/sea.json`], { cwd: out, env })
    await echoes(`${out}/alone/echo`, [], { cwd: `${out}/alone`, env })
  })
}

/** `npx coreactor build`: with a compiler, from the sources in the package, which then runs what it has built. */
async function compiled(environment) {
  await check('npx coreactor build', async () => {
    const project = emptyProject('compiled')
    await must(process.execPath, [npm, 'install', name], { cwd: project, env: environment })
    rmSync(join(project, 'node_modules', name, 'prebuilds'), { recursive: true })
    const env = { ...environment, PATH: process.env.PATH }
    await must(process.execPath, [join(dirname(npm), 'npx-cli.js'), name, 'build'], { cwd: project, env })
    await echoes(process.execPath, ['echo.mjs'], { cwd: project, env: environment })
  })
}

async function check(title, body) {
  const began = performance.now()
  try {
    await body()
    passes++
    console.log(`ok       ${title}  (${((performance.now() - began) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failures++
    console.log(`FAILED   ${title}\n${error.message.replace(/^/gm, '         ')}`)
  }
}

async function echoes(program, args, options) {
  const { status, stdout, stderr } = await run(program, args, options)
  if (status !== 0 || stdout !== ECHO || stderr !== '') {
    throw new Error(`${program} ${args.join(' ')} ended with ${status} and said ${JSON.stringify(stdout)}\n${stderr}`)
  }
}

/** What it printed; throws if it fails. */
async function must(program, args, options) {
  const { status, stdout, stderr } = await run(program, args, options)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`)
  return stdout + stderr
}

/** Not spawnSync: the registry is in this process. */
function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ status: code ?? signal, ...output }))
  })
}
