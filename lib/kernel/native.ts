/**
 * The kernel that is the operating system: the C++ addon behind the `Kernel` interface. `addon.ts` finds and loads it.
 */
import { loadAddon } from './addon.js'
import { EAGAIN, EINVAL } from './errno.js'
import type { AnyAddress, Job, Kernel, Turn, WatchedSteps } from './kernel.js'
import {
  assertLayout,
  CONTROL_DISPATCHING,
  CONTROL_INTS,
  CONTROL_REQUESTED,
  JobKind
} from './layout.js'

/** An external value. */
declare const driverHandle: unique symbol
type DriverHandle = { readonly [driverHandle]: true } | null

type JobArgument = number | string | boolean | Uint8Array | readonly Uint8Array[]

/** One per `open`: poller, clock, and the handles in the host loop (`native/node/driver.h`). */
interface Driver {
  /** CONTROL_INTS integers, then the event records. */
  readonly buffer: ArrayBuffer
  /** What `add` and `remove` of the addon find it by. */
  readonly handle: DriverHandle
  requestTurn(): void
  ref(): void
  unref(): void
  close(): void
}

/** The class of `native/node/step_watchdog_binding.cc`. */
interface NativeStepWatchdog extends Omit<WatchedSteps, 'record'> {
  /** The memory of `WatchedSteps.record`; undefined if there is no thread to be had. */
  readonly record: ArrayBuffer | undefined
}

/** Calls that the addon exports as the interface has them. */
type AsTheyAre = Pick<
  Kernel,
  | 'now'
  | 'entropy'
  | 'freeMemory'
  | 'socket'
  | 'listen'
  | 'accept'
  | 'decodeAddress'
  | 'localAddress'
  | 'remoteAddress'
  | 'setOption'
  | 'getOption'
  | 'receive'
  | 'send'
  | 'sendVector'
  | 'shutdown'
  | 'closeFd'
  | 'receiveDatagrams'
  | 'sendDatagrams'
  | 'setDatagramOption'
  | 'setMembership'
  | 'interfaceIndex'
  | 'poll'
  | 'read'
  | 'write'
  | 'writeVector'
  | 'pipe'
  | 'socketPair'
  | 'takeFd'
  | 'sendMessage'
  | 'receiveMessage'
  | 'markMessages'
  | 'peerCredentials'
  | 'describeFd'
  | 'setNonBlocking'
  | 'letGo'
  | 'setMode'
  | 'socketFile'
  | 'setFileMode'
  | 'lockDirectory'
  | 'unlink'
  | 'optionTables'
  | 'setRawOption'
  | 'getRawOption'
  | 'transferPipe'
  | 'splice'
  | 'sendFile'
  | 'isCached'
  | 'closeOnExec'
  | 'closeAfterJobs'
  | 'openProcess'
  | 'hasEnded'
  | 'claimJob'
>

/** What `native/node/addon.cc` exports. */
interface Addon extends AsTheyAre {
  readonly layout: Readonly<Record<string, number>>
  readonly Driver: new (turn: Turn) => Driver
  readonly StepWatchdog: new (ms: number, opening: string) => NativeStepWatchdog
  add(driver: DriverHandle, fd: number, interest: number, mode: number, slot: number, generation: number): number
  remove(driver: DriverHandle, fd: number): number
  submit(driver: DriverHandle, kind: number, slot: number, generation: number, ...args: JobArgument[]): number
  submitNative(driver: DriverHandle, job: object, slot: number, generation: number): number
  cancelJob(driver: DriverHandle, id: number, abandon: boolean): number
  takeResult(driver: DriverHandle, ...args: Parameters<Kernel['takeResult']>): unknown
  configureJobs(driver: DriverHandle, files: number, lookups: number, waits: number, idle: number, queue: number): number
  countJobs(driver: DriverHandle, ...args: Parameters<Kernel['countJobs']>): number
  listJobs(driver: DriverHandle): ReturnType<Kernel['listJobs']>
  bind(fd: number, address: string | Uint8Array, port?: number): number
  connect(fd: number, address: string | Uint8Array, port?: number): number
  /** A numeric address and a port, or the bytes of a Unix path. */
  encodeAddress(address: string | Uint8Array, port?: number): Uint8Array | number
  receiveDatagramError(fd: number, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number
  nativeApi(): object
}

/** Throws if there is none, or if it was built from other sources. */
function addonOf(): Addon {
  const addon = loadAddon() as Addon
  assertLayout(addon.layout)
  return addon
}

function submit(addon: Addon, driver: DriverHandle, job: Job, slot: number, generation: number): number {
  const put = (kind: number, ...args: JobArgument[]): number => addon.submit(driver, kind, slot, generation, ...args)
  switch (job.kind) {
    case 'fstat':
      return addon.submit(driver, JobKind.FSTAT, slot, generation, job.fd)
    case 'read':
      return addon.submit(driver, JobKind.READ, slot, generation, job.fd, job.length, job.position, job.waits)
    case 'write':
      return addon.submit(driver, JobKind.WRITE, slot, generation, job.fd, job.chunks, job.position, job.waits)
    case 'lookup':
      return put(JobKind.LOOKUP, job.host, job.family, job.flags)
    case 'native':
      return addon.submitNative(driver, job.job, slot, generation)
    case 'reverse':
      return put(JobKind.REVERSE, job.address, job.port)
    case 'open':
      return put(JobKind.OPEN, job.path, job.flags, job.mode, job.waits)
    case 'close':
      return put(JobKind.CLOSE, job.fd)
    case 'stat':
      return put(JobKind.STAT, job.path, job.follow)
    case 'sync':
      return put(JobKind.SYNC, job.fd, job.dataOnly)
    case 'truncate':
      return put(JobKind.TRUNCATE, job.fd, job.length)
    case 'truncatePath':
      return put(JobKind.TRUNCATE_PATH, job.path, job.length)
    case 'rename':
      return put(JobKind.RENAME, job.path, job.to)
    case 'remove':
      return put(JobKind.REMOVE, job.path, job.directory)
    case 'makeDirectory':
      return put(JobKind.MAKE_DIRECTORY, job.path, job.mode, job.parents)
    case 'readDirectory':
      return put(JobKind.READ_DIRECTORY, job.path)
    case 'lock':
      return put(JobKind.LOCK, job.fd, job.how)
    case 'copy':
      return put(JobKind.COPY, job.from, job.to, job.length)
    case 'readFile':
      return put(JobKind.READ_FILE, job.path, job.flags, job.most, job.waits)
    case 'writeFile':
      return put(JobKind.WRITE_FILE, job.path, job.flags, job.mode, job.chunks, job.waits)
    case 'waitProcess':
      return put(JobKind.WAIT_PROCESS, job.pid)
    default:
      return EINVAL
  }
}

/** What other addons are handed: see `native/include/coreactor.h`. */
export function nativeApi(): object {
  return addonOf().nativeApi()
}

/** Opens the operating system for this thread. Throws if the addon is missing or was built from other sources. */
export function nativeKernel(): Kernel {
  const addon = addonOf()
  let driver: Driver | null = null
  let handle: DriverHandle = null
  let control = new Int32Array(CONTROL_INTS)
  let events = new Int32Array(0)
  const opened = (): Driver => {
    if (driver === null) throw new Error('coreactor: the kernel is not open')
    return driver
  }

  const encodeAddress = (address: AnyAddress): Uint8Array | number =>
    address.family === 'Unix'
      ? addon.encodeAddress(Buffer.from(address.path))
      : addon.encodeAddress(address.address, address.port)

  const withAddress = (call: Addon['bind'], fd: number, address: AnyAddress | Uint8Array): number => {
    if (!(address instanceof Uint8Array) && address.family !== 'Unix') return call(fd, address.address, address.port)
    const bytes = address instanceof Uint8Array ? address : encodeAddress(address)
    return typeof bytes === 'number' ? bytes : call(fd, bytes)
  }

  // Written out, so that the engine knows its shape: these are called for every byte that moves.
  return {
    get events() {
      return events
    },
    open(turn) {
      if (driver !== null) throw new Error('coreactor: the kernel is open already')
      driver = new addon.Driver(turn)
      handle = driver.handle
      control = new Int32Array(driver.buffer, 0, CONTROL_INTS)
      events = new Int32Array(driver.buffer, control.byteLength)
    },
    close() {
      driver?.close()
      driver = null
      handle = null
    },
    requestTurn() {
      if (control[CONTROL_DISPATCHING] === 1) control[CONTROL_REQUESTED] = 1
      else opened().requestTurn()
    },
    ref: () => opened().ref(),
    unref: () => opened().unref(),
    add: (fd, interest, mode, slot, generation) => addon.add(handle, fd, interest, mode, slot, generation),
    remove: (fd) => addon.remove(handle, fd),
    submit: (job, slot, generation) => submit(addon, handle, job, slot, generation),
    cancelJob: (id, abandon) => addon.cancelJob(handle, id, abandon),
    takeResult: (id, into) => addon.takeResult(handle, id, into),
    configureJobs: ({ files, lookups, waits, idle, queue }) => addon.configureJobs(handle, files, lookups, waits, idle, queue),
    countJobs: (into) => addon.countJobs(handle, into),
    listJobs: () => addon.listJobs(handle),
    closeAfterJobs: addon.closeAfterJobs,
    openProcess: addon.openProcess,
    hasEnded: addon.hasEnded,
    now: addon.now,
    entropy: addon.entropy,
    freeMemory: addon.freeMemory,
    socket: addon.socket,
    bind: (fd, address) => withAddress(addon.bind, fd, address),
    listen: addon.listen,
    connect: (fd, address) => withAddress(addon.connect, fd, address),
    accept: addon.accept,
    encodeAddress,
    decodeAddress: addon.decodeAddress,
    localAddress: addon.localAddress,
    remoteAddress: addon.remoteAddress,
    setOption: addon.setOption,
    getOption: addon.getOption,
    receive: addon.receive,
    send: addon.send,
    sendVector: addon.sendVector,
    shutdown: addon.shutdown,
    closeFd: addon.closeFd,
    receiveDatagrams: addon.receiveDatagrams,
    receiveDatagramError: (fd, records, data, size) => addon.receiveDatagramError(fd, records, data, size, 0, 1),
    sendDatagrams: addon.sendDatagrams,
    setDatagramOption: addon.setDatagramOption,
    setMembership: addon.setMembership,
    interfaceIndex: addon.interfaceIndex,
    poll: addon.poll,
    read: addon.read,
    write: addon.write,
    writeVector: addon.writeVector,
    pipe: addon.pipe,
    socketPair: addon.socketPair,
    takeFd: addon.takeFd,
    sendMessage: addon.sendMessage,
    receiveMessage: addon.receiveMessage,
    markMessages: addon.markMessages,
    peerCredentials: addon.peerCredentials,
    describeFd: addon.describeFd,
    setNonBlocking: addon.setNonBlocking,
    letGo: addon.letGo,
    setMode: addon.setMode,
    socketFile: addon.socketFile,
    setFileMode: addon.setFileMode,
    lockDirectory: addon.lockDirectory,
    unlink: addon.unlink,
    optionTables: addon.optionTables,
    setRawOption: addon.setRawOption,
    getRawOption: addon.getRawOption,
    transferPipe: addon.transferPipe,
    splice: addon.splice,
    sendFile: addon.sendFile,
    isCached: addon.isCached,
    closeOnExec: addon.closeOnExec,
    claimJob: addon.claimJob,
    watchSteps(ms, opening) {
      const watchdog = new addon.StepWatchdog(ms, opening)
      const { record } = watchdog
      if (record === undefined) return EAGAIN
      return {
        record: new Float64Array(record),
        setLimit: (limit) => watchdog.setLimit(limit),
        setName: (number, text, origin) => watchdog.setName(number, text, origin),
        takeReported: () => watchdog.takeReported(),
        close: () => watchdog.close()
      }
    }
  }
}
