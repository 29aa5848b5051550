/** Integers as redis has them: 64 bits, written strictly (no blank, no plus sign, no leading zero). */

const MAX = 2n ** 63n - 1n
const MIN = -(2n ** 63n)
const STRICT = /^(?:0|-?[1-9][0-9]{0,18})$/

/** Null if `text` is no 64-bit integer. */
export function parseInteger(text: string): bigint | null {
  if (!STRICT.test(text)) return null
  return inRange(BigInt(text))
}

/** `text` as a number; NaN if it is no integer, or one that a number cannot hold exactly. */
export function parseSafeInteger(text: string): number {
  const value = Number(text)
  return Number.isSafeInteger(value) && String(value) === text ? value : NaN
}

export function inRange(value: bigint): bigint | null {
  return value >= MIN && value <= MAX ? value : null
}
