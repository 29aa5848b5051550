/**
 * What was thrown on one side, as a value that the other side makes an error of again: with its class if that is one of
 * the language's, its name, stack, code, other properties, cause and errors. The structured clone would drop half of it.
 */

export interface Thrown {
  /** What is no error. */
  readonly value?: unknown
  /** The nearest class of the language's. */
  readonly base?: string
  readonly name?: string
  readonly message?: string
  readonly stack?: string | undefined
  readonly own?: Record<string, unknown>
  readonly cause?: Thrown
  readonly errors?: readonly Thrown[]
  /** The call that it came from: whoever was called has the original. */
  readonly call?: number | undefined
}

const CLASSES: Readonly<Record<string, new (message?: string) => Error>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError
}

/** How many causes and errors within errors are looked at: there may be a cycle. */
const DEPTH = 8

/** Errors that were made of a `Thrown` with a call. */
const calls = new WeakMap<Error, number>()

export function toThrown(error: unknown, depth = 0): Thrown {
  if (!(error instanceof Error)) return { value: cloneable(error) ? error : String(error) }
  const { cause, errors } = error as Error & { errors?: unknown }
  const deeper = depth < DEPTH
  return {
    base: baseOf(error),
    name: String(error.name),
    message: String(error.message),
    stack: error.stack,
    own: Object.fromEntries(Object.entries(error).filter(([key, value]) => !SEPARATE.has(key) && cloneable(value))),
    ...(deeper && cause !== undefined ? { cause: toThrown(cause, depth + 1) } : {}),
    ...(deeper && Array.isArray(errors) ? { errors: errors.map((each) => toThrown(each, depth + 1)) } : {}),
    call: calls.get(error)
  }
}

/** Properties that are sent on their own. */
const SEPARATE = new Set(['name', 'message', 'stack', 'cause', 'errors'])

/** `call`: whose answer it is, so that it is known again when it comes back. */
export function fromThrown(thrown: Thrown, call?: number): unknown {
  const { base, name, message, stack, own, cause, errors } = thrown
  if (base === undefined) return thrown.value
  const error =
    errors === undefined
      ? new (CLASSES[base] ?? Error)(message)
      : new AggregateError(errors.map((each) => fromThrown(each)), message)
  const hidden = (key: string, value: unknown): unknown =>
    Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
  if (error.name !== name) hidden('name', name)
  hidden('stack', stack)
  if (cause !== undefined) hidden('cause', fromThrown(cause))
  Object.assign(error, own)
  if (call !== undefined) calls.set(error, call)
  return error
}

function baseOf(error: Error): string {
  for (let prototype: unknown = error; prototype !== null; prototype = Object.getPrototypeOf(prototype)) {
    const { name } = (prototype as { constructor: { name: string } }).constructor
    if (Object.hasOwn(CLASSES, name)) return name
  }
  return 'Error'
}

/** By both algorithms. */
function cloneable(value: unknown): boolean {
  if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return true
  if (value === null) return true
  try {
    structuredClone(value)
    // JSON knows nothing of ports and shared memory, which only threads can take.
    return JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}
