/** Reads of a 64-bit ELF library what check-binaries.mjs asks: from its dynamic section, as the system's loader does. */

const MACHINES = { 62: 'x64', 183: 'arm64' }
const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT = { NEEDED: 1, HASH: 4, STRTAB: 5, SYMTAB: 6, VERNEED: 0x6ffffffe, VERNEEDNUM: 0x6fffffff, FLAGS_1: 0x6ffffffb }
const DF_1_NODELETE = 8
const SYMBOL = 24

/** @param {Buffer} bytes */
export function readElf(bytes) {
  if (bytes.readUInt32BE(0) !== 0x7f454c46) return { arch: 'no ELF file', libraries: [], exports: [], versions: [], nodelete: false }
  const number = (at) => Number(bytes.readBigUInt64LE(at))
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
    const at = number(32) + i * bytes.readUInt16LE(54)
    return { type: bytes.readUInt32LE(at), offset: number(at + 8), address: number(at + 16), size: number(at + 32) }
  })
  /** Where in the file an address of the loaded library is. */
  const fileOffset = (address) => {
    const segment = segments.find(({ type, address: from, size }) => type === PT_LOAD && address >= from && address < from + size)
    return address - segment.address + segment.offset
  }
  const entries = []
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size && number(at) !== 0; at += 16) entries.push([number(at), number(at + 8)])
  const value = (tag) => entries.find(([each]) => each === tag)?.[1]
  const strings = fileOffset(value(DT.STRTAB))
  const string = (offset) => bytes.toString('latin1', strings + offset, bytes.indexOf(0, strings + offset))

  const symbols = fileOffset(value(DT.SYMTAB))
  const count = bytes.readUInt32LE(fileOffset(value(DT.HASH)) + 4)
  const exports = []
  for (let at = symbols; at < symbols + count * SYMBOL; at += SYMBOL) {
    const local = bytes[at + 4] >> 4 === 0
    const undefinedHere = bytes.readUInt16LE(at + 6) === 0
    if (!local && !undefinedHere) exports.push(string(bytes.readUInt32LE(at)))
  }

  const versions = []
  let need = value(DT.VERNEED) === undefined ? 0 : fileOffset(value(DT.VERNEED))
  for (let i = 0; i < (value(DT.VERNEEDNUM) ?? 0); i++) {
    let version = need + bytes.readUInt32LE(need + 8)
    for (let j = 0; j < bytes.readUInt16LE(need + 2); j++) {
      versions.push(string(bytes.readUInt32LE(version + 8)))
      version += bytes.readUInt32LE(version + 12)
    }
    need += bytes.readUInt32LE(need + 12)
  }

  return {
    arch: MACHINES[bytes.readUInt16LE(18)] ?? `machine ${bytes.readUInt16LE(18)}`,
    libraries: entries.filter(([tag]) => tag === DT.NEEDED).map(([, offset]) => string(offset)),
    exports,
    versions: [...new Set(versions)],
    nodelete: ((value(DT.FLAGS_1) ?? 0) & DF_1_NODELETE) !== 0
  }
}
