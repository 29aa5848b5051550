/** Which addon is loaded, and what is said when none is: the compiled library, copied into a package of the test's own. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { interpreterOf } from '../lib/kernel/addon.js'
import { root } from './documents.js'

const BUILT = join(root, 'build/Release/coreactor.node')
const LIBC = process.platform === 'linux' ? `.${interpreterOf(process.execPath).includes('/ld-musl-') ? 'musl' : 'glibc'}` : ''
const PREBUILT = `prebuilds/${process.platform}-${process.arch}/coreactor${LIBC}.node`
/** What it prints: that it ran, or the error. */
const PROGRAM = `
  Object.defineProperty(process, 'arch', { value: process.argv[2] })
  const { run, sleep } = await import('./dist/index.js')
  try {
    await run(() => sleep(0))
    console.log('ran')
  } catch ({ name, code, platform, tried, message }) {
    console.log(JSON.stringify({ name, code, platform, tried, message }))
  }`

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'coreactor-addon-'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'program.js'), PROGRAM)
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
})

afterEach(() => {
  for (const name of ['build', 'prebuilds', 'mine.node']) rmSync(join(folder, name), { recursive: true, force: true })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Puts a file into the package: the addon as it was built here, or a text that no loader takes. */
function put(name: string, content: 'addon' | 'no addon'): void {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  if (content === 'addon') cpSync(BUILT, path)
  else writeFileSync(path, 'no addon')
}

function programSays(named?: string, arch: string = process.arch): string {
  const { COREACTOR_NATIVE: _, ...environment } = process.env
  const env = named === undefined ? environment : { ...environment, COREACTOR_NATIVE: named }
  const { stdout, stderr } = spawnSync(process.execPath, ['program.js', arch], { cwd: folder, env, encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.trim()
}

interface Complaint {
  readonly name: string
  readonly code: string
  readonly platform: string
  readonly tried: { path: string; why: string }[]
  readonly message: string
}

const complaint = (named?: string, arch?: string): Complaint => JSON.parse(programSays(named, arch)) as Complaint

describe('the addon that is loaded', () => {
  it('is the one in the package', () => {
    put(PREBUILT, 'addon')
    expect(programSays()).toBe('ran')
  })

  it('is the one that was built on this machine, if there is one', () => {
    put('build/Release/coreactor.node', 'addon')
    put(PREBUILT, 'no addon')
    expect(programSays()).toBe('ran')
  })

  it('is the one in the package, if the one that was built does not load', () => {
    put('build/Release/coreactor.node', 'no addon')
    put(PREBUILT, 'addon')
    expect(programSays()).toBe('ran')
  })

  it('is the one that COREACTOR_NATIVE names, relative to where the program was started, before all others', () => {
    put('mine.node', 'addon')
    put('build/Release/coreactor.node', 'no addon')
    put(PREBUILT, 'no addon')
    expect(programSays('mine.node')).toBe('ran')
  })
})

describe('when no addon loads', () => {
  it('the error names the platform, what was tried, why it failed, and the two ways out', () => {
    put('build/Release/coreactor.node', 'no addon')
    put(PREBUILT, 'no addon')
    const { name, code, platform, tried, message } = complaint()
    expect({ name, code }).toEqual({ name: 'AddonError', code: 'ERR_COREACTOR_ADDON' })
    expect(platform).toBe(`${process.platform}-${process.arch}${LIBC.replace('.', '-')}`)
    expect(tried.map(({ path }) => path)).toEqual([join(folder, 'build/Release/coreactor.node'), PREBUILT])
    for (const { path, why } of tried) {
      expect(why).not.toBe('')
      expect(message).toContain(`\n  ${path}\n    ${why}`)
    }
    expect(message).toContain(`on ${platform} (Node.js ${process.versions.node})`)
    expect(message).toContain('npx coreactor build')
    expect(message).toContain('COREACTOR_NATIVE=')
  })

  it('a COREACTOR_NATIVE that leads nowhere is an error, although another would load', () => {
    put(PREBUILT, 'addon')
    const { tried } = complaint('/nowhere/coreactor.node')
    expect(tried).toHaveLength(1)
    expect(tried[0]?.path).toBe('/nowhere/coreactor.node (COREACTOR_NATIVE)')
    expect(tried[0]?.why).toContain('ENOENT')
  })

  it('a platform that the package has nothing for is told so when it is used, not when it is imported', () => {
    const { platform, tried } = complaint(undefined, 'riscv64')
    expect(platform).toContain('riscv64')
    expect(tried.map(({ why }) => why)).toEqual(['the package has none for this platform'])
  })
})

describe('the C library', () => {
  /** A program of 64 bits with one segment that is of no account, and one that names its loader. */
  function program(loader: string): string {
    const bytes = Buffer.alloc(64 + 2 * 56 + loader.length + 1)
    bytes.write('\x7fELF\x02\x01\x01', 0, 'latin1')
    bytes.writeBigUInt64LE(64n, 0x20)
    bytes.writeUInt16LE(2, 0x38)
    bytes.writeUInt32LE(6, 64)
    bytes.writeUInt32LE(3, 120)
    bytes.writeBigUInt64LE(176n, 128)
    bytes.writeBigUInt64LE(BigInt(loader.length + 1), 152)
    bytes.write(`${loader}\0`, 176, 'latin1')
    const path = join(folder, 'program')
    writeFileSync(path, bytes)
    return path
  }

  it('is told from the loader that the program asks for', () => {
    expect(interpreterOf(program('/lib/ld-musl-x86_64.so.1'))).toBe('/lib/ld-musl-x86_64.so.1')
    expect(interpreterOf(program('/lib64/ld-linux-x86-64.so.2'))).toBe('/lib64/ld-linux-x86-64.so.2')
  })

  it('is not told from a file that is no ELF program', () => {
    expect(interpreterOf(join(folder, 'package.json'))).toBe('')
  })
})
