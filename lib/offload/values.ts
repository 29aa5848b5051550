/**
 * Arguments and results on their way between threads or processes: what the structured clone cannot take, or would take
 * otherwise than one expects, is replaced by something that it can, with a mark that says what it was. Values are looked
 * at as they are, and one level into plain objects, which is where functions are passed by name.
 */
import { detached } from './errors.js'

/** What may be moved instead of copied. */
export type Transferable = ArrayBuffer | import('node:worker_threads').MessagePort | object

type Path = readonly [index: number] | readonly [index: number, key: string]

export type Mark =
  | { readonly at: Path; readonly is: 'buffer' }
  | { readonly at: Path; readonly is: 'function'; readonly number: number }

export interface Packed {
  readonly values: readonly unknown[]
  /** Undefined for nothing: most have none. */
  readonly marks?: Mark[] | undefined
}

/** A value that takes buffers with it: see `job.transfer`. */
export class Moved {
  readonly value: unknown
  readonly transfer: readonly Transferable[]

  constructor(value: unknown, transfer: readonly Transferable[]) {
    this.value = value
    this.transfer = transfer
  }
}

/** A function that was among the values. */
export type AnyFunction = (...args: unknown[]) => unknown

/**
 * Makes values ready to be sent. Functions are added to `functions`, or stay and fail later if there is nowhere to keep
 * them. Throws `ERR_COREACTOR_DETACHED`. `what` names the i-th value in errors.
 */
export function pack(
  given: readonly unknown[],
  transfer: readonly Transferable[],
  functions: AnyFunction[] | null,
  what: (i: number) => string
): Packed {
  const marks: Mark[] = []
  const replace = (value: unknown, at: Path): unknown => {
    if (typeof value === 'function') {
      if (functions === null) return value
      marks.push({ at, is: 'function', number: functions.push(value as AnyFunction) - 1 })
      return undefined
    }
    if (value instanceof ArrayBuffer) {
      if (isDetached(value)) throw detached(what(at[0]))
      return value
    }
    if (!ArrayBuffer.isView(value)) return value
    const { buffer } = value
    // Shared memory is shared, whatever part of it is looked at.
    if (!(buffer instanceof ArrayBuffer)) return value
    if (isDetached(buffer)) throw detached(what(at[0]))
    if (Buffer.isBuffer(value)) marks.push({ at, is: 'buffer' })
    // A clone takes the whole buffer along, which for a small Buffer is the pool, with other people's bytes in it.
    const whole = value.byteLength === buffer.byteLength || transfer.includes(buffer) || value instanceof DataView
    return whole ? value : Uint8Array.prototype.slice.call(new Uint8Array(buffer, value.byteOffset, value.byteLength))
  }
  const values = given.map((value, i) => {
    if (!isPlain(value)) return restored(value, replace(value, [i]))
    let copy: Record<string, unknown> | null = null
    for (const key of Object.keys(value)) {
      const member = value[key]
      const replaced = restored(member, replace(member, [i, key]))
      if (replaced !== member) (copy ??= { ...value })[key] = replaced
    }
    return copy ?? value
  })
  return marks.length === 0 ? { values } : { values, marks }
}

/** Whether `pack` would find a function in it. */
export function holdsFunction(value: unknown): boolean {
  return typeof value === 'function' || (isPlain(value) && Object.values(value).some((member) => typeof member === 'function'))
}

/** Puts back what marks say. A function becomes what `call` makes of its number. */
export function unpack({ values, marks }: Packed, call: ((number: number) => AnyFunction) | null): unknown[] {
  const unpacked = [...values]
  for (const mark of marks ?? []) {
    const [index, key] = mark.at
    const holder = (key === undefined ? unpacked : unpacked[index]) as Record<string | number, unknown>
    const place = key ?? index
    if (mark.is === 'function') {
      holder[place] = call?.(mark.number)
    } else {
      const bytes = holder[place] as Uint8Array
      holder[place] = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
  }
  return unpacked
}

/** A part of an array of numbers was copied as bytes: it is an array of the same numbers again. */
function restored(before: unknown, after: unknown): unknown {
  if (before === after || !ArrayBuffer.isView(before) || before instanceof Uint8Array) return after
  const { constructor } = before as unknown as { constructor: new (buffer: ArrayBufferLike) => unknown }
  return new constructor((after as Uint8Array).buffer)
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** `ArrayBuffer.prototype.detached` came with Node 22. */
function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}
