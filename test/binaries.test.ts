/** `npm run check:binaries`: what may be published, and that each of its rules refuses what breaks it. */
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { root } from './documents.js'
import { elfFile, machOFile, type ElfFile, type MachOFile } from './library-files.js'

const ENTRIES = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
const GLIBC: ElfFile = { arch: 'x64', needs: ['libc.so.6'], exports: ENTRIES, versions: ['GLIBC_2.17', 'GLIBC_2.28'], nodelete: true }
const MUSL: ElfFile = { arch: 'x64', needs: ['libc.so'], exports: ENTRIES, versions: [], nodelete: true }
const MACOS: MachOFile = { arch: 'x64', needs: ['/usr/lib/libSystem.B.dylib'], exports: ENTRIES, minimum: [11, 0], signed: true }

/** What is right. */
const SIX: Readonly<Record<string, Buffer>> = {
  'linux-x64/coreactor.glibc.node': elfFile(GLIBC),
  'linux-x64/coreactor.musl.node': elfFile(MUSL),
  'linux-arm64/coreactor.glibc.node': elfFile({ ...GLIBC, arch: 'arm64' }),
  'linux-arm64/coreactor.musl.node': elfFile({ ...MUSL, arch: 'arm64' }),
  'darwin-x64/coreactor.node': machOFile(MACOS),
  'darwin-arm64/coreactor.node': machOFile({ ...MACOS, arch: 'arm64' })
}

let folder: string
let digest: string

beforeAll(() => {
  const program = "import('./scripts/targets.mjs').then(({ sourcesDigest }) => process.stdout.write(sourcesDigest()))"
  digest = spawnSync(process.execPath, ['-e', program], { cwd: root, encoding: 'utf8' }).stdout
})

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coreactor-binaries-'))
  return () => rmSync(folder, { recursive: true, force: true })
})

/** The six files, some of them replaced, or absent; with the lists that belong to them. */
function put(replaced: Readonly<Record<string, Buffer | null>> = {}): void {
  const lines: string[] = []
  for (const [file, bytes] of Object.entries({ ...SIX, ...replaced })) {
    if (bytes === null) continue
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), bytes)
    lines.push(`${createHash('sha256').update(bytes).digest('hex')}  ${file}\n`)
  }
  writeFileSync(join(folder, 'SHA256SUMS'), lines.join(''))
  writeFileSync(join(folder, 'SOURCES.sha256'), `${digest}\n`)
}

/** How it ended, and the complaints. */
function check(...names: string[]): { status: number | null; complaints: string[] } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/check-binaries.mjs'), '--in', folder, ...names], { encoding: 'utf8' })
  expect(stderr).toBe('')
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('ok'))
  return { status, complaints: lines.slice(0, -1).map((line) => line.replace(/^WRONG +/, '').trim()) }
}

const refused = (file: string, ...complaints: string[]): unknown => ({ status: 1, complaints: [file, ...complaints] })

it('six files that are as they should be are published', () => {
  put()
  expect(check()).toEqual({ status: 0, complaints: [] })
})

it('what a linker for macOS puts into every library is no offence', () => {
  put({ 'darwin-x64/coreactor.node': machOFile({ ...MACOS, exports: ['_mh_dylib_header', '__dso_handle', ...ENTRIES] }) })
  expect(check()).toEqual({ status: 0, complaints: [] })
})

describe('a file is refused', () => {
  const linux = 'linux-x64/coreactor.glibc.node'
  const musl = 'linux-x64/coreactor.musl.node'
  const mac = 'darwin-arm64/coreactor.node'
  const macFile = { ...MACOS, arch: 'arm64' } as const

  const bad: [why: string, file: string, bytes: Buffer | null, ...complaints: string[]][] = [
    ['that is not there', mac, null, 'is missing: npm run binaries'],
    ['that is empty', linux, Buffer.alloc(0), 'is cut short: it has 0 bytes, and says that there is something at 0'],
    ['that is empty', mac, Buffer.alloc(0), 'is cut short: it has 0 bytes, and says that there is something at 0'],
    ['that is something else', linux, Buffer.from('#!/bin/sh\n'), 'is for no ELF file', 'is not marked NODELETE'],
    ['that is something else', mac, elfFile(GLIBC), 'is for no Mach-O file', 'wants macOS any, not 11.0', 'has no signature'],
    ['for another machine', linux, elfFile({ ...GLIBC, arch: 'arm64' }), 'is for arm64'],
    ['for another machine', mac, machOFile(MACOS), 'is for x64'],
    ['that needs a library which not every system has', linux, elfFile({ ...GLIBC, needs: ['libc.so.6', 'libstdc++.so.6'] }), 'needs libstdc++.so.6'],
    ['that needs the other C library', musl, elfFile({ ...MUSL, needs: ['libc.so.6'] }), 'needs libc.so.6'],
    ['that needs a library which not every system has', mac, machOFile({ ...macFile, needs: ['/usr/local/lib/libuv.1.dylib'] }), 'needs /usr/local/lib/libuv.1.dylib'],
    ['that offers its own operator new', linux, elfFile({ ...GLIBC, exports: ['_Znwm', ...ENTRIES] }), `exports _Znwm, ${ENTRIES.join(', ')}`],
    ['that offers its own operator new', mac, machOFile({ ...macFile, exports: ['_Znwm', ...ENTRIES] }), `exports _Znwm, ${ENTRIES.join(', ')}`],
    ['in which Node finds no module', linux, elfFile({ ...GLIBC, exports: [] }), 'exports nothing'],
    ['in which Node finds no module', mac, machOFile({ ...macFile, exports: [] }), 'exports nothing'],
    ['that offers a name of another library', linux, elfFile({ ...GLIBC, exports: ['__dso_handle', ...ENTRIES] }), `exports __dso_handle, ${ENTRIES.join(', ')}`],
    ['that wants a later glibc', linux, elfFile({ ...GLIBC, versions: ['GLIBC_2.17', 'GLIBC_2.34'] }), 'wants GLIBC_2.34; the ceiling is GLIBC_2.28'],
    ['that wants a version of the C++ library', linux, elfFile({ ...GLIBC, versions: ['GLIBCXX_3.4.22'] }), 'wants GLIBCXX_3.4.22; the ceiling is GLIBC_2.28'],
    ['for musl that wants glibc', musl, elfFile({ ...MUSL, versions: ['GLIBC_2.17'] }), 'wants GLIBC_2.17 of a musl system'],
    ['that may be unmapped under its threads', linux, elfFile({ ...GLIBC, nodelete: false }), 'is not marked NODELETE'],
    ['that wants a later macOS', mac, machOFile({ ...macFile, minimum: [13, 0] }), 'wants macOS 13.0, not 11.0'],
    ['that an arm64 Mac would kill', mac, machOFile({ ...macFile, signed: false }), 'has no signature'],
    ['that names a place of this machine', mac, machOFile({ ...macFile, content: `${homedir()}/a.cc\0` }), `has a path of the machine in it: ${homedir()}/`],
    ['that names a place of this machine', linux, elfFile({ ...GLIBC, content: 'node_modules/x\0' }), 'has a path of the machine in it: node_modules'],
    ['that has become too big', linux, elfFile({ ...GLIBC, content: 'x'.repeat(600_000) }), '600576 bytes are more than 600000']
  ]
  it.each(bad)('%s: %s', (_, file, bytes, ...complaints) => {
    put({ [file]: bytes })
    expect(check()).toEqual(refused(file, ...complaints))
  })

  it.each([linux, mac])('wherever it is cut short, and is not waited for or crashed over: %s', (file) => {
    const whole = SIX[file] as Buffer
    for (const length of [3, 20, 40, whole.length >> 1, whole.length - 8]) {
      put({ [file]: whole.subarray(0, length) })
      const { status, complaints } = check(file)
      expect(status).toBe(1)
      expect(complaints[0]).toBe(file)
      expect(complaints[1]).toContain(`is cut short: it has ${length} bytes`)
    }
  })

  it('that was changed after it had been compiled', () => {
    put()
    writeFileSync(join(folder, linux), elfFile({ ...GLIBC, content: 'other' }))
    expect(check()).toEqual(refused(linux, 'is not what SHA256SUMS says'))
  })
})

describe('all of them are refused', () => {
  it('without their SHA-256 list', () => {
    put()
    rmSync(join(folder, 'SHA256SUMS'))
    expect(check()).toEqual({ status: 1, complaints: ['SHA256SUMS is missing: npm run binaries'] })
  })

  it('when they were compiled from other sources', () => {
    put()
    writeFileSync(join(folder, 'SOURCES.sha256'), `${'0'.repeat(64)}\n`)
    expect(check()).toEqual({ status: 1, complaints: ['prebuilds/ was compiled from other sources: npm run binaries'] })
  })

  it('when something lies between them that would be published, too', () => {
    put()
    writeFileSync(join(folder, 'linux-x64/coreactor.musl.node.part'), '')
    expect(check()).toEqual({ status: 1, complaints: ['linux-x64/coreactor.musl.node.part would be published, too'] })
  })

  it('when they are too big together to be in one package', () => {
    // What cannot be compressed.
    const content = randomBytes(500_000).toString('latin1')
    put(Object.fromEntries(Object.entries(SIX).map(([file]) => [file, file.startsWith('linux') ? elfFile({ ...fileOf(file), content }) : machOFile({ ...macOf(file), content })])))
    const { status, complaints } = check()
    expect(status).toBe(1)
    expect(complaints).toEqual([expect.stringMatching(/^\d+ bytes compressed are more than 2000000$/)])
  })
})

it('those of one system can be looked at alone', () => {
  put({ 'darwin-x64/coreactor.node': null })
  expect(check('linux')).toEqual({ status: 0, complaints: [] })
})

function fileOf(file: string): ElfFile {
  return { ...(file.includes('musl') ? MUSL : GLIBC), arch: file.includes('arm64') ? 'arm64' : 'x64' }
}

function macOf(file: string): MachOFile {
  return { ...MACOS, arch: file.includes('arm64') ? 'arm64' : 'x64' }
}
