/** Reads of a 64-bit Mach-O library what check-binaries.mjs asks: from its load commands. */

const MAGIC = 0xfeedfacf
const CPUS = { 0x01000007: 'x64', 0x0100000c: 'arm64' }
const LC = { SYMTAB: 0x2, LOAD_DYLIB: 0xc, CODE_SIGNATURE: 0x1d, BUILD_VERSION: 0x32, VERSION_MIN_MACOSX: 0x24 }
const NLIST = 16
const N_STAB = 0xe0
const N_TYPE = 0x0e
const N_EXT = 0x01
const N_PEXT = 0x10

/** @param {Buffer} bytes */
export function readMachO(bytes) {
  const found = { arch: 'no Mach-O file', libraries: [], exports: [], minimum: 'any', signed: false }
  if (bytes.readUInt32LE(0) !== MAGIC) return found
  found.arch = CPUS[bytes.readUInt32LE(4)] ?? `cpu ${bytes.readUInt32LE(4)}`
  const string = (at) => bytes.toString('latin1', at, bytes.indexOf(0, at))
  let at = 32
  for (let i = 0; i < bytes.readUInt32LE(16); i++) {
    const command = bytes.readUInt32LE(at)
    if (command === LC.LOAD_DYLIB) found.libraries.push(string(at + bytes.readUInt32LE(at + 8)))
    if (command === LC.CODE_SIGNATURE) found.signed = true
    if (command === LC.BUILD_VERSION) found.minimum = version(bytes.readUInt32LE(at + 12))
    if (command === LC.VERSION_MIN_MACOSX) found.minimum = version(bytes.readUInt32LE(at + 8))
    if (command === LC.SYMTAB) found.exports = exportsOf(at)
    at += bytes.readUInt32LE(at + 4)
  }
  return found

  /** Names have an underscore before them, as C symbols have on this system. */
  function exportsOf(table) {
    const [symbols, count, strings] = [8, 12, 16].map((offset) => bytes.readUInt32LE(table + offset))
    const names = []
    for (let entry = symbols; entry < symbols + count * NLIST; entry += NLIST) {
      const type = bytes[entry + 4]
      const exported = (type & N_STAB) === 0 && (type & N_EXT) !== 0 && (type & N_PEXT) === 0 && (type & N_TYPE) !== 0
      if (exported) names.push(string(strings + bytes.readUInt32LE(entry)).replace(/^_/, ''))
    }
    return names
  }
}

function version(packed) {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`
}
