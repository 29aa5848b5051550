/**
 * Finds the addon: the one that COREACTOR_NATIVE names, the asset of a single executable, one that was built on this
 * machine, the one that the package carries, in this order. What it exports is the business of `native.ts`.
 */
import { closeSync, existsSync, mkdtempSync, openSync, readSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { fileURLToPath, pathToFileURL } from 'node:url'
import prebuilt from './prebuilt.cjs'

/** The name of the addon among the assets of a single executable application. */
const ASSET = 'coreactor.node'

/** An addon that was not taken, and why: what the system's loader says, usually. */
export interface AddonAttempt {
  readonly path: string
  readonly why: string
}

/**
 * The C++ addon cannot be loaded: the package has none for this platform, or the file does not fit. The message names all
 * that was tried, and what to do. Thrown when the first operation needs the operating system, not by the import.
 */
export class AddonError extends Error {
  readonly code = 'ERR_COREACTOR_ADDON'
  /** Operating system, architecture and, on Linux, the C library: `'linux-x64-musl'`. */
  readonly platform: string
  /** In the order in which they were tried. */
  readonly tried: readonly AddonAttempt[]

  constructor(platform: string, tried: readonly AddonAttempt[]) {
    const attempts = tried.map(({ path, why }) => `\n  ${path}\n    ${why.replaceAll('\n', '\n    ')}`)
    super(
      `coreactor has no addon that loads on ${platform} (Node.js ${process.versions.node}). Tried:${attempts.join('')}\n` +
        (process.platform === 'win32'
          ? 'Windows has neither epoll nor kqueue, and is not supported. The Windows Subsystem for Linux is Linux.'
          : 'Two ways out:\n' +
            '  npx coreactor build        compiles it here; needs python 3, make and a C++17 compiler\n' +
            '  COREACTOR_NATIVE=<path>    names one that was compiled elsewhere, from the same version of coreactor')
    )
    this.platform = platform
    this.tried = tried
  }

  override get name(): string {
    return 'AddonError'
  }
}

/** What the addon exports. Throws an `AddonError` if there is none that loads. */
export function loadAddon(): unknown {
  const tried: AddonAttempt[] = []
  const attempt = (path: string, load: () => unknown): unknown => {
    try {
      const addon = load()
      if (addon !== undefined) return addon
      tried.push({ path, why: 'the package has none for this platform' })
    } catch (error) {
      tried.push({ path, why: error instanceof Error ? error.message : String(error) })
    }
    return undefined
  }

  const named = process.env['COREACTOR_NATIVE']
  if (named !== undefined && named !== '') {
    // Who names one wants that one, and no other.
    const addon = attempt(`${named} (COREACTOR_NATIVE)`, () => loadFile(named))
    if (addon === undefined) throw new AddonError(platformName(), tried)
    return addon
  }
  const asset = executableAsset()
  if (asset !== undefined) {
    const addon = attempt(`the asset ${ASSET} of this executable`, () => loadBytes(asset))
    if (addon !== undefined) return addon
  }
  const built = builtHere()
  if (built !== undefined && existsSync(built)) {
    const addon = attempt(built, () => loadFile(built))
    if (addon !== undefined) return addon
  }
  const addon = attempt(`prebuilds/${prebuiltName()}`, () => prebuilt(isMusl()))
  if (addon === undefined) throw new AddonError(platformName(), tried)
  return addon
}

/** Not `require`, which a bundler takes for its own, and which is another one in a single executable. */
function loadFile(path: string): unknown {
  const file = realpathSync(path)
  return createRequire(pathToFileURL(file))(file) as unknown
}

/** The system's loader wants a file. It is needed only until it is mapped. */
function loadBytes(bytes: ArrayBuffer): unknown {
  const folder = mkdtempSync(`${tmpdir()}/coreactor-`)
  try {
    writeFileSync(`${folder}/${ASSET}`, Buffer.from(bytes), { mode: 0o500 })
    return loadFile(`${folder}/${ASSET}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What was put into a single executable application under our name. */
function executableAsset(): ArrayBuffer | undefined {
  // Other runtimes have no such module, and some no such function.
  const sea = process.getBuiltinModule?.('node:sea') as SingleExecutable | undefined
  if (sea?.isSea?.() !== true) return undefined
  try {
    return sea.getRawAsset(ASSET)
  } catch {
    // ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND: the addon may lie beside the executable, as COREACTOR_NATIVE says.
    return undefined
  }
}

/** Of `node:sea`. */
interface SingleExecutable {
  isSea(): boolean
  getRawAsset(name: string): ArrayBuffer
}

/** Where `node-gyp rebuild` and `npx coreactor build` leave it. Undefined in a bundle, which has no place in a package. */
function builtHere(): string | undefined {
  const here = import.meta.url as string | undefined
  return here === undefined ? undefined : fileURLToPath(new URL('../../build/Release/coreactor.node', here))
}

function prebuiltName(): string {
  const system = `${process.platform}-${process.arch}/coreactor`
  return process.platform === 'linux' ? `${system}.${isMusl() ? 'musl' : 'glibc'}.node` : `${system}.node`
}

function platformName(): string {
  const libc = process.platform === 'linux' ? (isMusl() ? '-musl' : '-glibc') : ''
  return `${process.platform}-${process.arch}${libc}`
}

let musl: boolean | undefined

/** Whether this program's C library is musl: its dynamic loader says so. */
function isMusl(): boolean {
  if (musl === undefined) {
    // Without /proc, in a chroot, the path that we were started with has to do.
    const program = ['/proc/self/exe', process.execPath].find((path) => existsSync(path))
    musl = process.platform === 'linux' && program !== undefined && interpreterOf(program).includes('/ld-musl-')
  }
  return musl
}

const ELF_HEADER = 64
const PROGRAM_HEADER = 56
const PT_INTERP = 3

/**
 * The dynamic loader that a program asks for (`/lib64/ld-linux-x86-64.so.2`), out of its ELF file; empty if it asks for
 * none, or is none. `process.report` knows the C library, too, and lists every open socket on the way.
 */
export function interpreterOf(program: string): string {
  const file = openSync(program, 'r')
  try {
    const header = readAt(file, 0, ELF_HEADER)
    if (header.toString('latin1', 0, 4) !== '\x7fELF') return ''
    const table = Number(header.readBigUInt64LE(0x20))
    for (let i = 0; i < header.readUInt16LE(0x38); i++) {
      const segment = readAt(file, table + i * PROGRAM_HEADER, PROGRAM_HEADER)
      if (segment.readUInt32LE(0) !== PT_INTERP) continue
      return text(readAt(file, Number(segment.readBigUInt64LE(0x08)), Number(segment.readBigUInt64LE(0x20))))
    }
    return ''
  } finally {
    closeSync(file)
  }
}

/** Without the NUL at its end. */
function text(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/\0$/, '')
}

function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(file, bytes, 0, length, position)
  return bytes
}
