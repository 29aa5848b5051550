/** The bytes of a program file, for elf.mjs and mach-o.mjs: what such a file says of its own lengths may not be true. */

/** The file ends before something that it says it has. */
export class TruncatedError extends Error {
  constructor(at, size) {
    super(`is cut short: it has ${size} bytes, and says that there is something at ${at}`)
  }
}

/** Numbers and names by their offsets; both formats are little-endian on the machines that the package is for. */
export class BinaryFile {
  #bytes

  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.#bytes = bytes
  }

  byte(at) {
    return this.#within(at, 1).readUInt8(at)
  }

  u16(at) {
    return this.#within(at, 2).readUInt16LE(at)
  }

  u32(at) {
    return this.#within(at, 4).readUInt32LE(at)
  }

  /** Offsets and sizes: beyond 2 ** 53 they are outside of any file, whatever they are rounded to. */
  u64(at) {
    return Number(this.#within(at, 8).readBigUInt64LE(at))
  }

  /** Up to the NUL behind it. */
  string(at) {
    this.#within(at, 1)
    const end = this.#bytes.indexOf(0, at)
    if (end === -1) throw new TruncatedError(this.#bytes.length, this.#bytes.length)
    return this.#bytes.toString('latin1', at, end)
  }

  /** Throws unless that many bytes are there. */
  #within(at, size) {
    if (at + size > this.#bytes.length) throw new TruncatedError(at, this.#bytes.length)
    return this.#bytes
  }
}
