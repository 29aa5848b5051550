/** One message that came over a Unix socket: its bytes, the descriptors that came with it, and whose it was. */
import { EAGAIN, EINTR, SystemError } from '../kernel/errno.js'
import type { UnixAddress } from '../kernel/kernel.js'
import {
  ABOUT_ADDRESS,
  ABOUT_FD_COUNT,
  ABOUT_FDS,
  ABOUT_FLAGS,
  MAX_FDS_OF_MESSAGE,
  Message,
  READABLE
} from '../kernel/layout.js'
import type { Handle } from '../io/handle.js'
import { ReadSlab, SLAB_SIZE } from '../io/read-slab.js'
import { WOULD_BLOCK } from '../io/receive.js'
import type { Runtime } from '../runtime/runtime.js'
import { CoreactorError } from '../task/errors.js'
import { checkInteger, invalidType, outOfRange } from '../task/validate.js'
import type { ReceivedObject } from './received.js'

/** How descriptors become objects. `received.ts` knows the classes of all of them, which import this file: it installs it. */
export interface Wrapping {
  /** All of them; or it has closed all, and throws. */
  wrap(runtime: Runtime, fds: readonly number[]): ReceivedObject[]
  free(object: ReceivedObject): void
}

let wrapping: Wrapping

export function installWrapping(installed: Wrapping): void {
  wrapping = installed
}

/** Descriptors came with a message and could not all be taken. Those that came have been closed; its bytes are here. */
export class FdsLostError extends CoreactorError {
  /** What came with them: it has been taken out of the socket. */
  readonly data: Buffer

  constructor(data: Buffer, why: string, options?: ErrorOptions) {
    super('ERR_COREACTOR_FDS_LOST', `descriptors that came with a message are lost: ${why}`, options)
    this.data = data
  }
}

/** Options of reads that receive a message. */
export interface ReceiveOptions {
  /** The most bytes of one message, 64 KiB by default. */
  maxBytes?: number | undefined
  /**
   * The most descriptors that are accepted with one message: 253, which is as many as there can be, where a method is for
   * receiving them, and 0 elsewhere. With 0 the system closes what comes.
   */
  maxFds?: number | undefined
}

/** Also async-disposable: then those of `fds` that are still in the array are closed. */
export class UnixMessage {
  readonly data: Buffer
  /** In the order in which they were sent. Each is the receiver's to close. */
  readonly fds: ReceivedObject[]
  /** The message was longer than `maxBytes`, and its end is lost. Never so on a stream. */
  readonly truncated: boolean
  /** The sender's; its path is empty for a socket without a name. */
  readonly address: UnixAddress

  /** @internal */
  constructor(data: Buffer, fds: ReceivedObject[], truncated: boolean, address: UnixAddress) {
    this.data = data
    this.fds = fds
    this.truncated = truncated
    this.address = address
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const object of this.fds.splice(0)) wrapping.free(object)
  }
}

/** Of a socket that has none. */
export const NAMELESS: UnixAddress = { family: 'Unix', path: '' }
/** `struct sockaddr_storage`. */
const ADDRESS_BYTES = 128
const DEFAULT_BYTES = 64 * 1024
const MOST_BYTES = 0x7fff_f000

/** What one call writes into: one per runtime, read before the next call. */
class Slab {
  private static readonly slabs = new WeakMap<Runtime, Slab>()
  private readonly about = new Int32Array(ABOUT_FDS + MAX_FDS_OF_MESSAGE)
  /** Has no room for fds, which says that none are wanted. */
  private readonly aboutOnly = this.about.subarray(0, ABOUT_FDS)
  private readonly from = Buffer.alloc(ADDRESS_BYTES)

  static of(runtime: Runtime): Slab {
    let slab = Slab.slabs.get(runtime)
    if (slab === undefined) Slab.slabs.set(runtime, (slab = new Slab()))
    return slab
  }

  receive({ kernel, fd }: Handle, into: Uint8Array, length: number, wantFds: boolean): number {
    return kernel.receiveMessage(fd, into, 0, length, wantFds ? this.about : this.aboutOnly, this.from)
  }

  get flags(): number {
    return this.about[ABOUT_FLAGS] as number
  }

  get fds(): number[] {
    return Array.from(this.about.subarray(ABOUT_FDS, ABOUT_FDS + (this.about[ABOUT_FD_COUNT] as number)))
  }

  sender({ kernel }: Handle): UnixAddress {
    const length = this.about[ABOUT_ADDRESS] as number
    if (length === 0) return NAMELESS
    const address = kernel.decodeAddress(this.from, 0, length)
    return typeof address === 'number' || address.family !== 'Unix' ? NAMELESS : address
  }
}

export interface Limits {
  readonly maxBytes: number
  readonly maxFds: number
}

export function limitsOf(options: ReceiveOptions, defaultFds: number): Limits {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  const { maxBytes = DEFAULT_BYTES, maxFds = defaultFds } = options
  checkInteger('options.maxBytes', maxBytes, 1, MOST_BYTES)
  checkInteger('options.maxFds', maxFds, 0, MAX_FDS_OF_MESSAGE)
  return { maxBytes, maxFds }
}

/**
 * One system call: a message, WOULD_BLOCK, or null for 0 bytes that were no message. `stream`: of bytes, where an end has no
 * stamp and nothing is empty. Throws `SystemError`, and `FdsLostError` once the fds have been closed.
 */
export function receiveOne(handle: Handle, { maxBytes, maxFds }: Limits): UnixMessage | null | typeof WOULD_BLOCK {
  const slab = Slab.of(handle.runtime)
  const shared = ReadSlab.of(handle.runtime)
  const isShared = maxBytes <= SLAB_SIZE
  const into = isShared ? shared.enter(null) : Buffer.allocUnsafeSlow(maxBytes)
  let received = slab.receive(handle, into, maxBytes, maxFds > 0)
  while (received === EINTR) received = slab.receive(handle, into, maxBytes, maxFds > 0)
  if (received === EAGAIN) {
    handle.exhausted(READABLE)
    return WOULD_BLOCK
  }
  if (received < 0) throw new SystemError(received, 'recvmsg')
  const { flags, fds } = slab
  const address = slab.sender(handle)
  if (received === 0 && (flags & Message.STAMPED) === 0 && fds.length === 0) return null
  const data = isShared ? shared.take(received) : into.subarray(0, received)
  const truncated = (flags & Message.TRUNCATED) !== 0
  const lost = maxFds > 0 && (flags & Message.FDS_LOST) !== 0
  if (lost || fds.length > maxFds) {
    for (const fd of fds) handle.kernel.closeFd(fd)
    const why = lost ? `the system could hand over ${fds.length} only` : `${fds.length} came, and at most ${maxFds} are taken`
    throw new FdsLostError(data, why)
  }
  try {
    return new UnixMessage(data, wrapping.wrap(handle.runtime, fds), truncated, address)
  } catch (error) {
    throw new FdsLostError(data, (error as Error).message, { cause: error })
  }
}

/** A message to be sent. */
export interface Outgoing {
  readonly data: Uint8Array
  readonly fds: Int32Array
  /** Undefined: the peer. */
  readonly to?: Uint8Array | undefined
}

/** One system call: how many bytes were taken, or -errno. */
export function transmit({ kernel, fd }: Handle, { data, fds, to }: Outgoing): number {
  let sent = kernel.sendMessage(fd, data, 0, data.length, fds, to)
  while (sent === EINTR) sent = kernel.sendMessage(fd, data, 0, data.length, fds, to)
  return sent
}

/** What has a descriptor that can be sent. */
export type Sendable = number | { readonly fd: number }

/** The numbers of what is to be sent. They stay the sender's: what is sent is another descriptor of the same. */
export function fdsOf(name: string, fds: readonly Sendable[], least: 0 | 1): Int32Array {
  if (!Array.isArray(fds)) throw invalidType(name, 'an array', fds)
  if (fds.length < least || fds.length > MAX_FDS_OF_MESSAGE) {
    throw outOfRange(`${name}.length`, `>= ${least} and <= ${MAX_FDS_OF_MESSAGE}`, fds.length)
  }
  const numbers = fds.map((each: Sendable, i) => {
    const fd = typeof each === 'object' && each !== null ? each.fd : each
    checkInteger(`${name}[${i}]`, fd, 0, 0x7fff_ffff)
    return fd
  })
  return Int32Array.from(numbers)
}

/** What a message says; a string as UTF-8. */
export function messageBytes(data: string | Uint8Array): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if (data instanceof Uint8Array) return data
  throw invalidType('data', 'a string or a Uint8Array', data)
}
