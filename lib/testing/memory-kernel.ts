/**
 * An operating system in memory: its clock, which jumps to the next deadline when nothing else can happen, its turns, and
 * which of its parts answers a call. What a program does on it, it does the same way every time, and without waiting. What
 * its sockets do is in the files beside this one: streams, datagrams, messages, pipes; and so are jobs and files.
 */
import { readSync } from 'node:fs'
import {
  EAFNOSUPPORT,
  EBADF,
  ECHILD,
  EINVAL,
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
  Events,
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
  Turn,
  UnixAddress
} from '../kernel/kernel.js'
import {
  DatagramOption,
  READABLE,
  SHUT_WRITE,
  SocketOption,
  WRITABLE
} from '../kernel/layout.js'
import { randomFrom } from '../task/random.js'
import { checkInteger, checkMilliseconds, outOfRange } from '../task/validate.js'
import { Agenda } from './agenda.js'
import { decoded, encoded, EphemeralPorts, UNBOUND } from './memory-address.js'
import { MemoryDatagrams, MemoryDatagramSocket } from './memory-datagram.js'
import { MemoryFds } from './memory-fds.js'
import { MemoryFiles, type MemoryFileContents } from './memory-files.js'
import { MemoryJobs, type MemoryNames } from './memory-jobs.js'
import { MemoryPacketSocket, MemoryUnixDatagramSocket, MemoryUnixNames } from './memory-messages.js'
import { MemoryPipeEnd } from './memory-pipe.js'
import { MemoryPoller, readinessOf } from './memory-poller.js'
import { MemorySocket } from './memory-socket.js'
import { MemoryStreams, type Installed } from './memory-streams.js'

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

/**
 * The operating system for a test: `run(main, { kernel: new MemoryKernel() })`. Sockets are in memory, at any address; the
 * clock begins at 0, stands still while anything can run, and jumps to the next deadline when every task is parked and no
 * event is due. So an hour's timeout passes in no time, and what happens at one time happens in an order that is the same
 * in every run. Files are in memory, too: `blocking` finds those of the option `files`, and what the test has written; a
 * call on one takes no time, and they outlive a run. One `run` at a time uses it; the next one finds its clock where the last one left it.
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
  private readonly capacity: number
  private readonly random: () => number
  private turn: Turn | null = null
  private time = 0
  /** What the last turn returned. */
  private deadline = Infinity
  private requested = false
  private immediate: NodeJS.Immediate | null = null
  private readonly agenda = new Agenda()
  private readonly fds = new MemoryFds()
  private readonly poller = new MemoryPoller(() => this.schedule())
  private readonly ports = new EphemeralPorts((port) => this.streams.hasPort(port))
  private readonly unixNames = new MemoryUnixNames()
  private readonly streams: MemoryStreams
  private readonly datagrams: MemoryDatagrams
  private readonly files: MemoryFiles
  private readonly jobs: MemoryJobs

  constructor(options: MemoryKernelOptions = {}) {
    const { capacity = 64 * 1024, seed = 1, names = {}, files = {}, threads = Infinity, network = {} } = options
    checkInteger('options.capacity', capacity, 1, Number.MAX_SAFE_INTEGER)
    checkInteger('options.seed', seed, 0, 0xffff_ffff)
    this.capacity = capacity
    this.random = randomFrom(seed)
    const now = (): number => this.time
    this.streams = new MemoryStreams(this.fds, this.ports, network, this.agenda, now)
    this.datagrams = new MemoryDatagrams(network, this.agenda, now, () => this.ports.next())
    this.files = new MemoryFiles(files, now)
    this.jobs = new MemoryJobs(names, this.files, threads, this.agenda, now, () => this.schedule())
  }

  get events(): Events {
    return this.poller.events
  }

  /** Sockets that are open: 0 when nothing has leaked. */
  get openSockets(): number {
    return this.fds.size
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
    return this.poller.add(fd, this.fds.get(fd), interest, mode, slot, generation)
  }

  remove(fd: number): number {
    this.poller.remove(fd)
    return this.fds.has(fd) ? 0 : EBADF
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
    const socket = this.newSocket(family, type)
    return typeof socket === 'number' ? socket : this.fds.install(socket)
  }

  private newSocket(family: SocketFamily, type: SocketType): MemorySocket | number {
    const { capacity } = this
    if (typeof family === 'number') return EAFNOSUPPORT
    if (type === 'stream') return new MemorySocket(UNBOUND[family], capacity)
    if (family !== 'Unix') return type === 'datagram' ? new MemoryDatagramSocket(UNBOUND[family] as SocketAddress, capacity) : EOPNOTSUPP
    if (type === 'seqpacket') return new MemoryPacketSocket(UNBOUND.Unix, capacity)
    return type === 'datagram' ? new MemoryUnixDatagramSocket(this.unixNames, capacity) : EOPNOTSUPP
  }

  bind(fd: number, address: AnyAddress | Uint8Array): number {
    const socket = this.fds.get(fd)
    const local = decoded(address)
    if (socket === undefined) return EBADF
    if (local === null) return EINVAL
    if (socket instanceof MemoryDatagramSocket) return this.datagrams.bind(socket, local as SocketAddress)
    if (socket instanceof MemoryUnixDatagramSocket) return socket.bind(local as UnixAddress)
    return this.streams.bind(socket, local)
  }

  encodeAddress(address: AnyAddress): Uint8Array | number {
    return encoded(address)
  }

  decodeAddress(bytes: Uint8Array, offset: number, length: number): AnyAddress | number {
    return decoded(bytes.subarray(offset, offset + length)) ?? EINVAL
  }

  listen(fd: number, backlog: number): number {
    const socket = this.fds.get(fd)
    return socket === undefined ? EBADF : this.streams.listen(socket, backlog)
  }

  connect(fd: number, to: AnyAddress | Uint8Array): number {
    const socket = this.fds.get(fd)
    const address = decoded(to)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryDatagramSocket) return this.datagrams.connect(socket, address as SocketAddress | null)
    if (address === null) return EINVAL
    if (socket instanceof MemoryUnixDatagramSocket) return socket.connectTo(address as UnixAddress)
    return this.streams.connect(socket, address)
  }

  accept(fd: number): number {
    const listener = this.fds.get(fd)
    return listener === undefined ? EBADF : this.streams.accept(listener)
  }

  localAddress(fd: number): AnyAddress | number {
    return this.fds.get(fd)?.local ?? EBADF
  }

  remoteAddress(fd: number): AnyAddress | number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    const connected = socket.state.kind === 'connected' || socket.type === 'datagram'
    return connected && socket.remote !== null ? socket.remote : ENOTCONN
  }

  setOption(fd: number, option: number, value: number): number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryPipeEnd) return ENOTSOCK
    socket.options.set(option, value)
    return 0
  }

  getOption(fd: number, option: number): number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryPipeEnd) return ENOTSOCK
    if (option === SocketOption.ACCEPTS_CONNECTIONS) return socket.state.kind === 'listening' ? 1 : 0
    if (option !== SocketOption.ERROR) return socket.options.get(option) ?? 0
    const error = -socket.pendingError
    socket.pendingError = 0
    return error
  }

  receive(fd: number, into: Uint8Array, offset: number, length: number): number {
    return this.fds.get(fd)?.receive(into, offset, length) ?? EBADF
  }

  send(fd: number, from: Uint8Array, offset: number, length: number): number {
    return this.fds.get(fd)?.send([from.subarray(offset, offset + length)]) ?? EBADF
  }

  sendVector(fd: number, chunks: readonly Uint8Array[], skip: number): number {
    return this.fds.get(fd)?.send(chunks.map((chunk, i) => (i === 0 ? chunk.subarray(skip) : chunk))) ?? EBADF
  }

  shutdown(fd: number, how: number): number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    return how === SHUT_WRITE ? socket.endWriting() : EOPNOTSUPP
  }

  closeFd(fd: number): number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    // Closing an fd ends its being watched, on every system.
    this.remove(fd)
    this.fds.remove(fd)
    if (socket instanceof MemoryDatagramSocket) this.datagrams.close(socket)
    this.streams.close(socket)
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
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    return socket instanceof MemoryDatagramSocket ? socket : EOPNOTSUPP
  }

  // Any descriptor: here it is a socket or an end of a pipe ------------------------------------------------------

  poll(fd: number, interest: number): number {
    const socket = this.fds.get(fd)
    return socket === undefined ? EBADF : readinessOf(socket, interest)
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
    return [this.fds.install(reader), this.fds.install(writer)]
  }

  socketPair(): readonly [first: number, second: number] {
    const [first, second] = this.connected(UNBOUND.Unix, UNBOUND.Unix)
    return [first.fd, second.fd]
  }

  takeFd(fd: number): number {
    return this.fds.has(fd) ? 0 : EBADF
  }

  // Unix: bytes and messages go through, fds do not, and a name is no file. What there is none of says so.

  sendMessage(fd: number, from: Uint8Array, offset: number, length: number, fds: Int32Array, to?: Uint8Array): number {
    if (fds.length > 0) return ENOSYS
    const address = to === undefined ? undefined : (decoded(to) ?? undefined)
    return this.fds.get(fd)?.sendMessage(from.subarray(offset, offset + length), address) ?? EBADF
  }

  receiveMessage(fd: number, into: Uint8Array, offset: number, length: number, about: Int32Array, from: Uint8Array): number {
    return this.fds.get(fd)?.receiveMessage(into, offset, length, about, from) ?? EBADF
  }

  /** They are flagged as it is. */
  markMessages(fd: number): number {
    return this.fds.has(fd) ? 0 : EBADF
  }

  peerCredentials(): PeerCredentials | number {
    return ENOSYS
  }

  describeFd(fd: number): FdDescription | number {
    const socket = this.fds.get(fd)
    if (socket === undefined) return EBADF
    if (socket instanceof MemoryPipeEnd) return { is: 'pipe' }
    const { local, type, state } = socket
    return { is: 'socket', family: local.family, type, accepts: state.kind === 'listening', connected: state.kind === 'connected' }
  }

  closeOnExec(fd: number): number {
    return this.fds.has(fd) ? 0 : EBADF
  }

  claimJob(): number {
    return EOPNOTSUPP
  }

  watchSteps(): number {
    return ENOSYS
  }

  setNonBlocking(fd: number): number {
    return this.fds.has(fd) ? 0 : EBADF
  }

  letGo(): number {
    return ENOSYS
  }

  /** Nobody is kept out of what is in memory. */
  setMode(fd: number): number {
    return this.fds.has(fd) ? 0 : EBADF
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
    if (!this.fds.has(fd)) return EBADF
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
    const socket = this.fds.get(to)
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

  isCached(): number {
    return 1
  }

  /** Two ends of a TCP connection, as if it had been accepted. */
  pair(): readonly [first: Installed, second: Installed] {
    const end = (): AnyAddress => ({ family: 'IPv4', address: '127.0.0.1', port: this.ports.next() })
    return this.connected(end(), end())
  }

  private connected(here: AnyAddress, there: AnyAddress): readonly [first: Installed, second: Installed] {
    return this.streams.connected(new MemorySocket(here, this.capacity), new MemorySocket(there, this.capacity))
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
    let count = this.poller.collect(this.jobs.ended)
    if (count === 0 && !this.requested && this.deadline > this.time) {
      const next = Math.min(this.deadline, this.agenda.next)
      if (next === Infinity) return
      this.time = next
      this.agenda.run(next)
      count = this.poller.collect(this.jobs.ended)
    }
    this.requested = false
    this.deadline = turn(count)
    if (this.poller.pending || this.jobs.ended.length > 0 || Math.min(this.deadline, this.agenda.next) < Infinity) this.schedule()
  }
}
