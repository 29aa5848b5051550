/**
 * How a socket in Node's shape comes by its connection: looks the host up, tries its addresses one after the other or, with
 * `autoSelectFamily`, each for a while, and tells the socket. The names of events and the codes of errors are Node's.
 */
import type { AsyncResource } from 'node:async_hooks'
import dns from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { ETIMEDOUT, SystemError } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress } from '../kernel/kernel.js'
import type { Stream } from '../io/stream.js'
import { ownRuntime } from '../runtime/current.js'
import type { Callback, Runtime } from '../runtime/runtime.js'
import type { Deadline } from '../time/deadlines.js'
import { checkFunction, checkInteger, invalidType } from '../task/validate.js'
import type { ConnectOptions } from './arguments.js'
import { autoSelection, LEAST_ATTEMPT_MS } from './auto-selection.js'
import { keptContext } from './context.js'
import { Dial } from './dial.js'
import { attemptsFailed, checkPort, connectionTimeout, invalidFamily, invalidIp, ipBlocked, systemError } from './errors.js'
import type { Socket } from './socket.js'

type IpFamily = 4 | 6

interface Found {
  readonly address: string
  readonly family: IpFamily
}

/** What `localAddress` and `localPort` say. */
interface From {
  readonly address: string | undefined
  readonly port: number | undefined
}

const INT32_MAX = 0x7fff_ffff

export class Connecting implements Deadline, Callback {
  index = -1
  private readonly socket: Socket
  private readonly options: ConnectOptions
  private readonly runtime: Runtime = ownRuntime()
  private readonly context: AsyncResource | null = keptContext('COREACTOR_CONNECT')
  private port = 0
  private from: From = { address: undefined, port: undefined }
  private dial: Dial | null = null
  /** With several addresses: those, the next of them, how long each is waited for, and what has gone wrong so far. */
  private addresses: readonly Found[] = []
  private next = 0
  private patience = 0
  private readonly errors: Error[] = []
  /** Invariant: true until it has succeeded, failed or been cancelled. */
  private active = true

  constructor(socket: Socket, options: ConnectOptions) {
    this.socket = socket
    this.options = options
  }

  get isUnix(): boolean {
    return Boolean(this.options.path)
  }

  /** Throws what is wrong with the options. */
  begin(): void {
    const { socket, options } = this
    socket.connecting = true
    const path: unknown = options.path
    if (!path) return this.lookup()
    if (typeof path !== 'string') throw invalidType('options.path', 'of type string', path)
    this.connectTo({ family: 'Unix', path })
  }

  /** The socket does not want it any more. */
  cancel(): void {
    this.active = false
    this.runtime.timers.stop(this)
    this.dial?.cancel()
    this.dial = null
  }

  /** The attempt has had its time. */
  fire(): void {
    this.runtime.callSoon(this)
  }

  call(): void {
    if (this.context === null) this.giveUp()
    else this.context.runInAsyncScope(this.giveUp, this)
  }

  private giveUp(): void {
    const { dial } = this
    if (!this.active || dial === null) return
    const { address, family } = this.addresses[this.next - 1] as Found
    this.socket.emit('connectionAttemptTimeout', address, this.port, family)
    this.errors.push(this.failure(ETIMEDOUT, 'connect', address))
    dial.cancel()
    if (this.active) this.tryNext()
  }

  private lookup(): void {
    const { options, socket } = this
    const { localAddress, localPort } = options
    const host = options.host || 'localhost'
    if (localAddress && isIP(localAddress) === 0) throw invalidIp(localAddress)
    if (localPort && typeof localPort !== 'number') throw invalidType('options.localPort', 'of type number', localPort)
    this.from = { address: localAddress || undefined, port: localPort || undefined }
    if (options.port !== undefined) this.port = checkPort('options.port', options.port)
    const selects = this.selection()
    const numeric = isIP(host)
    if (numeric !== 0) {
      process.nextTick(() => {
        if (this.active) this.connectIfAllowed({ address: host, family: numeric as IpFamily })
      })
      return
    }
    if (options.lookup !== undefined && options.lookup !== null) checkFunction('options.lookup', options.lookup)
    const family = familyOf(options.family)
    let hints = options.hints ?? 0
    if (family !== 4 && family !== 6 && hints === 0) hints = dns.ADDRCONFIG
    socket._host = host
    const lookup = options.lookup ?? (dns.lookup as LookupFunction)
    if (selects && family !== 4 && family !== 6 && !localAddress) {
      lookup(host, { family, hints, all: true } as never, (error, addresses) => this.foundAll(host, error, addresses))
    } else {
      lookup(host, { family, hints } as never, (error, address, number) => this.found(host, error, address, number))
    }
  }

  /** Whether several addresses are tried, and how long each. */
  private selection(): boolean {
    const { autoSelectFamily, autoSelectFamilyAttemptTimeout: patience } = this.options
    if (autoSelectFamily !== undefined && autoSelectFamily !== null && typeof autoSelectFamily !== 'boolean') {
      throw invalidType('options.autoSelectFamily', 'of type boolean', autoSelectFamily)
    }
    this.patience = autoSelection.attemptTimeout
    if (patience !== undefined && patience !== null) {
      checkInteger('options.autoSelectFamilyAttemptTimeout', patience, 1, INT32_MAX)
      this.patience = Math.max(patience, LEAST_ATTEMPT_MS)
    }
    return autoSelectFamily ?? autoSelection.on
  }

  private found(host: string, error: Error | null, address: unknown, family: unknown): void {
    this.socket.emit('lookup', error, address, family, host)
    if (!this.active) return
    if (error !== null && error !== undefined) return this.failLater(error)
    if (typeof address !== 'string' || isIP(address) === 0) return this.failLater(invalidIp(address))
    if (family !== 4 && family !== 6) return this.failLater(invalidFamily(family, this.options.host, this.options.port))
    this.socket._unrefTimer()
    this.connectIfAllowed({ address, family })
  }

  private foundAll(host: string, error: Error | null, found: unknown): void {
    if (!this.active) return
    const { socket } = this
    if (error !== null && error !== undefined) {
      socket.emit('lookup', error, undefined, undefined, host)
      return this.failLater(error)
    }
    const each = new Map<string, Found>()
    const list = found as readonly Found[]
    for (const { address, family } of list) {
      socket.emit('lookup', error, address, family, host)
      if (!this.active) return
      if (isIP(address) !== 0 && (family === 4 || family === 6) && !each.has(address)) each.set(address, { address, family })
    }
    const addresses = alternating([...each.values()])
    const [first] = addresses
    if (first === undefined) {
      const { address, family } = list[0] ?? {}
      const { host: named, port } = this.options
      return this.failLater(isIP(String(address)) === 0 ? invalidIp(address) : invalidFamily(family, named, port))
    }
    socket._unrefTimer()
    if (addresses.length === 1) return this.connectIfAllowed(first)
    socket.autoSelectFamilyAttemptedAddresses = []
    this.addresses = addresses
    this.tryNext()
  }

  private connectIfAllowed(to: Found): void {
    if (this.blocks(to)) return this.failLater(ipBlocked(to.address))
    this.connectTo(this.endpoint(to))
  }

  private blocks({ address, family }: Found): boolean {
    return this.socket._blockList?.check(address, family === 6 ? 'ipv6' : 'ipv4') === true
  }

  private endpoint({ address, family }: Found): SocketAddress {
    return { address, family: family === 6 ? 'IPv6' : 'IPv4', port: this.port }
  }

  /** The only address, or a path: what goes wrong is the socket's error. */
  private connectTo(to: AnyAddress): void {
    const [address, family] = to.family === 'Unix' ? [to.path, undefined] : [to.address, to.family === 'IPv6' ? 6 : 4]
    const port = to.family === 'Unix' ? undefined : to.port
    this.socket.emit('connectionAttempt', address, port, family)
    if (!this.active) return
    const error = this.attempt(to, (result, stream) => {
      if (stream !== null) return this.succeed(stream)
      const failure = this.failure(result, 'connect', address)
      this.socket.emit('connectionAttemptFailed', address, port, family, failure)
      this.fail(failure)
    })
    if (error !== null) this.fail(error)
  }

  /** The next of several addresses. */
  private tryNext(): void {
    const { socket, addresses, errors } = this
    this.runtime.timers.stop(this)
    if (socket._aborted === true) return
    const to = addresses[this.next]
    if (to === undefined) return this.fail(errors.length === 0 ? connectionTimeout() : attemptsFailed(errors))
    this.next++
    if (this.blocks(to)) {
      this.errors.push(ipBlocked(to.address))
      return this.tryNext()
    }
    const { address, family } = to
    socket.emit('connectionAttempt', address, this.port, family)
    if (!this.active) return
    socket.autoSelectFamilyAttemptedAddresses.push(`${address}:${this.port}`)
    const failed = (error: Error): void => {
      errors.push(error)
      socket.emit('connectionAttemptFailed', address, this.port, family, error)
      if (this.active) this.tryNext()
    }
    const error = this.attempt(this.endpoint(to), (result, stream) => {
      this.runtime.timers.stop(this)
      if (stream !== null) return this.succeed(stream)
      failed(this.failure(result, 'connect', address))
    })
    if (error !== null) return failed(error)
    if (this.next < addresses.length) this.runtime.timers.start(this, this.runtime.now() + this.patience)
  }

  /** Begins one attempt. Gives what has gone wrong at once. */
  private attempt(to: AnyAddress, dialled: (result: number, stream: Stream | null) => void): Error | null {
    const dial = (this.dial = new Dial(this.runtime, to, (result, stream) => {
      this.dial = null
      dialled(result, stream)
    }))
    const local = to.family === 'Unix' ? null : localOf(this.from, to)
    const where = to.family === 'Unix' ? to.path : to.address
    try {
      const { result, syscall } = dial.begin(local)
      if (result === 0) return null
      this.dial = null
      if (syscall === 'bind') return systemError(result, 'bind', { address: local?.address, port: local?.port || undefined })
      return this.failure(result, 'connect', where)
    } catch (error) {
      this.dial = null
      // Anything else is no refusal of the system's, and must not look like one.
      if (!(error instanceof SystemError)) throw error
      return this.failure(error.errno, 'connect', where)
    }
  }

  private failure(errno: number, syscall: string, address: string): Error {
    const { from, port } = this
    const local = from.address !== undefined && from.port !== undefined ? { localAddress: from.address, localPort: from.port } : {}
    return systemError(errno, syscall, { address, ...(port > 0 ? { port } : {}), ...local })
  }

  private succeed(stream: Stream): void {
    this.active = false
    this.socket._connected(stream)
  }

  private fail(error: Error): void {
    this.active = false
    this.socket.destroy(error)
  }

  /** For what is found out before the caller can listen to events. */
  private failLater(error: Error): void {
    process.nextTick(() => {
      if (this.active) this.fail(error)
    })
  }
}

function familyOf(family: unknown): unknown {
  if (family === 'IPv4') return 4
  return family === 'IPv6' ? 6 : family
}

/** Families take turns, beginning with that of the first. */
function alternating(found: readonly Found[]): Found[] {
  const first = found.filter(({ family }) => family === found[0]?.family)
  const second = found.filter(({ family }) => family !== found[0]?.family)
  const longer = Math.max(first.length, second.length)
  return Array.from({ length: longer }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((each) => each !== undefined)
}

function localOf({ address, port }: From, to: SocketAddress): SocketAddress | null {
  if (address === undefined && port === undefined) return null
  return { family: to.family, address: address ?? (to.family === 'IPv6' ? '::' : '0.0.0.0'), port: port ?? 0 }
}
