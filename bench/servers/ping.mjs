/** Counts complete RESP commands (arrays of bulk strings) at the front of a buffer; the servers answer each with +PONG. */
const CR = 13
const DOLLAR = 36
const STAR = 42

export class CommandCounter {
  /** Bytes of a command that has not arrived whole. */
  #rest = null

  count(chunk) {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    let commands = 0
    for (let end; (end = endOf(bytes, at)) > 0; at = end) commands++
    this.#rest = at === bytes.length ? null : Buffer.from(bytes.subarray(at))
    return commands
  }
}

/** Where the command that begins at `from` ends; -1 if it is not whole. */
function endOf(bytes, from) {
  if (from >= bytes.length) return -1
  if (bytes[from] !== STAR) throw new Error('not a command')
  let at = from + 1
  let parts = 0
  for (; at < bytes.length && bytes[at] !== CR; at++) parts = parts * 10 + bytes[at] - 48
  at += 2
  for (; parts > 0; parts--) {
    if (at >= bytes.length) return -1
    if (bytes[at] !== DOLLAR) throw new Error('not a command')
    let size = 0
    for (at++; at < bytes.length && bytes[at] !== CR; at++) size = size * 10 + bytes[at] - 48
    at += 2 + size + 2
  }
  return at <= bytes.length ? at : -1
}
