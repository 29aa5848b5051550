/**
 * A kernel whose calls fail and fall short, as the system's do on a bad day: a decorator over any other kernel, which makes
 * the calls that are not spoilt. Which those are is decided by a seed, or by counting. What an error means stays with the
 * library; what the calls do stays with the kernel below.
 */
import { EAGAIN, ECONNRESET, EINPROGRESS, EINTR, ENOTCONN, EPIPE, errnoOf, ETIMEDOUT } from '../kernel/errno.js'
import type { Events, Kernel, Turn } from '../kernel/kernel.js'
import {
  BATCH_CAPACITY,
  EDGE,
  ERROR,
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_RESULT,
  EVENT_SLOT,
  READABLE,
  READ_CLOSED,
  SocketOption,
  WRITABLE,
  WRITE_CLOSED
} from '../kernel/layout.js'
import { nativeKernel } from '../kernel/native.js'
import { randomFrom } from '../task/random.js'
import { checkInteger, invalidType, invalidValue, outOfRange } from '../task/validate.js'

/** The calls of a kernel that a fault can be planned for: those that can fail. */
export type FaultyOperation = Exclude<
  { [K in keyof Kernel]: Kernel[K] extends (...args: never[]) => infer R ? (-1 extends R ? K : never) : never }[keyof Kernel],
  Untouched
>

/** What goes wrong with one kind of call, and when. */
export interface Fault {
  /**
   * The name of the error that the call fails with, such as `'ECONNRESET'`; or `'short'`: the call moves only a part of
   * the bytes that it could have, at least one. Not for datagrams, which that would cut off.
   */
  readonly fault: string
  /** How many of a hundred calls are hit, at random. Either this or `nth`. */
  readonly percent?: number | undefined
  /** The first call that is hit: 1 is the first there is. */
  readonly nth?: number | undefined
  /** How many calls are hit from the `nth` on; 1 by default, Infinity for all. */
  readonly times?: number | undefined
}

/** What goes wrong with which calls. Of several faults of one call the first in the list that hits is the one. */
export type Faults = { readonly [K in FaultyOperation]?: Fault | readonly Fault[] | undefined }

/** Options of a `FaultyKernel`. */
export interface FaultyKernelOptions {
  faults: Faults
  /** What makes the calls; the operating system by default. */
  over?: Kernel | undefined
  /** What `percent`, and the size of short calls, are drawn from; a random one by default. */
  seed?: number | undefined
}

/** Never spoilt. */
type Untouched =
  | 'events'
  | 'open'
  | 'close'
  | 'requestTurn'
  | 'ref'
  | 'unref'
  | 'cancelJob'
  | 'takeResult'
  | 'watchSteps'
  | 'claimJob'
  | 'now'
  | 'entropy'
  | 'freeMemory'
  | 'encodeAddress'
  | 'decodeAddress'

const UNTOUCHED: ReadonlySet<string> = new Set<Untouched>([
  'events',
  'open',
  'close',
  'requestTurn',
  'ref',
  'unref',
  'cancelJob',
  'takeResult',
  'now',
  'entropy',
  'freeMemory',
  'encodeAddress',
  'decodeAddress'
])

/** Which event a call waits for when it would block; of one that is not here, any. */
const DIRECTIONS: Readonly<Record<string, number>> = {
  receive: READABLE,
  read: READABLE,
  accept: READABLE,
  send: WRITABLE,
  sendVector: WRITABLE,
  write: WRITABLE,
  writeVector: WRITABLE
}

/** Calls that move bytes of one buffer, whose last argument is their number; and of many. */
const ONE_BUFFER: ReadonlySet<string> = new Set(['receive', 'read', 'send', 'write'])
const MANY_BUFFERS: ReadonlySet<string> = new Set(['sendVector', 'writeVector'])

/** Errors that end a connection, whichever call met them. */
const ENDS: ReadonlySet<number> = new Set([ECONNRESET, EPIPE, ETIMEDOUT, ENOTCONN])

/** Calls that can find out that a connection has ended; and what they answer from then on, on Linux. */
const AFTER_THE_END: Readonly<Record<string, number>> = {
  receive: 0,
  read: 0,
  send: EPIPE,
  sendVector: EPIPE,
  write: EPIPE,
  writeVector: EPIPE,
  shutdown: ENOTCONN
}

const HUNG_UP = READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | ERROR

interface Watched {
  readonly interest: number
  readonly mode: number
  readonly slot: number
  readonly generation: number
}

type Call = (...args: unknown[]) => unknown

/** The calls of the kernel below, which the constructor adds. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface FaultyKernel extends Kernel {}

/**
 * An operating system on a bad day: `run(main, { kernel: new FaultyKernel({ faults }) })`, over this system, or over a
 * `MemoryKernel`. Sockets are real ones then, and some of the calls on them fail. The seed decides which; `String(kernel)`
 * says the seed and what has been hit, for the message of an assertion. One `run` at a time uses it.
 *
 * - After an `EAGAIN` that was not true, and after a short call, the fd is reported again with the next turn if it is
 *   ready, so that who waits goes on. A call that always gets EAGAIN never ends, and time stands still on a virtual clock.
 * - `EINTR` never comes twice in a row, as it would not if the call were made again.
 * - `ECONNRESET`, `EPIPE`, `ETIMEDOUT` and `ENOTCONN` of a call that moves bytes, or of `shutdown`, end the connection: calls
 *   on it answer as if it had been reset, and the peer finds a reset when the fd is closed.
 * - `closeFd` and `remove` do what they should, and fail then; so does `connect` with `EINTR` and `EINPROGRESS`. Any other
 *   call that is hit has not happened.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE` for the options.
 *
 * @example
 * const kernel = new FaultyKernel({
 *   faults: {
 *     receive: [{ fault: 'short', percent: 60 }, { fault: 'EAGAIN', percent: 30 }],
 *     accept: { fault: 'EMFILE', nth: 3 }
 *   }
 * })
 * await run(function* () {
 *   const listener = yield* listen({ port: 0 })
 *   yield* listener.close()
 * }, { kernel })
 * console.log(kernel.injected('accept', 'EMFILE'), String(kernel))
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class FaultyKernel {
  /** What makes the calls. */
  readonly over: Kernel
  /** What everything that is random here is drawn from. */
  readonly seed: number
  private readonly random: () => number
  private readonly faults = new Map<string, readonly Fault[]>()
  /** By operation. */
  private readonly made = new Map<string, number>()
  /** By operation and fault. */
  private readonly hits = new Map<string, Map<string, number>>()
  /** By fd: what the kernel below watches. */
  private readonly watches = new Map<number, Watched>()
  /** Directions of fds for which no edge will come, although somebody was told that they would block. */
  private readonly owed = new Map<number, number>()
  /** By fd of a connection that an injected error has ended: what the next call that reads answers, once. */
  private readonly ended = new Map<number, number>()
  private readonly fds = new Set<number>()
  /** Operations whose last call was interrupted. */
  private readonly interrupted = new Set<string>()
  private isOpen = false

  constructor(options: FaultyKernelOptions) {
    if (options === null || typeof options !== 'object') throw invalidType('options', 'of type object', options)
    const { faults, over = nativeKernel(), seed = over.entropy() } = options
    checkInteger('options.seed', seed, 0, 0xffff_ffff)
    if (faults === null || typeof faults !== 'object') throw invalidType('options.faults', 'of type object', faults)
    this.over = over
    this.seed = seed
    this.random = randomFrom(seed)
    for (const name of callsOf(over)) {
      if (!(name in this)) Object.defineProperty(this, name, { value: this.forward(name), enumerable: true })
    }
    for (const [name, planned] of Object.entries(faults)) {
      if (planned === undefined) continue
      const where = `options.faults.${name}`
      if (UNTOUCHED.has(name) || !(name in this)) throw invalidValue(where, 'is no call that can fail', planned)
      const list = Array.isArray(planned) ? (planned as readonly Fault[]) : [planned as Fault]
      for (const fault of list) checkFault(where, name, fault)
      this.faults.set(name, list)
    }
  }

  /** How many calls have been hit: of this operation, with this fault; of all of them, if it is not said. */
  injected(operation?: FaultyOperation, fault?: string): number {
    let sum = 0
    for (const [name, hits] of this.hits) {
      if (operation !== undefined && name !== operation) continue
      for (const [kind, count] of hits) if (fault === undefined || kind === fault) sum += count
    }
    return sum
  }

  /** How many calls of this operation have been made, hit or not. */
  calls(operation: FaultyOperation): number {
    return this.made.get(operation) ?? 0
  }

  /** Fds that the kernel has given out and that have not been closed: 0 when nothing has leaked. */
  get openFds(): number {
    return this.fds.size
  }

  /** Fds that are being watched: 0 when nothing has leaked. */
  get watched(): number {
    return this.watches.size
  }

  /** The seed, and what has been hit so far. */
  toString(): string {
    const hits = [...this.hits].flatMap(([name, faults]) => [...faults].map(([fault, count]) => `${name} ${fault} ${count} times`))
    return `faults with the seed ${this.seed}: ${hits.join(', ') || 'none so far'}`
  }

  get events(): Events {
    return this.over.events
  }

  open(turn: Turn): void {
    this.over.open((count) => turn(this.withOwed(count)))
    this.isOpen = true
  }

  close(): void {
    this.isOpen = false
    this.over.close()
  }

  private forward(name: string): Call {
    const call = (this.over as unknown as Record<string, Call>)[name] as Call
    if (UNTOUCHED.has(name)) return call.bind(this.over)
    return (...args) => {
      const result = this.make(name, call, args)
      this.note(name, args, result)
      return result
    }
  }

  private make(name: string, call: Call, args: unknown[]): unknown {
    const calls = (this.made.get(name) ?? 0) + 1
    this.made.set(name, calls)
    const fd = args[0] as number
    const afterTheEnd = this.afterTheEnd(fd, name)
    if (afterTheEnd !== undefined) return afterTheEnd
    const interrupted = this.interrupted.delete(name)
    for (const { fault, percent, nth, times = 1 } of this.faults.get(name) ?? []) {
      const hit = nth === undefined ? (this.random() / 2 ** 32) * 100 < (percent as number) : calls >= nth && calls < nth + times
      if (!hit) continue
      if (fault === 'short') {
        const part = this.partOf(name, args)
        if (part === null) continue
        this.count(name, fault)
        this.owe(fd, name)
        return call.apply(this.over, part)
      }
      const errno = errnoOf(fault) as number
      if (errno === EINTR && interrupted) continue
      const result = this.fail(name, call, args, errno)
      if (result !== errno) return result
      this.count(name, fault)
      return result
    }
    return call.apply(this.over, args)
  }

  /** `errno`; or what the call says that must be made all the same and has failed by itself. */
  private fail(name: string, call: Call, args: unknown[], errno: number): unknown {
    const fd = args[0] as number
    if (errno === EINTR) this.interrupted.add(name)
    if (errno === EAGAIN) this.owe(fd, name)
    if (name === 'closeFd' || name === 'remove') call.apply(this.over, args)
    if (name === 'connect' && (errno === EINTR || errno === EINPROGRESS)) {
      const result = call.apply(this.over, args) as number
      if (result < 0 && result !== EINPROGRESS) return result
    }
    if (ENDS.has(errno) && name in AFTER_THE_END) {
      // The end of both directions is reported by one of the calls: whoever is told that there is no connection asks why.
      this.ended.set(fd, errno === ENOTCONN ? ECONNRESET : 0)
      // The peer is told when the fd is closed. Failing only says that it is no socket, or none that can be reset.
      this.over.setOption(fd, SocketOption.LINGER, 0)
      this.owe(fd, name)
    }
    return errno
  }

  private afterTheEnd(fd: number, name: string): number | undefined {
    const unread = this.ended.get(fd)
    if (unread === undefined || !(name in AFTER_THE_END)) return undefined
    if (DIRECTIONS[name] !== READABLE) return AFTER_THE_END[name]
    this.ended.set(fd, 0)
    return unread
  }

  /** The arguments of a call that moves a part of the bytes; null if there is no part of them. */
  private partOf(name: string, args: unknown[]): unknown[] | null {
    if (ONE_BUFFER.has(name)) {
      const [fd, bytes, offset, length] = args as [number, Uint8Array, number, number]
      return length < 2 ? null : [fd, bytes, offset, this.less(length)]
    }
    const [fd, chunks, skip] = args as [number, readonly Uint8Array[], number]
    const total = chunks.reduce((sum, { length }) => sum + length, -skip)
    if (total < 2) return null
    const part: Uint8Array[] = []
    let left = skip + this.less(total)
    for (const chunk of chunks) {
      part.push(chunk.subarray(0, left))
      left -= chunk.length
      if (left <= 0) break
    }
    return [fd, part, skip]
  }

  /** From 1 to `length` - 1. */
  private less(length: number): number {
    return 1 + (this.random() % (length - 1))
  }

  private count(name: string, fault: string): void {
    let hits = this.hits.get(name)
    if (hits === undefined) this.hits.set(name, (hits = new Map()))
    hits.set(fault, (hits.get(fault) ?? 0) + 1)
  }

  /** Keeps what this kernel knows of fds true. */
  private note(name: string, args: unknown[], result: unknown): void {
    if (name === 'remove' || name === 'closeFd') {
      const fd = args[0] as number
      this.watches.delete(fd)
      this.owed.delete(fd)
      if (name === 'remove') return
      this.fds.delete(fd)
      this.ended.delete(fd)
    } else if (name === 'add' && result === 0) {
      const [fd, interest, mode, slot, generation] = args as [number, number, number, number, number]
      this.watches.set(fd, { interest, mode, slot, generation })
      if (this.ended.has(fd)) this.owe(fd, name)
    } else if (name === 'takeFd' && result === 0) {
      this.fds.add(args[0] as number)
    } else if ((name === 'socket' || name === 'accept') && (result as number) >= 0) {
      this.fds.add(result as number)
    } else if ((name === 'pipe' || name === 'socketPair') && typeof result !== 'number') {
      for (const fd of result as readonly number[]) this.fds.add(fd)
    }
  }

  /** The kernel below has no reason to report the fd again: this one will. */
  private owe(fd: number, name: string): void {
    this.owed.set(fd, (this.owed.get(fd) ?? 0) | (DIRECTIONS[name] ?? READABLE | WRITABLE))
    if (this.isOpen) this.over.requestTurn()
  }

  /** Adds to the batch what is owed and true. Gives the number of events then. */
  private withOwed(count: number): number {
    let total = count
    for (const [fd, directions] of this.owed) {
      if (total === BATCH_CAPACITY) {
        this.over.requestTurn()
        break
      }
      this.owed.delete(fd)
      const watch = this.watches.get(fd)
      // What is watched once is asked for anew, and reported then.
      if (watch === undefined || watch.mode !== EDGE) continue
      const bits = this.ended.has(fd) ? HUNG_UP : this.ready(fd, directions & watch.interest)
      if (bits === 0) continue
      const at = total++ * EVENT_INTS
      this.events[at + EVENT_SLOT] = watch.slot
      this.events[at + EVENT_GENERATION] = watch.generation
      this.events[at + EVENT_READINESS] = bits
      this.events[at + EVENT_RESULT] = 0
    }
    return total
  }

  /** What is so in these directions and in no other: an event too many could hide that one was lost. */
  private ready(fd: number, directions: number): number {
    const bits = this.over.poll(fd, directions)
    if (bits < 0 || (bits & directions) === 0) return 0
    const closed = ((directions & READABLE) === 0 ? 0 : READ_CLOSED) | ((directions & WRITABLE) === 0 ? 0 : WRITE_CLOSED)
    return bits & (directions | closed | ERROR)
  }
}

/** The names of everything that can be called on `kernel`. */
function callsOf(kernel: Kernel): string[] {
  const names = new Set<string>()
  for (let object: object = kernel; object !== Object.prototype; object = Object.getPrototypeOf(object) as object) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (typeof value === 'function' && name !== 'constructor') names.add(name)
    }
  }
  return [...names]
}

function checkFault(where: string, name: string, planned: Fault): void {
  if (planned === null || typeof planned !== 'object') throw invalidType(where, 'a fault or an array of faults', planned)
  const { fault, percent, nth, times } = planned
  if (typeof fault !== 'string') throw invalidType(`${where}.fault`, 'of type string', fault)
  if (fault === 'short' && !ONE_BUFFER.has(name) && !MANY_BUFFERS.has(name)) {
    throw invalidValue(`${where}.fault`, 'is only for calls that move bytes of a stream', fault)
  }
  if (fault !== 'short' && errnoOf(fault) === undefined) throw invalidValue(`${where}.fault`, 'is no error of this system', fault)
  if ((percent === undefined) === (nth === undefined)) throw invalidValue(where, 'needs either percent or nth', planned)
  if (percent !== undefined) {
    if (typeof percent !== 'number') throw invalidType(`${where}.percent`, 'of type number', percent)
    if (!(percent >= 0 && percent <= 100)) throw outOfRange(`${where}.percent`, '>= 0 && <= 100', percent)
  }
  if (nth !== undefined) checkInteger(`${where}.nth`, nth, 1, Number.MAX_SAFE_INTEGER)
  if (times !== undefined && times !== Infinity) checkInteger(`${where}.times`, times, 1, Number.MAX_SAFE_INTEGER)
}
