/** Reads of a 64-bit Mach-O library what check-binaries.mjs asks: from its load commands. */
import { BinaryFile } from './binary-file.mjs'

const MAGIC = 0xfeedfacf
const CPUS = { 0x01000007: 'x64', 0x0100000c: 'arm64' }
const LC = {
  LOAD_DYLIB: 0xc,
  CODE_SIGNATURE: 0x1d,
  VERSION_MIN_MACOSX: 0x24,
  BUILD_VERSION: 0x32,
  LOAD_WEAK_DYLIB: 0x80000018,
  REEXPORT_DYLIB: 0x8000001f,
  DYLD_INFO: 0x22,
  DYLD_INFO_ONLY: 0x80000022,
  DYLD_EXPORTS_TRIE: 0x80000033
}
const LIBRARY = new Set([LC.LOAD_DYLIB, LC.LOAD_WEAK_DYLIB, LC.REEXPORT_DYLIB])
const HEADER = 32

/** Throws a `TruncatedError` if the file is cut short. @param {Buffer} bytes */
export function readMachO(bytes) {
  const file = new BinaryFile(bytes)
  const found = { arch: 'no Mach-O file', libraries: [], exports: [], minimum: 'any', signed: false }
  if (file.u32(0) !== MAGIC) return found
  found.arch = CPUS[file.u32(4)] ?? `cpu ${file.u32(4)}`
  for (let i = 0, at = HEADER; i < file.u32(16); i++, at += file.u32(at + 4)) {
    const command = file.u32(at)
    if (LIBRARY.has(command)) found.libraries.push(file.string(at + file.u32(at + 8)))
    if (command === LC.CODE_SIGNATURE) found.signed = isThere(file.u32(at + 8), file.u32(at + 12))
    if (command === LC.BUILD_VERSION) found.minimum = version(file.u32(at + 12))
    if (command === LC.VERSION_MIN_MACOSX) found.minimum = version(file.u32(at + 8))
    if (command === LC.DYLD_EXPORTS_TRIE) found.exports = exportsOf(file, file.u32(at + 8), file.u32(at + 12))
    if (command === LC.DYLD_INFO || command === LC.DYLD_INFO_ONLY) found.exports = exportsOf(file, file.u32(at + 40), file.u32(at + 44))
  }
  return found

  /** The signature is the last thing in a file: one that is cut short has lost it. */
  function isThere(offset, size) {
    file.byte(offset + size - 1)
    return true
  }
}

/**
 * What others can find in the library: a tree of the pieces of the names, in which dyld looks them up. The table of symbols
 * is for debuggers. Names have an underscore before them, as C symbols have on this system.
 */
function exportsOf(file, start, size) {
  const names = []
  const seen = new Set()
  if (size > 0) visit(start, '')
  return names

  /** A node: the size of what it says of a name that ends here, that, and its branches. */
  function visit(node, name) {
    // A file that is not what it should be might go round in circles.
    if (seen.has(node)) throw new Error('has exports that cannot be read')
    seen.add(node)
    const [information, after] = uleb(node)
    if (information > 0) names.push(name.replace(/^_/, ''))
    let at = after + information
    for (let left = file.byte(at++); left > 0; left--) {
      const piece = file.string(at)
      const [branch, next] = uleb(at + piece.length + 1)
      visit(start + branch, name + piece)
      at = next
    }
  }

  /** A number in seven bits a byte, and where the next thing is. */
  function uleb(at) {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = file.byte(at++)
      value += (byte & 0x7f) * factor
      if (byte < 128) return [value, at]
    }
  }
}

function version(packed) {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`
}
