/**
 * Shared libraries with nothing in them but what the system's loader reads: for tests of what looks at such files. Of 64
 * bits, little-endian; nobody can run them.
 */

export interface LibraryFile {
  readonly arch: 'x64' | 'arm64'
  /** Names of the libraries that it needs. */
  readonly needs: readonly string[]
  readonly exports: readonly string[]
  /** Anything else that is in the file. */
  readonly content?: string
}

export interface ElfFile extends LibraryFile {
  /** Versions of symbols that it wants of the first library that it needs, as `GLIBC_2.17`. */
  readonly versions: readonly string[]
  readonly nodelete: boolean
}

export interface MachOFile extends LibraryFile {
  /** The oldest macOS: `[11, 0]`. */
  readonly minimum: readonly [number, number]
  readonly signed: boolean
}

/** Pieces of a file one behind the other, each of which is told where it begins. */
class Layout {
  readonly #pieces: Buffer[] = []
  #size: number

  constructor(start: number) {
    this.#size = start
  }

  /** Where it is. */
  add(piece: Buffer): number {
    const at = this.#size
    const padding = Buffer.alloc((8 - (piece.length % 8)) % 8)
    this.#pieces.push(piece, padding)
    this.#size += piece.length + padding.length
    return at
  }

  behind(head: Buffer): Buffer {
    return Buffer.concat([head, ...this.#pieces])
  }
}

/** Names with a NUL behind each, and where each is. */
class Names {
  #text = '\0'

  add(name: string): number {
    const at = this.#text.length
    this.#text += `${name}\0`
    return at
  }

  get bytes(): Buffer {
    return Buffer.from(this.#text, 'latin1')
  }
}

const u16 = (...values: number[]): Buffer => Buffer.from(Uint16Array.from(values).buffer)
const u32 = (...values: number[]): Buffer => Buffer.from(Uint32Array.from(values).buffer)
const u64 = (...values: number[]): Buffer => Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer)

/** A library of Linux: one segment, which is the whole file, with its dynamic section. */
export function elfFile({ arch, needs, exports, versions, nodelete, content = '' }: ElfFile): Buffer {
  const HEADER = 64
  const SEGMENT = 56
  const layout = new Layout(HEADER + 2 * SEGMENT)
  const names = new Names()
  const needed = needs.map((name) => names.add(name))
  // The first is none; then one that is looked for elsewhere; then those that are here, in some section.
  const symbol = (name: string, section: number): Buffer => Buffer.concat([u32(names.add(name)), Buffer.of(0x12, 0), u16(section), u64(0, 0)])
  const symbols = [Buffer.alloc(24), symbol('napi_throw_error', 0), ...exports.map((name) => symbol(name, 1))]
  const wanted = versions.map((name, i) => Buffer.concat([u32(0), u16(0, i + 2), u32(names.add(name), i + 1 < versions.length ? 16 : 0)]))
  const need = Buffer.concat([u16(1, versions.length), u32(needed[0] ?? 0, 16, 0), ...wanted])
  layout.add(Buffer.from(content, 'latin1'))
  const entries = [
    ...needed.flatMap((name) => [1, name]),
    4, layout.add(u32(1, symbols.length, 0, 0)),
    6, layout.add(Buffer.concat(symbols)),
    ...(versions.length > 0 ? [0x6ffffffe, layout.add(need), 0x6fffffff, 1] : []),
    5, layout.add(names.bytes),
    0x6ffffffb, nodelete ? 8 : 0,
    0, 0
  ]
  const dynamic = layout.add(u64(...entries))
  const size = dynamic + 8 * entries.length
  const segment = (type: number, at: number, length: number): Buffer => Buffer.concat([u32(type, 4), u64(at, at, at, length, length, 8)])
  const header = Buffer.concat([
    Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), Buffer.alloc(9),
    u16(3, arch === 'x64' ? 62 : 183), u32(1), u64(0, HEADER, 0), u32(0), u16(HEADER, SEGMENT, 2, 0, 0, 0)
  ])
  return layout.behind(Buffer.concat([header, segment(1, 0, size), segment(2, dynamic, size - dynamic)]))
}

/** A library of macOS: load commands, the tree of its exports, and a signature that is the right size and no more. */
export function machOFile({ arch, needs, exports, minimum, signed, content = '' }: MachOFile): Buffer {
  const HEADER = 32
  const libraries = needs.map((name) => {
    const text = Buffer.alloc(Math.ceil((name.length + 1) / 8) * 8)
    text.write(name, 'latin1')
    return Buffer.concat([u32(0xc, 24 + text.length, 24, 0, 0, 0), text])
  })
  const commandsSize = libraries.reduce((sum, { length }) => sum + length, 0) + 24 + 48 + (signed ? 16 : 0)
  const layout = new Layout(HEADER + commandsSize)
  layout.add(Buffer.from(content, 'latin1'))
  const tree = exportTree(exports.map((name) => `_${name}`))
  const commands = [
    ...libraries,
    u32(0x32, 24, 1, (minimum[0] << 16) | (minimum[1] << 8), 0, 0),
    u32(0x80000022, 48, 0, 0, 0, 0, 0, 0, 0, 0, layout.add(tree), tree.length),
    ...(signed ? [u32(0x1d, 16, layout.add(Buffer.alloc(64, 's')), 64)] : [])
  ]
  const cpu = arch === 'x64' ? 0x01000007 : 0x0100000c
  return layout.behind(Buffer.concat([u32(0xfeedfacf, cpu, 0, 6, commands.length, commandsSize, 0, 0), ...commands]))
}

/** A root with a branch for the first character of all names, behind which each name has its own. */
function exportTree(names: readonly string[]): Buffer {
  if (names.length === 0) return Buffer.alloc(0)
  const LEAF = 4
  // Offsets of two bytes, seven bits in each.
  const root = Buffer.of(0, 1, '_'.charCodeAt(0), 0, 0x80 | 6, 0)
  const branches = names.map((name) => Buffer.from(`${name.slice(1)}\0`, 'latin1'))
  const leaves = root.length + 2 + branches.reduce((sum, { length }) => sum + length + 2, 0)
  const offset = (i: number): Buffer => Buffer.of(0x80 | ((leaves + i * LEAF) & 0x7f), (leaves + i * LEAF) >> 7)
  const fork = Buffer.concat([Buffer.of(0, names.length), ...branches.flatMap((branch, i) => [branch, offset(i)])])
  // What a leaf says: no flags, an address of one byte; and no branches.
  return Buffer.concat([root, fork, ...names.map(() => Buffer.of(2, 0, 1, 0))])
}
