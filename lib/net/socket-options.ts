/**
 * Socket options by the names that the manual has, and by number. What they are called is a table here; what numbers they
 * have, and whether they exist, is what the system's headers and the kernel say.
 */
import { check, ENOPROTOOPT, SystemError } from '../kernel/errno.js'
import type { Kernel, OptionTables, PeerCredentials } from '../kernel/kernel.js'
import { ClosedError } from '../io/errors.js'
import type { Handle } from '../io/handle.js'
import { invalidType, invalidValue, outOfRange } from '../task/validate.js'
import { decodeTcpInfo, type TcpInfo } from './tcp-info.js'

/** What the values of the kinds are in TypeScript. */
interface Values {
  boolean: boolean
  /** 32 bits, with sign. */
  number: number
  string: string
  /** 64 bits. */
  bigint: bigint
  /** Seconds that closing waits for what was sent, 0 = a reset; null = off. */
  linger: number | null
  credentials: PeerCredentials
  tcpInfo: TcpInfo
  bytes: Buffer
}

/** Options that can be set, too. */
const SETTABLE = {
  SO_REUSEADDR: 'boolean',
  SO_REUSEPORT: 'boolean',
  SO_KEEPALIVE: 'boolean',
  SO_BROADCAST: 'boolean',
  SO_DONTROUTE: 'boolean',
  SO_OOBINLINE: 'boolean',
  SO_DEBUG: 'boolean',
  SO_ZEROCOPY: 'boolean',
  /** Linux gives twice what was set. */
  SO_RCVBUF: 'number',
  SO_SNDBUF: 'number',
  SO_RCVBUFFORCE: 'number',
  SO_SNDBUFFORCE: 'number',
  SO_RCVLOWAT: 'number',
  SO_PRIORITY: 'number',
  SO_MARK: 'number',
  SO_BUSY_POLL: 'number',
  SO_INCOMING_CPU: 'number',
  /** Bytes a second; only its lower half fits. */
  SO_MAX_PACING_RATE: 'number',
  SO_PEEK_OFF: 'number',
  SO_RXQ_OVFL: 'boolean',
  SO_NO_CHECK: 'boolean',
  SO_LOCK_FILTER: 'boolean',
  SO_PASSCRED: 'boolean',
  /** The name of an interface; empty for none. */
  SO_BINDTODEVICE: 'string',
  SO_LINGER: 'linger',
  TCP_NODELAY: 'boolean',
  TCP_CORK: 'boolean',
  TCP_QUICKACK: 'boolean',
  /** Milliseconds. */
  TCP_USER_TIMEOUT: 'number',
  /** Seconds. */
  TCP_KEEPIDLE: 'number',
  TCP_KEEPINTVL: 'number',
  TCP_KEEPCNT: 'number',
  TCP_MAXSEG: 'number',
  TCP_SYNCNT: 'number',
  TCP_LINGER2: 'number',
  /** Seconds. */
  TCP_DEFER_ACCEPT: 'number',
  TCP_WINDOW_CLAMP: 'number',
  TCP_CONGESTION: 'string',
  TCP_FASTOPEN: 'number',
  TCP_FASTOPEN_CONNECT: 'boolean',
  TCP_FASTOPEN_NO_COOKIE: 'boolean',
  TCP_NOTSENT_LOWAT: 'number',
  TCP_THIN_LINEAR_TIMEOUTS: 'boolean',
  TCP_SAVE_SYN: 'number',
  TCP_INQ: 'boolean',
  TCP_TX_DELAY: 'number',
  TCP_ULP: 'string',
  IP_TOS: 'number',
  IP_TTL: 'number',
  IP_FREEBIND: 'boolean',
  IP_TRANSPARENT: 'boolean',
  IP_BIND_ADDRESS_NO_PORT: 'boolean',
  IP_MTU_DISCOVER: 'number',
  IP_RECVERR: 'boolean',
  IP_PKTINFO: 'boolean',
  IP_RECVTOS: 'boolean',
  IP_RECVTTL: 'boolean',
  IP_MULTICAST_TTL: 'number',
  IP_MULTICAST_LOOP: 'boolean',
  IP_MULTICAST_ALL: 'boolean',
  IP_MINTTL: 'number',
  IPV6_V6ONLY: 'boolean',
  IPV6_TCLASS: 'number',
  IPV6_UNICAST_HOPS: 'number',
  IPV6_MULTICAST_HOPS: 'number',
  IPV6_MULTICAST_LOOP: 'boolean',
  IPV6_MULTICAST_IF: 'number',
  IPV6_RECVPKTINFO: 'boolean',
  IPV6_RECVTCLASS: 'boolean',
  IPV6_RECVHOPLIMIT: 'boolean',
  IPV6_RECVERR: 'boolean',
  IPV6_MTU_DISCOVER: 'number',
  IPV6_AUTOFLOWLABEL: 'boolean',
  IPV6_TRANSPARENT: 'boolean',
  IPV6_DONTFRAG: 'boolean',
  IPV6_MINHOPCOUNT: 'number',
  UDP_CORK: 'boolean',
  UDP_SEGMENT: 'number',
  UDP_GRO: 'boolean'
} as const satisfies Record<string, keyof Values>

/** Options that the system tells, and nobody sets. */
const TOLD = {
  /** The pending error as a positive errno; asking clears it. */
  SO_ERROR: 'number',
  SO_TYPE: 'number',
  SO_DOMAIN: 'number',
  SO_PROTOCOL: 'number',
  SO_ACCEPTCONN: 'boolean',
  SO_INCOMING_NAPI_ID: 'number',
  SO_COOKIE: 'bigint',
  SO_PEERCRED: 'credentials',
  SO_MEMINFO: 'bytes',
  TCP_INFO: 'tcpInfo',
  IP_MTU: 'number',
  IPV6_MTU: 'number'
} as const satisfies Record<string, keyof Values>

const KINDS: Readonly<Record<string, keyof Values | undefined>> = { ...SETTABLE, ...TOLD }

/** The name of a socket option that can be set. */
export type SettableOptionName = keyof typeof SETTABLE
/** The name of a socket option, as the system's headers have it. */
export type SocketOptionName = SettableOptionName | keyof typeof TOLD

/** An option by the numbers of this system: `SOL_SOCKET` and `SO_…` in its headers. */
export interface SocketOptionNumber {
  readonly level: number
  readonly name: number
}

type KindOf<O> = O extends SettableOptionName
  ? (typeof SETTABLE)[O]
  : O extends keyof typeof TOLD
    ? (typeof TOLD)[O]
    : 'bytes'

/** What `getOption` gives: what the name says, or the bytes of an option that was asked for by number. */
export type SocketOptionValue<O> = Values[KindOf<O>]

/** What `setOption` takes: what the name says; by number the bytes, or an integer. */
export type SocketOptionInput<O> = O extends SocketOptionNumber ? Uint8Array | number | boolean : SocketOptionValue<O>

/** Longer than any option here: TCP_INFO has some 250 bytes, and grows. */
const ROOM = 1024

const INT_BYTES = 4
const LINGER_BYTES = 8

let tables: { kernel: Kernel; said: OptionTables } | null = null

function tablesOf(kernel: Kernel): OptionTables {
  if (tables?.kernel !== kernel) tables = { kernel, said: kernel.optionTables() }
  return tables.said
}

/** Whether the headers of this system know an option. The kernel that runs may still say ENOPROTOOPT. */
function numberOf(kernel: Kernel, option: string, call: string): SocketOptionNumber {
  const found = tablesOf(kernel).options[option]
  if (found === undefined) throw unknown(option, ENOPROTOOPT, call)
  return found
}

function unknown(option: SocketOptionNumber | string, errno: number, call: string): SystemError {
  const name = typeof option === 'string' ? option : `level ${option.level}, name ${option.name}`
  const error = new SystemError(errno, call)
  error.message += ` (${name})`
  return error
}

/** @internal `getOption` of every object that is a socket. */
export function getOption<O extends SocketOptionName | SocketOptionNumber>(handle: Handle, option: O): SocketOptionValue<O> {
  checkOption(option)
  if (handle.closed) throw new ClosedError('the socket')
  const { kernel, fd } = handle
  const { level, name } = typeof option === 'string' ? numberOf(kernel, option, 'getsockopt') : option
  const into = Buffer.alloc(ROOM)
  const length = kernel.getRawOption(fd, level, name, into)
  if (length < 0) throw unknown(option, length, 'getsockopt')
  const bytes = Buffer.from(into.subarray(0, length))
  const kind = typeof option === 'string' ? (KINDS[option] ?? 'bytes') : 'bytes'
  return decode(kernel, kind, bytes) as SocketOptionValue<O>
}

/** @internal `setOption` of every object that is a socket. */
export function setOption<O extends SettableOptionName | SocketOptionNumber>(
  handle: Handle,
  option: O,
  value: SocketOptionInput<O>
): void {
  checkOption(option)
  if (typeof option === 'string' && !(option in SETTABLE)) throw invalidValue('option', 'cannot be set', option)
  const bytes = typeof option === 'string' ? encode(KINDS[option] as keyof Values, value) : encodeRaw(value)
  if (handle.closed) throw new ClosedError('the socket')
  const { kernel, fd } = handle
  const { level, name } = typeof option === 'string' ? numberOf(kernel, option, 'setsockopt') : option
  const result = kernel.setRawOption(fd, level, name, bytes)
  if (result < 0) throw unknown(option, result, 'setsockopt')
}

function checkOption(option: unknown): void {
  if (typeof option === 'string') {
    if (!Object.hasOwn(KINDS, option)) throw invalidValue('option', 'is no known name: give its level and name as numbers', option)
    return
  }
  if (option === null || typeof option !== 'object') throw invalidType('option', 'a name, or an object', option)
  const { level, name } = option as SocketOptionNumber
  checkInt('option.level', level)
  checkInt('option.name', name)
}

function checkInt(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if ((value | 0) !== value) throw outOfRange(name, 'an integer of 32 bits', value)
}

/** Numbers are in the machine's own order of bytes. */
function ints(...values: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer)
}

function intAt(bytes: Buffer, index: number): number {
  const at = index * INT_BYTES
  // Some options of IP are one byte.
  if (bytes.length < at + INT_BYTES) return bytes[at] ?? 0
  return new Int32Array(Uint8Array.from(bytes.subarray(at, at + INT_BYTES)).buffer)[0] as number
}

function encode(kind: keyof Values, value: unknown): Uint8Array {
  switch (kind) {
    case 'boolean':
      if (typeof value !== 'boolean') throw invalidType('value', 'of type boolean', value)
      return ints(value ? 1 : 0)
    case 'number':
      checkInt('value', value)
      return ints(value)
    case 'string':
      if (typeof value !== 'string') throw invalidType('value', 'of type string', value)
      if (value.includes('\0')) throw invalidValue('value', 'must not have a NUL in it', value)
      return Buffer.from(value)
    case 'linger':
      if (value === null) return ints(0, 0)
      checkInt('value', value)
      if (value < 0) throw outOfRange('value', 'not negative', value)
      return ints(1, value)
    default:
      throw invalidValue('option', 'cannot be set', kind)
  }
}

function encodeRaw(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'boolean') return ints(value ? 1 : 0)
  if (typeof value !== 'number') throw invalidType('value', 'a number, a boolean or a Uint8Array', value)
  checkInt('value', value)
  return ints(value)
}

function decode(kernel: Kernel, kind: keyof Values, bytes: Buffer): unknown {
  switch (kind) {
    case 'boolean':
      return intAt(bytes, 0) !== 0
    case 'number':
      return intAt(bytes, 0)
    case 'bigint':
      return new BigUint64Array(Uint8Array.from(bytes.subarray(0, 8)).buffer)[0]
    case 'string': {
      const end = bytes.indexOf(0)
      return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
    }
    case 'linger':
      return bytes.length < LINGER_BYTES || intAt(bytes, 0) === 0 ? null : intAt(bytes, 1)
    case 'credentials':
      return { pid: intAt(bytes, 0), uid: intAt(bytes, 1) >>> 0, gid: intAt(bytes, 2) >>> 0 }
    case 'tcpInfo':
      return decodeTcpInfo(tablesOf(kernel), bytes)
    case 'bytes':
      return bytes
  }
}

/** @internal */
export function peerCredentials(handle: Handle): PeerCredentials {
  if (handle.closed) throw new ClosedError('the connection')
  const peer = handle.kernel.peerCredentials(handle.fd)
  if (typeof peer === 'number') check(peer, 'getsockopt')
  return peer as PeerCredentials
}
