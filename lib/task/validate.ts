/** Errors for bad arguments, with Node's codes: thrown before any effect. */

/** What a message says of a value. */
export function received(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`
  return `type ${typeof value} (${String(value)})`
}

/** `ERR_INVALID_ARG_TYPE`, a TypeError. `expected` completes "must be …". */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${received(value)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}

/** `ERR_OUT_OF_RANGE`, a RangeError. `expected` completes "It must be …". */
export function outOfRange(name: string, expected: string, value: unknown): RangeError {
  const error = new RangeError(`The value of "${name}" is out of range. It must be ${expected}. Received ${String(value)}`)
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
}

/** `ERR_INVALID_ARG_VALUE`, a TypeError. */
export function invalidValue(name: string, problem: string, value: unknown): TypeError {
  const error = new TypeError(`The "${name}" argument ${problem}. Received ${received(value)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}

export function checkInteger(name: string, value: unknown, min: number, max: number): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `an integer >= ${min} and <= ${max}`, value)
  }
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value)
}

/** Milliseconds: any number but NaN. Negative means 0, Infinity means never. */
export function checkMilliseconds(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (Number.isNaN(value)) throw outOfRange(name, 'a number of milliseconds', value)
}
