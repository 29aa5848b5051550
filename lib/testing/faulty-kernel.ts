/**
 * A kernel whose calls fail and fall short, as the system's do on a bad day: a decorator over any other kernel, which makes
 * the calls that are not spoilt. Which those are is decided by a seed, or by counting. What an error means stays with the
 * library; what the calls do stays with the kernel below.
 */
import { EAGAIN, ECONNRESET, EINPROGRESS, EINTR, ENOTCONN, EPIPE, errnoOf, ETIMEDOUT } from '../kernel/errno.js'
import type { Events, Kernel, Turn } from '../kernel/kernel.js'
import {
  ABOUT_FD_COUNT,
  ABOUT_FDS,
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
import { checkInteger, invalidType } from '../task/validate.js'
import { canFail, checkedFaults, LENGTH_AT, type Fault, type Faults, type FaultyOperation } from './fault.js'

/** Options of a `FaultyKernel`. */
export interface FaultyKernelOptions {
  faults: Faults
  /** What makes the calls; the operating system by default. */
  over?: Kernel | undefined
  /** What `percent`, and the size of short calls, are drawn from; a random one by default. */
  seed?: number | undefined
}

/** Which event a call waits for when it would block; of one that is not here, any. */
const DIRECTIONS: Readonly<Record<string, number>> = {
  receive: READABLE,
  read: READABLE,
  receiveMessage: READABLE,
  receiveDatagrams: READABLE,
  accept: READABLE,
  send: WRITABLE,
  sendVector: WRITABLE,
  sendMessage: WRITABLE,
  sendDatagrams: WRITABLE,
  sendFile: WRITABLE,
  write: WRITABLE,
  writeVector: WRITABLE
}

/** Errors that end a connection, whichever call met them. */
const ENDS: ReadonlySet<number> = new Set([ECONNRESET, EPIPE, ETIMEDOUT, ENOTCONN])

/** Calls that can find out that a connection has ended; and what they answer from then on, on Linux. */
const AFTER_THE_END: Readonly<Record<string, number>> = {
  receive: 0,
  read: 0,
  receiveMessage: 0,
  send: EPIPE,
  sendVector: EPIPE,
  sendMessage: EPIPE,
  sendFile: EPIPE,
  write: EPIPE,
  writeVector: EPIPE,
  shutdown: ENOTCONN
}

/** Calls that give out an fd, or two; and those after which it is nobody's here. */
const GIVES_ONE: ReadonlySet<string> = new Set(['socket', 'accept', 'openProcess', 'lockDirectory'])
const GIVES_TWO: ReadonlySet<string> = new Set(['pipe', 'socketPair', 'transferPipe'])
const LETS_GO: ReadonlySet<string> = new Set(['closeFd', 'closeAfterJobs', 'letGo'])

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
 *   on it answer as if it had been reset, and the peer finds a reset when the fd is closed, or an end where it knows no reset.
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
      if (planned !== undefined) this.faults.set(name, checkedFaults(name, planned, name in this))
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
    if (!canFail(name)) return call.bind(this.over)
    return (...args) => {
      const result = this.make(name, call, args)
      this.note(name, args, result)
      return result
    }
  }

  private make(name: string, call: Call, args: unknown[]): unknown {
    const calls = (this.made.get(name) ?? 0) + 1
    this.made.set(name, calls)
    const afterTheEnd = this.afterTheEnd(name, args)
    if (afterTheEnd !== undefined) return afterTheEnd
    const interrupted = this.interrupted.delete(name)
    for (const { fault, percent, nth, times = 1 } of this.faults.get(name) ?? []) {
      const hit = nth === undefined ? (this.random() / 2 ** 32) * 100 < (percent as number) : calls >= nth && calls < nth + times
      if (!hit) continue
      if (fault === 'short') {
        const part = this.partOf(name, args)
        if (part === null) continue
        this.count(name, fault)
        this.owe(name, args)
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
    if (errno === EAGAIN) this.owe(name, args)
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
      this.owe(name, args)
    }
    return errno
  }

  private afterTheEnd(name: string, args: unknown[]): number | undefined {
    const fd = args[0] as number
    const unread = this.ended.get(fd)
    if (unread === undefined || !(name in AFTER_THE_END)) return undefined
    if (DIRECTIONS[name] !== READABLE) return AFTER_THE_END[name]
    this.ended.set(fd, 0)
    if (name === 'receiveMessage') (args[4] as Int32Array).fill(0, 0, ABOUT_FDS)
    return unread
  }

  /** The arguments of a call that moves a part of what it could; null if there is no part of it. */
  private partOf(name: string, args: unknown[]): unknown[] | null {
    const at = LENGTH_AT[name]
    if (at === undefined) return this.partOfVector(args as [number, readonly Uint8Array[], number])
    const length = args[at] as number
    if (length < 2 || !this.isDivisible(name, args[0] as number)) return null
    return args.with(at, this.less(length))
  }

  /** Of messages only those can be taken in parts that are made of bytes. */
  private isDivisible(name: string, fd: number): boolean {
    if (name !== 'sendMessage' && name !== 'receiveMessage') return true
    const about = this.over.describeFd(fd)
    return typeof about !== 'number' && about.is === 'socket' && about.type === 'stream'
  }

  private partOfVector([fd, chunks, skip]: [number, readonly Uint8Array[], number]): unknown[] | null {
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
    const fd = args[0] as number
    for (const made of fdsMade(name, args, result)) this.fds.add(made)
    if (LETS_GO.has(name)) this.fds.delete(fd)
    if (name === 'add' && result === 0) {
      const [, interest, mode, slot, generation] = args as [number, number, number, number, number]
      this.watches.set(fd, { interest, mode, slot, generation })
      if (this.ended.has(fd)) this.owe(name, args)
    } else if (name === 'remove' || name === 'closeFd') {
      this.watches.delete(fd)
      this.owed.delete(fd)
      if (name === 'closeFd') this.ended.delete(fd)
    }
  }

  /** The kernel below has no reason to report the fds of this call again: this one will. */
  private owe(name: string, [fd, other]: unknown[]): void {
    for (const each of name === 'splice' ? [fd, other] : [fd]) {
      this.owed.set(each as number, (this.owed.get(each as number) ?? 0) | (DIRECTIONS[name] ?? READABLE | WRITABLE))
    }
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

/** The fds that a call has given out, or taken over. */
function fdsMade(name: string, args: unknown[], result: unknown): readonly number[] {
  if (GIVES_TWO.has(name)) return typeof result === 'number' ? [] : (result as readonly number[])
  if ((result as number) < 0) return []
  if (GIVES_ONE.has(name)) return [result as number]
  if (name === 'takeFd') return [args[0] as number]
  if (name !== 'receiveMessage') return []
  const about = args[4] as Int32Array
  return [...about.subarray(ABOUT_FDS, ABOUT_FDS + (about[ABOUT_FD_COUNT] as number))]
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
