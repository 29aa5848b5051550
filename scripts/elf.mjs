/** Reads of a 64-bit ELF library what check-binaries.mjs asks: from its dynamic section, as the system's loader does. */
import { BinaryFile, TruncatedError } from './binary-file.mjs'

const MAGIC = 0x464c457f
const MACHINES = { 62: 'x64', 183: 'arm64' }
const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT = { NEEDED: 1, HASH: 4, STRTAB: 5, SYMTAB: 6, VERNEED: 0x6ffffffe, VERNEEDNUM: 0x6fffffff, FLAGS_1: 0x6ffffffb }
const DF_1_NODELETE = 8
const SYMBOL = 24

/** Throws if the file is cut short, or has no dynamic section to speak of. @param {Buffer} bytes */
export function readElf(bytes) {
  const file = new BinaryFile(bytes)
  if (file.u32(0) !== MAGIC) return { arch: 'no ELF file', libraries: [], exports: [], imports: [], versions: [], nodelete: false }
  const segments = Array.from({ length: file.u16(56) }, (_, i) => {
    const at = file.u64(32) + i * file.u16(54)
    return { type: file.u32(at), offset: file.u64(at + 8), address: file.u64(at + 16), size: file.u64(at + 32) }
  })
  // What is mapped has to be there, be it code that nobody reads here.
  for (const { type, offset, size } of segments) if (type === PT_LOAD && size > 0) file.byte(offset + size - 1)
  /** Where in the file an address of the loaded library is. */
  const fileOffset = (address) => {
    const segment = segments.find(({ type, address: from, size }) => type === PT_LOAD && address >= from && address < from + size)
    if (segment === undefined) throw new TruncatedError(address, bytes.length)
    return address - segment.address + segment.offset
  }
  const entries = []
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC) ?? { offset: 0, size: 0 }
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size && file.u64(at) !== 0; at += 16) entries.push([file.u64(at), file.u64(at + 8)])
  const value = (tag) => entries.find(([each]) => each === tag)?.[1]
  const missing = ['STRTAB', 'SYMTAB', 'HASH'].filter((name) => value(DT[name]) === undefined)
  if (missing.length > 0) throw new Error(`has no ${missing.join(', ')} in its dynamic section`)
  const strings = fileOffset(value(DT.STRTAB))
  const string = (offset) => file.string(strings + offset)

  const symbols = fileOffset(value(DT.SYMTAB))
  const count = file.u32(fileOffset(value(DT.HASH)) + 4)
  const exports = []
  /** Looked for elsewhere when it is loaded. */
  const imports = []
  for (let at = symbols; at < symbols + count * SYMBOL; at += SYMBOL) {
    const local = file.byte(at + 4) >> 4 === 0
    const undefinedHere = file.u16(at + 6) === 0
    if (!local) (undefinedHere ? imports : exports).push(string(file.u32(at)))
  }

  const versions = []
  let need = value(DT.VERNEED) === undefined ? 0 : fileOffset(value(DT.VERNEED))
  for (let i = 0; i < (value(DT.VERNEEDNUM) ?? 0); i++) {
    let version = need + file.u32(need + 8)
    for (let j = 0; j < file.u16(need + 2); j++) {
      versions.push(string(file.u32(version + 8)))
      version += file.u32(version + 12)
    }
    need += file.u32(need + 12)
  }

  return {
    arch: MACHINES[file.u16(18)] ?? `machine ${file.u16(18)}`,
    libraries: entries.filter(([tag]) => tag === DT.NEEDED).map(([, offset]) => string(offset)),
    exports,
    imports,
    versions: [...new Set(versions)],
    nodelete: ((value(DT.FLAGS_1) ?? 0) & DF_1_NODELETE) !== 0
  }
}
