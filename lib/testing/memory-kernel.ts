/**
 * An operating system in memory: TCP and Unix streams and UDP between its own sockets, a clock that jumps to the next deadline when nothing else
 * can happen, entropy from a seed. Edge-triggered like the real one. What a program does on it, it does the same way every
 * time, and without waiting.
 */
import { readSync } from 'node:fs'
import {
  EADDRINUSE,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  ECHILD,
  ECONNREFUSED,
  EEXIST,
  EHOSTUNREACH,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENOENT,
  ENOPROTOOPT,
  ENOSYS,
  ENODEV,
  ENOTCONN,
  ENOTSOCK,
  EOPNOTSUPP
} from '../kernel/errno.js'
import type {
  AnyAddress,
  FdDescription,
  Job,
  JobLimits,
  JobReport,
  Kernel,
  OptionTables,
  PeerCredentials,
  SocketAddress,
  SocketFamily,
  SocketFile,
  SocketType,
  Turn
} from '../kernel/kernel.js'
import {
  ABOUT_FDS,
  BATCH_CAPACITY,
  COMPLETED,
  EVENT_GENERATION,
  EVENT_INTS,
  EVENT_READINESS,
  EVENT_RESULT,
  EVENT_SLOT,
  ONE_SHOT,
  PRIORITY,
  DatagramOption,
  READABLE,
  SHUT_WRITE,
  SocketOption,
  WRITABLE
} from '../kernel/layout.js'
import { randomFrom } from '../task/random.js'
import { checkInteger, checkMilliseconds, outOfRange } from '../task/validate.js'
import { Agenda } from './agenda.js'
import { MemoryDatagrams, MemoryDatagramSocket } from './memory-datagram.js'
import { MemoryFiles, type MemoryFileContents } from './memory-files.js'
import { MemoryJobs, type MemoryNames } from './memory-jobs.js'
import { MemoryPipeEnd } from './memory-pipe.js'
import { MemorySocket } from './memory-socket.js'

/** Options of a `MemoryKernel`. */
export interface MemoryKernelOptions {
  /** What a socket holds that its owner has not read yet, in bytes; 64 KiB by default. Small makes writes partial ones. */
  capacity?: number | undefined
  /** Where the kernel's entropy begins; 1 by default. The order of tasks has a seed of its own: `seed` of `run`. */
  seed?: number | undefined
  /** What lookups find; what is not there is ENOTFOUND. */
  names?: MemoryNames | undefined
  /** What files there are in the beginning. The root is there, and nothing else. */
  files?: MemoryFileContents | undefined
  /** Blocking calls that run at a time, and half as many lookups, at least one; no limit by default. */
  threads?: number | undefined
  /** Addresses that do not answer at once. */
  network?: Readonly<Record<string, MemoryRoute>> | undefined
}

/** How a host is reached. */
export interface MemoryRoute {
  /** Virtual milliseconds until it answers a request for a connection; Infinity: it never does. */
  readonly delay?: number | undefined
  /** There is no way to it: EHOSTUNREACH, after the delay; at once, from `connect` itself, without one. */
  readonly unreachable?: boolean | undefined
  /** It answers that nobody listens, whoever does. */
  readonly refuses?: boolean | undefined
}

interface Watch {
  readonly fd: number
  readonly socket: MemorySocket
  readonly interest: number
  readonly mode: number
  readonly slot: number
  readonly generation: number
}

interface Installed {
  readonly fd: number
  readonly socket: MemorySocket
}

const UNBOUND: Readonly<Record<'IPv4' | 'IPv6' | 'Unix', AnyAddress>> = {
  IPv4: { family: 'IPv4', address: '0.0.0.0', port: 0 },
  IPv6: { family: 'IPv6', address: '::', port: 0 },
  Unix: { family: 'Unix', path: '' }
}

/** What listeners are found by. Addresses of one port are all the same machine here. */
function nameOf(address: AnyAddress): string {
  return address.family === 'Unix' ? `path ${address.path}` : `port ${address.port}`
}

/** An address, or the bytes that `encodeAddress` has made of one; null for any others. */
function decoded(address: AnyAddress | Uint8Array): AnyAddress | null {
  if (!(address instanceof Uint8Array)) return address
  try {
    return JSON.parse(Buffer.from(address).toString()) as AnyAddress
  } catch {
    return null
  }
}

/** Options that a socket in memory keeps under the system's names, all of them one integer. They have level 0 here. */
const KEPT_OPTIONS = {
  SO_REUSEADDR: SocketOption.REUSE_ADDRESS,
  SO_REUSEPORT: SocketOption.REUSE_PORT,
  SO_KEEPALIVE: SocketOption.KEEP_ALIVE,
  SO_SNDBUF: SocketOption.SEND_BUFFER,
  SO_RCVBUF: SocketOption.RECEIVE_BUFFER,
  SO_ERROR: SocketOption.ERROR,
  IPV6_V6ONLY: SocketOption.V6_ONLY,
  TCP_NODELAY: SocketOption.NO_DELAY,
  TCP_KEEPIDLE: SocketOption.KEEP_ALIVE_IDLE,
  TCP_KEEPINTVL: SocketOption.KEEP_ALIVE_INTERVAL,
  TCP_KEEPCNT: SocketOption.KEEP_ALIVE_COUNT
}

const FIRST_FD = 1000
const FIRST_EPHEMERAL_PORT = 49152
/** Directions that may be asked for; the other bits are reported unasked. */
const DIRECTIONS = READABLE | WRITABLE | PRIORITY

/**
 * The operating system for a test: `run(main, { kernel: new MemoryKernel() })`. Sockets are in memory, at any address; the
 * clock begins at 0, stands still while anything can run, and jumps to the next deadline when every task is parked and no
 * event is due. Files are in memory, too: `blocking` finds those of the option `files`, and what the test has written; a
 * call on one takes no time. They outlive a run. So an hour's timeout passes in no time, and what happens at one time happens in an order that is the same
 * in every run. One `run` at a time uses it; the next one finds its clock where the last one left it.
 *
 * What it knows of is tasks, sockets and deadlines of its own. Microtasks have run before the clock jumps, but foreign
 * work, a timer or a file of Node's, is not waited for: a deadline comes before a promise that takes real time. Give
 * such a promise no deadline in a test, or replace it.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` for the options.
 *
 * @example
 * const kernel = new MemoryKernel()
 * await run(() => sleep(3_600_000), { kernel })
 * console.log(kernel.now(), kernel.openSockets) // 3600000 0
 */
export class MemoryKernel implements Kernel {
  readonly events = new Int32Array(BATCH_CAPACITY * EVENT_INTS)
  private readonly capacity: number
  private readonly random: () => number
  private readonly sockets = new Map<number, MemorySocket>()
  /** By `nameOf` their addresses. */
  private readonly listeners = new Map<string, MemorySocket>()
  private readonly watches = new Map<number, Watch>()
  /** Invariant: the watches that have changed since they were last reported, the oldest first. */
  private readonly changed = new Set<Watch>()
  private lastFd = FIRST_FD
  private readonly freeFds: number[] = []
  private lastPort = FIRST_EPHEMERAL_PORT
  private turn: Turn | null = null
  private time = 0
  /** What the last turn returned. */
  private deadline = Infinity
  private requested = false
  private immediate: NodeJS.Immediate | null = null

  private readonly agenda = new Agenda()
  private readonly files: MemoryFiles
  private readonly jobs: MemoryJobs
  private readonly network: Readonly<Record<string, MemoryRoute>>
  private readonly datagrams: MemoryDatagrams

  constructor(options: MemoryKernelOptions = {}) {
    const { capacity = 64 * 1024, seed = 1, names = {}, files = {}, threads = Infinity, network = {} } = options
    checkInteger('options.capacity', capacity, 1, Number.MAX_SAFE_INTEGER)
    checkInteger('options.seed', seed, 0, 0xffff_ffff)
    this.capacity = capacity
    this.random = randomFrom(seed)
    this.network = network
    this.datagrams = new MemoryDatagrams(network, this.agenda, () => this.time, () => this.ephemeralPort())
    const soon = (): void => this.schedule()
    this.files = new MemoryFiles(files, () => this.time)
    this.jobs = new MemoryJobs(names, this.files, threads, this.agenda, () => this.time, soon)
  }

  /** Sockets that are open: 0 when nothing has leaked. */
  get openSockets(): number {
    return this.sockets.size
  }

  /** Files that are open: 0 when nothing has leaked. */
  get openFiles(): number {
    return this.files.size
  }

  /** Jobs that have not ended, and results that nobody has taken: 0 when nothing has leaked. */
  get openJobs(): number {
    return this.jobs.size
  }

  open(turn: Turn): void {
    if (this.turn !== null) throw new Error('coreactor: the kernel is open already')
    this.turn = turn
  }

  close(): void {
    this.turn = null
    this.deadline = Infinity
    this.requested = false
    if (this.immediate !== null) clearImmediate(this.immediate)
    this.immediate = null
  }

  requestTurn(): void {
    this.requested = true
    this.schedule()
  }

  // Turns are host immediates, which keep the process alive while one is due; nothing else can happen here.
  ref(): void {}
  unref(): void {}

  /** The virtual clock, in milliseconds: 0 at first. Inside tasks, `now()` of the library reads it. */
  now(): number {
    return this.time
  }

  /**
   * Moves the clock on by `ms` at once, as if a computation had taken so long: what falls due meanwhile is late. To let
   * time pass in the ordinary way, `sleep`.
   */
  advance(ms: number): void {
    checkMilliseconds('ms', ms)
    if (ms < 0 || ms === Infinity) throw outOfRange('ms', 'finite and not negative', ms)
    this.time += ms
    this.schedule()
  }

  /** What was sent may still be on its way. */
  freeMemory(): number {
    return EINVAL
  }

  entropy(): number {
    return this.random()
  }

  add(fd: number, interest: number, mode: number, slot: number, generation: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    if (this.watches.has(fd)) return EEXIST
    const watch: Watch = { fd, socket, interest, mode, slot, generation }
    this.watches.set(fd, watch)
    socket.changed = () => this.note(watch)
    socket.changed()
    return 0
  }

  remove(fd: number): number {
    const watch = this.watches.get(fd)
    if (watch !== undefined) this.unwatch(watch)
    return this.sockets.has(fd) ? 0 : EBADF
  }

  submit(job: Job, slot: number, generation: number): number {
    return this.jobs.submit(job, slot, generation)
  }

  cancelJob(id: number, abandon: boolean): number {
    return this.jobs.cancel(id, abandon)
  }

  takeResult(id: number, into?: Float64Array | readonly Uint8Array[]): unknown {
    return this.jobs.take(id, into)
  }

  configureJobs(limits: JobLimits): number {
    this.jobs.configure(limits)
    return 0
  }

  countJobs(into: Int32Array): number {
    this.jobs.counts(into)
    return 0
  }

  listJobs(): readonly JobReport[] {
    return this.jobs.list()
  }

  closeAfterJobs(fd: number): number {
    return this.closeFd(fd)
  }

  openProcess(): number {
    return ENOSYS
  }

  /** There is no process but this one. */
  hasEnded(): number {
    return ECHILD
  }

  socket(family: SocketFamily, type: SocketType = 'stream'): number {
    if (typeof family === 'number') return EAFNOSUPPORT
    if (type === 'datagram' && family !== 'Unix') return this.install(new MemoryDatagramSocket(UNBOUND[family] as SocketAddress, this.capacity))
    if (type !== 'stream') return EOPNOTSUPP
    return this.install(new MemorySocket(UNBOUND[family], this.capacity))
  }

  bind(fd: number, address: AnyAddress | Uint8Array): number {
    const socket = this.sockets.get(fd)
    const local = decoded(address)
    if (socket === undefined) return EBADF
    if (local === null) return EINVAL
    if (socket instanceof MemoryDatagramSocket) return this.datagrams.bind(socket, local as SocketAddress)
    if (this.listeners.has(nameOf(local))) return EADDRINUSE
    socket.local = this.withPort(local)
    return 0
  }

  encodeAddress(address: AnyAddress): Uint8Array | number {
    return Buffer.from(JSON.stringify(address))
  }

  decodeAddress(bytes: Uint8Array, offset: number, length: number): AnyAddress | number {
    return decoded(bytes.subarray(offset, offset + length)) ?? EINVAL
  }

  listen(fd: number, backlog: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    const name = nameOf(socket.local)
    if (this.listeners.has(name)) return EADDRINUSE
    socket.state = { kind: 'listening', backlog, queue: [] }
    this.listeners.set(name, socket)
    return 0
  }

  connect(fd: number, to: AnyAddress | Uint8Array): number {
    const socket = this.sockets.get(fd)
    const address = decoded(to)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryDatagramSocket) return this.datagrams.connect(socket, address as SocketAddress | null)
    if (address === null) return EINVAL
    if (socket.state.kind !== 'fresh') return EISCONN
    if (socket.local.family !== 'Unix' && socket.local.port === 0) socket.local = this.withPort({ ...address, port: 0 } as AnyAddress)
    socket.remote = address
    const { delay = 0, unreachable = false, refuses = false } = (address.family === 'Unix' ? undefined : this.network[address.address]) ?? {}
    if (unreachable && delay === 0) return EHOSTUNREACH
    socket.state = { kind: 'connecting' }
    const answer = (): void => this.answer(socket, address, unreachable ? EHOSTUNREACH : refuses ? ECONNREFUSED : 0)
    if (delay === 0) answer()
    else if (delay < Infinity) this.agenda.add(this.time + delay, answer)
    return EINPROGRESS
  }

  /** The request for a connection has arrived where it went, and is refused with `error` if that is not 0. */
  private answer(socket: MemorySocket, address: AnyAddress, error: number): void {
    // Closed meanwhile.
    if (socket.state.kind !== 'connecting') return
    const listener = this.listeners.get(nameOf(address))
    if (error !== 0 || listener === undefined || listener.state.kind !== 'listening') {
      socket.state = { kind: 'refused' }
      socket.pendingError = error !== 0 ? error : ECONNREFUSED
      socket.changed()
    } else {
      listener.state.queue.push(socket)
      this.admit(listener)
    }
  }

  accept(fd: number): number {
    const listener = this.sockets.get(fd)
    if (listener === undefined) return EBADF
    if (listener.state.kind !== 'listening') return EINVAL
    const accepted = listener.state.queue.shift()
    if (accepted === undefined) return EAGAIN
    this.admit(listener)
    return this.install(accepted)
  }

  localAddress(fd: number): AnyAddress | number {
    return this.sockets.get(fd)?.local ?? EBADF
  }

  remoteAddress(fd: number): AnyAddress | number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    const connected = socket.state.kind === 'connected' || socket instanceof MemoryDatagramSocket
    return connected && socket.remote !== null ? socket.remote : ENOTCONN
  }

  setOption(fd: number, option: number, value: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryPipeEnd) return ENOTSOCK
    socket.options.set(option, value)
    return 0
  }

  getOption(fd: number, option: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryPipeEnd) return ENOTSOCK
    if (option === SocketOption.ACCEPTS_CONNECTIONS) return socket.state.kind === 'listening' ? 1 : 0
    if (option !== SocketOption.ERROR) return socket.options.get(option) ?? 0
    const error = -socket.pendingError
    socket.pendingError = 0
    return error
  }

  receive(fd: number, into: Uint8Array, offset: number, length: number): number {
    return this.sockets.get(fd)?.receive(into, offset, length) ?? EBADF
  }

  send(fd: number, from: Uint8Array, offset: number, length: number): number {
    return this.sockets.get(fd)?.send([from.subarray(offset, offset + length)]) ?? EBADF
  }

  sendVector(fd: number, chunks: readonly Uint8Array[], skip: number): number {
    return this.sockets.get(fd)?.send(chunks.map((chunk, i) => (i === 0 ? chunk.subarray(skip) : chunk))) ?? EBADF
  }

  shutdown(fd: number, how: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    return how === SHUT_WRITE ? socket.endWriting() : EOPNOTSUPP
  }

  closeFd(fd: number): number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    // Closing an fd ends its being watched, on every system.
    this.remove(fd)
    this.sockets.delete(fd)
    this.freeFds.push(fd)
    if (socket instanceof MemoryDatagramSocket) this.datagrams.close(socket)
    if (this.listeners.get(nameOf(socket.local)) === socket) this.listeners.delete(nameOf(socket.local))
    socket.close(socket.options.get(SocketOption.LINGER) === 0)
    return 0
  }

  // Datagrams ----------------------------------------------------------------------------------------------------

  receiveDatagrams(fd: number, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number {
    const socket = this.datagram(fd)
    return typeof socket === 'number' ? socket : this.datagrams.receive(socket, records, data, size, first, count)
  }

  sendDatagrams(fd: number, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number {
    const socket = this.datagram(fd)
    return typeof socket === 'number' ? socket : this.datagrams.send(socket, records, data, size, first, count)
  }

  receiveDatagramError(fd: number, records: Uint8Array, data: Uint8Array, size: number): number {
    const socket = this.datagram(fd)
    return typeof socket === 'number' ? socket : this.datagrams.receiveError(socket, records, data.subarray(0, size))
  }

  setDatagramOption(fd: number, option: number, value: number): number {
    const socket = this.datagram(fd)
    if (typeof socket === 'number') return socket
    if (option === DatagramOption.COALESCE) return EOPNOTSUPP
    socket.datagramOptions.set(option, value)
    return 0
  }

  setMembership(fd: number, member: number, group: Uint8Array, _interfaceIndex: number, source?: Uint8Array): number {
    const socket = this.datagram(fd)
    if (typeof socket === 'number') return socket
    const from = source === undefined ? undefined : (decoded(source) as SocketAddress)
    return this.datagrams.setMembership(socket, member, decoded(group) as SocketAddress, from)
  }

  interfaceIndex(name: string): number {
    return name === 'lo' ? 1 : ENODEV
  }

  private datagram(fd: number): MemoryDatagramSocket | number {
    const socket = this.sockets.get(fd)
    if (socket === undefined) return EBADF
    return socket instanceof MemoryDatagramSocket ? socket : EOPNOTSUPP
  }

  // Any descriptor: here it is a socket or an end of a pipe ------------------------------------------------------

  poll(fd: number, interest: number): number {
    const socket = this.sockets.get(fd)
    return socket === undefined ? EBADF : socket.readiness & (interest | ~DIRECTIONS)
  }

  read(fd: number, into: Uint8Array, offset: number, length: number): number {
    return this.receive(fd, into, offset, length)
  }

  write(fd: number, from: Uint8Array, offset: number, length: number): number {
    return this.send(fd, from, offset, length)
  }

  writeVector(fd: number, chunks: readonly Uint8Array[], skip: number): number {
    return this.sendVector(fd, chunks, skip)
  }

  pipe(): readonly [reader: number, writer: number] {
    const [reader, writer] = [new MemoryPipeEnd(READABLE, this.capacity), new MemoryPipeEnd(WRITABLE, this.capacity)]
    reader.join(writer)
    writer.join(reader)
    return [this.install(reader), this.install(writer)]
  }

  socketPair(): readonly [first: number, second: number] {
    const [first, second] = this.connected(UNBOUND.Unix, UNBOUND.Unix)
    return [first.fd, second.fd]
  }

  takeFd(fd: number): number {
    return this.sockets.has(fd) ? 0 : EBADF
  }

  // Unix: bytes go through, fds do not, and a name is no file. What there is none of says so.

  sendMessage(fd: number, from: Uint8Array, offset: number, length: number, fds: Int32Array, to?: Uint8Array): number {
    return fds.length > 0 || to !== undefined ? ENOSYS : this.send(fd, from, offset, length)
  }

  receiveMessage(fd: number, into: Uint8Array, offset: number, length: number, about: Int32Array): number {
    about.fill(0, 0, ABOUT_FDS)
    return this.receive(fd, into, offset, length)
  }

  markMessages(): number {
    return ENOSYS
  }

  peerCredentials(): PeerCredentials | number {
    return ENOSYS
  }

  describeFd(): FdDescription | number {
    return ENOSYS
  }

  closeOnExec(fd: number): number {
    return this.sockets.has(fd) ? 0 : EBADF
  }

  claimJob(): number {
    return EOPNOTSUPP
  }

  watchSteps(): number {
    return ENOSYS
  }

  setNonBlocking(fd: number): number {
    return this.sockets.has(fd) ? 0 : EBADF
  }

  letGo(): number {
    return ENOSYS
  }

  /** Nobody is kept out of what is in memory. */
  setMode(fd: number): number {
    return this.sockets.has(fd) ? 0 : EBADF
  }

  socketFile(): SocketFile | number {
    return ENOENT
  }

  setFileMode(): number {
    return ENOENT
  }

  lockDirectory(): number {
    return ENOSYS
  }

  unlink(): number {
    return ENOENT
  }

  optionTables(): OptionTables {
    const options = Object.entries(KEPT_OPTIONS).map(([option, name]) => [option, { level: 0, name }])
    return { options: Object.fromEntries(options), tcpStates: [], tcpInfo: [] }
  }

  setRawOption(fd: number, level: number, name: number, value: Uint8Array): number {
    if (level !== 0) return ENOPROTOOPT
    if (value.length < 4) return EINVAL
    return this.setOption(fd, name, new Int32Array(Uint8Array.from(value.subarray(0, 4)).buffer)[0] as number)
  }

  getRawOption(fd: number, level: number, name: number, into: Uint8Array): number {
    if (level !== 0) return ENOPROTOOPT
    if (!this.sockets.has(fd)) return EBADF
    into.set(new Uint8Array(Int32Array.of(this.getOption(fd, name)).buffer))
    return 4
  }

  transferPipe(): number {
    return ENOSYS
  }

  splice(): number {
    return ENOSYS
  }

  /** The file is one of those in memory, or a real one. */
  sendFile(to: number, file: number, offset: number, length: number): number {
    const socket = this.sockets.get(to)
    if (socket === undefined) return EBADF
    const room = Math.min(length, socket.sendable)
    if (room <= 0) return room
    if (this.files.has(file)) {
      const bytes = this.files.read(file, room, offset)
      return typeof bytes === 'number' ? bytes : bytes.length === 0 ? 0 : socket.send([bytes])
    }
    const bytes = Buffer.allocUnsafe(room)
    try {
      const count = readSync(file, bytes, 0, room, offset)
      return count === 0 ? 0 : socket.send([bytes.subarray(0, count)])
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? EBADF
    }
  }

  /** Two ends of a TCP connection, as if it had been accepted. */
  pair(): readonly [first: Installed, second: Installed] {
    const end = (): AnyAddress => ({ family: 'IPv4', address: '127.0.0.1', port: this.ephemeralPort() })
    return this.connected(end(), end())
  }

  private connected(here: AnyAddress, there: AnyAddress): readonly [first: Installed, second: Installed] {
    const [first, second] = [new MemorySocket(here, this.capacity), new MemorySocket(there, this.capacity)]
    first.remote = there
    second.remote = here
    first.join(second)
    second.join(first)
    return [
      { fd: this.install(first), socket: first },
      { fd: this.install(second), socket: second }
    ]
  }

  /** The lowest free number, as POSIX has it: reuse of fd numbers is part of the test. */
  private install(socket: MemorySocket): number {
    const fd = this.freeFds.sort((a, b) => a - b).shift() ?? this.lastFd++
    this.sockets.set(fd, socket)
    return fd
  }

  /** With a port of its own, if it has none and is of a kind that has one. */
  private withPort(address: AnyAddress): AnyAddress {
    return address.family === 'Unix' || address.port !== 0 ? address : { ...address, port: this.ephemeralPort() }
  }

  private ephemeralPort(): number {
    while (this.listeners.has(`port ${this.lastPort}`)) this.lastPort++
    return this.lastPort++
  }

  /** Completes the connections for which the listener's queue has room. Its first `backlog` entries are those. */
  private admit(listener: MemorySocket): void {
    if (listener.state.kind !== 'listening') return
    const { backlog } = listener.state
    // Those that gave up while they were connecting are fresh sockets again.
    const queue = listener.state.queue.filter(({ state }) => state.kind !== 'fresh')
    listener.state.queue = queue
    for (let i = 0; i < Math.min(queue.length, backlog); i++) {
      const client = queue[i] as MemorySocket
      if (client.state.kind !== 'connecting') continue
      // A listener on every address accepts on the one that was connected to.
      const server = new MemorySocket(client.remote as AnyAddress, this.capacity)
      server.remote = client.local
      queue[i] = server
      server.join(client)
      client.join(server)
      listener.changed()
    }
  }

  private note(watch: Watch): void {
    this.changed.add(watch)
    this.schedule()
  }

  private unwatch(watch: Watch): void {
    this.watches.delete(watch.fd)
    this.changed.delete(watch)
    watch.socket.changed = () => {}
  }

  private schedule(): void {
    this.immediate ??= setImmediate(() => {
      this.immediate = null
      this.step()
    })
  }

  /** One turn; before it, if nothing has happened, the clock jumps. */
  private step(): void {
    const { turn } = this
    if (turn === null) return
    this.agenda.run(this.time)
    let count = this.collect()
    if (count === 0 && !this.requested && this.deadline > this.time) {
      const next = Math.min(this.deadline, this.agenda.next)
      if (next === Infinity) return
      this.time = next
      this.agenda.run(next)
      count = this.collect()
    }
    this.requested = false
    this.deadline = turn(count)
    if (this.changed.size > 0 || this.jobs.ended.length > 0 || Math.min(this.deadline, this.agenda.next) < Infinity) this.schedule()
  }

  /** Writes the batch: what has changed and is ready now, as epoll reports it. */
  private collect(): number {
    let count = 0
    for (const watch of this.changed) {
      if (count === BATCH_CAPACITY) break
      this.changed.delete(watch)
      const readiness = watch.socket.readiness & (watch.interest | ~DIRECTIONS)
      if (readiness === 0) continue
      if (watch.mode === ONE_SHOT) this.unwatch(watch)
      this.report(count++, watch, readiness, 0)
    }
    while (count < BATCH_CAPACITY) {
      const ended = this.jobs.ended.shift()
      if (ended === undefined) break
      this.report(count++, ended, COMPLETED, ended.result)
    }
    return count
  }

  private report(index: number, token: { slot: number; generation: number }, readiness: number, result: number): void {
    const at = index * EVENT_INTS
    this.events[at + EVENT_SLOT] = token.slot
    this.events[at + EVENT_GENERATION] = token.generation
    this.events[at + EVENT_READINESS] = readiness
    this.events[at + EVENT_RESULT] = result
  }
}
