/**
 * The whole operating system, as the library sees it: readiness, sockets, the clock and entropy.
 *
 * Nothing else in `lib/` loads the addon, reads a clock or draws a random number. `native.ts` is the real one;
 * `testing/memory-kernel.ts` is one that lives in memory. Who waits, for how long, and what an errno means is decided
 * above this line; a kernel makes the call and returns a number.
 *
 * Every call that can fail returns a number: >= 0 on success, `-errno` (Linux numbering on Linux) on failure. None throws
 * for a failed system call, and none blocks. `native.ts` makes a call again that a signal has interrupted; another kernel may
 * answer EINTR, and then who has called does so.
 */

/** One record of {@link Kernel.events}: `EVENT_INTS` consecutive 32-bit integers. See `layout.ts` for their order. */
export type Events = Int32Array

/**
 * Called by the kernel whenever something may have happened: `count` records of {@link Kernel.events} are valid until it
 * returns. Returns when it wants to be called again if nothing happens before: a time of {@link Kernel.now}'s clock in
 * milliseconds, 0 = as soon as the host loop has had its turn, Infinity = only for an event. It never throws.
 */
export type Turn = (count: number) => number

export type Family = 'IPv4' | 'IPv6'

/** What a socket is made of; a number is one of this system (`AF_NETLINK`, a protocol). */
export type SocketFamily = Family | 'Unix' | number
export type SocketType = 'stream' | 'datagram' | 'seqpacket' | 'raw' | number

/** A numeric socket address, in the shape of Node's `net.AddressInfo`. */
export interface SocketAddress {
  readonly family: Family
  readonly address: string
  /** 0 to 65535. */
  readonly port: number
}

/** The address of a Unix socket. */
export interface UnixAddress {
  readonly family: 'Unix'
  /** A path; on Linux also an abstract name, which begins with a NUL; empty for a socket without a name. */
  readonly path: string
}

/** The address of a socket of any of the families; `family` says which. */
export type AnyAddress = SocketAddress | UnixAddress

/** A path as the system takes it: text as UTF-8, or bytes. */
export type PathBytes = string | Uint8Array

/**
 * A blocking call, for a thread of the pool to make. `position` -1 is the file's own place, which moves. With `waits` the
 * call is one that may wait for another task or process. Without it, opening what is no regular file has not happened and
 * answers JOB_MAY_WAIT.
 */
export type Job =
  /** Result: FSTAT_NUMBERS numbers, see `takeResult`. */
  | { readonly kind: 'fstat'; readonly fd: number }
  | { readonly kind: 'stat'; readonly path: PathBytes; readonly follow: boolean }
  /** By the system's resolver; `family` 0 is any, `flags` are `AI_*`. Result: an array of addresses, none twice. */
  | { readonly kind: 'lookup'; readonly host: string; readonly family: 0 | 4 | 6; readonly flags: number }
  /** The name of an address and of a port, or the number of what has none. Result: both, as strings. */
  | { readonly kind: 'reverse'; readonly address: string; readonly port: number }
  /** Result: the fd, close-on-exec. */
  | { readonly kind: 'open'; readonly path: PathBytes; readonly flags: number; readonly mode: number; readonly waits: boolean }
  /** The fd is the job's own from here on, and is closed although the job is cancelled. */
  | { readonly kind: 'close'; readonly fd: number }
  /** At most JOB_MOST_BYTES, with one system call. Result: all in a Buffer, or, of `into`, how many found room. */
  | { readonly kind: 'read'; readonly fd: number; readonly length: number; readonly position: number; readonly waits: boolean }
  /** All chunks one after the other, of which a copy is made now, with one system call that may take fewer bytes. */
  | { readonly kind: 'write'; readonly fd: number; readonly chunks: readonly Uint8Array[]; readonly position: number; readonly waits: boolean }
  | { readonly kind: 'sync'; readonly fd: number; readonly dataOnly: boolean }
  | { readonly kind: 'truncate'; readonly fd: number; readonly length: number }
  | { readonly kind: 'truncatePath'; readonly path: PathBytes; readonly length: number }
  | { readonly kind: 'rename'; readonly path: PathBytes; readonly to: PathBytes }
  | { readonly kind: 'remove'; readonly path: PathBytes; readonly directory: boolean }
  /** With `parents` what is missing on the way, too, and what is there already is no error. */
  | { readonly kind: 'makeDirectory'; readonly path: PathBytes; readonly mode: number; readonly parents: boolean }
  /** Result: a name and the bits of S_IFMT, in turn. */
  | { readonly kind: 'readDirectory'; readonly path: PathBytes }
  /** `how` is one of `Lock` in `layout.ts`. EAGAIN at once while another has the lock. */
  | { readonly kind: 'lock'; readonly fd: number; readonly how: number }
  /** Moves at most `length` bytes from one file's place to the other's: how many, 0 = the end. */
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number }
  /** The first `most` bytes. Result: what of `FILE_CALLS` has failed, a Buffer, and an fd if there is more, or -1. */
  | { readonly kind: 'readFile'; readonly path: PathBytes; readonly flags: number; readonly most: number; readonly waits: boolean }
  /** Result: what of `FILE_CALLS` has failed. */
  | {
      readonly kind: 'writeFile'
      readonly path: PathBytes
      readonly flags: number
      readonly mode: number
      readonly chunks: readonly Uint8Array[]
      readonly waits: boolean
    }
  /** Waits until a child has ended, and leaves it; `pid` 0 is any. Its number. */
  | { readonly kind: 'waitProcess'; readonly pid: number }
  /** A token of `claimJob`. Result: what the addon that has made it says. */
  | { readonly kind: 'native'; readonly job: object }

/** What to change of the pool, which is the process's, except for `queue`, which is this kernel's. -1 leaves it. */
export interface JobLimits {
  /** Jobs of each lane that run at a time: those that end by themselves, lookups, and those that wait for others. */
  readonly files: number
  readonly lookups: number
  readonly waits: number
  /** Milliseconds after which a thread without work ends. */
  readonly idle: number
  /** Jobs of this kernel that have not ended. */
  readonly queue: number
}

/** A job of this kernel that has not ended: what it is, for how many milliseconds it has been running (-1: queued). */
export type JobReport = readonly [what: string, milliseconds: number, abandoned: boolean]

/** Who is on the other side of a Unix connection: as it was when they called `connect`, or `listen`. */
export interface PeerCredentials {
  /** May be another process by now: it may have ended, and its number been given again. Authorise by `uid`. */
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** What an fd stands for. */
export type FdDescription =
  | { readonly is: 'file' | 'directory' | 'pipe' | 'character device' | 'block device' | 'other' }
  | {
      readonly is: 'socket'
      readonly family: SocketFamily
      readonly type: SocketType
      readonly accepts: boolean
      readonly connected: boolean
    }

/** The file that a Unix socket is found by. */
export interface SocketFile {
  /** No two files have the same at a time. */
  readonly identity: string
  readonly mode: number
  readonly isSocket: boolean
  /** Of the user that this process acts for. */
  readonly isOwn: boolean
}

/** How the system's own headers call and number its options, and where the numbers of TCP_INFO lie. */
export interface OptionTables {
  readonly options: Readonly<Record<string, { readonly level: number; readonly name: number }>>
  readonly tcpStates: readonly string[]
  readonly tcpInfo: readonly {
    readonly name: string
    readonly offset: number
    readonly bytes: number
    readonly firstBit: number
    /** 0: all bits of its bytes. */
    readonly bits: number
  }[]
}

/** The watch that a thread of the system's keeps on this one: see `Kernel.watchSteps`. */
export interface WatchedSteps {
  /** Four numbers, STEP_* in `layout.ts`. */
  readonly record: Float64Array
  setLimit(ms: number): void
  /** What `number`, from 1 to 65535, stands for in reports; `origin` is any number of lines, or empty. */
  setName(number: number, text: string, origin: string): void
  /** Of the step that was reported last: whose it was, its milliseconds, and how many of them this thread has computed. */
  takeReported(): readonly [whose: number, ms: number, cpuMs: number]
  close(): void
}

export interface Kernel {
  /** The batch of the current turn. One array for the kernel's life; no object is made per event. */
  readonly events: Events

  // The turn -----------------------------------------------------------------------------------------------------

  /** Starts calling `turn`. Once per kernel. */
  open(turn: Turn): void
  /** Stops calling `turn` and frees what `open` took. Registered fds are neither removed nor closed. Idempotent. */
  close(): void
  /** Asks for a turn soon although no event is due. Inside a turn, or in the microtasks that follow one: right after. */
  requestTurn(): void
  /** Keeps the process (the worker) alive until `unref`. Not counted: the last call wins. */
  ref(): void
  unref(): void

  // Readiness ----------------------------------------------------------------------------------------------------

  /**
   * Watches `fd`, in the directions `interest` (`READABLE`, `WRITABLE`, `PRIORITY`), reporting `(slot, generation)`.
   * `EDGE`: on each change for the fd's life, and at once if it is ready already. `ONE_SHOT`: once, and not again until it
   * is removed and added again.
   * Fails with EPERM where the kind of file cannot be watched, and with EEXIST where it is being watched.
   */
  add(fd: number, interest: number, mode: number, slot: number, generation: number): number
  /**
   * Forgets `fd`; call it before closing an fd of which there may be a duplicate. Not being watched is success. EBADF:
   * somebody else has closed it.
   */
  remove(fd: number): number

  // Blocking jobs, in threads ------------------------------------------------------------------------------------

  /**
   * Has a thread make a blocking call. Its end is an event of `COMPLETED` for `(slot, generation)`, whose result is >= 0,
   * `-errno`, or below -3000 an error of the resolver under libuv's number. Lookups, jobs that wait for others, and the
   * rest each have a limit of their own for how many run at a time. Gives the job's id; EAGAIN when too many of this
   * kernel's have not ended.
   */
  submit(job: Job, slot: number, generation: number): number
  /**
   * Takes a job that has not been begun out of the queue: 1, and no event will come. One that has been begun goes on: 0,
   * and the event will come; with `abandon` it is forgotten, 1, and what it finds is freed.
   */
  cancelJob(id: number, abandon: boolean): number
  /** What a job that has succeeded has found, once; numbers are written into `into`, which is given back then. */
  takeResult(id: number, into?: Float64Array | readonly Uint8Array[]): unknown
  configureJobs(limits: JobLimits): number
  /** JOB_COUNTS integers, of the whole process: threads, idle ones; of each lane queued, running, and its limit. */
  countJobs(into: Int32Array): number
  listJobs(): readonly JobReport[]
  /** Closes an fd that jobs may use: when the last one that runs has ended. */
  closeAfterJobs(fd: number): number

  // Processes ----------------------------------------------------------------------------------------------------

  /** An fd that is readable when the process has ended; -ENOSYS where there is none. */
  openProcess(pid: number): number
  /** Whether a child has ended (0 = any): 0, or 1 and its number, its status or signal, and 1 if it was a signal. */
  hasEnded(pid: number, reap: number, into: Int32Array): number

  /** The name of a job that another addon has made, once; -EALREADY after that, -EINVAL for what is none. */
  claimJob(job: object): string | number

  // Clock and entropy --------------------------------------------------------------------------------------------

  /** Monotonic milliseconds, with fractions. Its zero is arbitrary. */
  now(): number
  /** A random unsigned 32-bit integer. */
  entropy(): number

  // Memory -------------------------------------------------------------------------------------------------------

  /**
   * Frees the memory below `bytes` at once, which the garbage collector would do some time; every view of it has no bytes then.
   * -EINVAL, and nothing has happened, if it is a part of a larger one or cannot be detached.
   */
  freeMemory(bytes: Uint8Array): number

  // Sockets: all non-blocking and close-on-exec ------------------------------------------------------------------

  /** A new socket's fd; a stream of the family's usual protocol unless it is said. */
  socket(family: SocketFamily, type?: SocketType, protocol?: number): number
  /** Addresses are objects, or bytes of `encodeAddress`, or of the system's own making. */
  bind(fd: number, address: AnyAddress | Uint8Array): number
  listen(fd: number, backlog: number): number
  /** 0, or -EINPROGRESS: writable means finished, and option `ERROR` says how. */
  connect(fd: number, address: AnyAddress | Uint8Array): number
  /** The accepted connection's fd. */
  accept(fd: number): number
  /** The bytes of a socket address, as the system takes them. -EINVAL for what is none, -ENAMETOOLONG for a long path. */
  encodeAddress(address: AnyAddress): Uint8Array | number
  /** What the bytes `[offset, offset + length)` say; -EAFNOSUPPORT for a family that is not named here. */
  decodeAddress(bytes: Uint8Array, offset: number, length: number): AnyAddress | number
  localAddress(fd: number): AnyAddress | number
  remoteAddress(fd: number): AnyAddress | number
  /** `option` is one of `SocketOption` in `layout.ts`. Booleans are 0 and 1; LINGER is in seconds, -1 = off. */
  setOption(fd: number, option: number, value: number): number
  getOption(fd: number, option: number): number
  /** Bytes received into `into[offset, offset + length)`; 0 = the peer has finished. */
  receive(fd: number, into: Uint8Array, offset: number, length: number): number
  /** Bytes of `from[offset, offset + length)` taken. Never raises SIGPIPE. */
  send(fd: number, from: Uint8Array, offset: number, length: number): number
  /** Bytes taken of all `chunks` in order, of which the first `skip` bytes of `chunks[0]` are left out. One call. */
  sendVector(fd: number, chunks: readonly Uint8Array[], skip: number): number
  /** `how` is SHUT_READ or SHUT_WRITE of `layout.ts`. */
  shutdown(fd: number, how: number): number
  /**
   * Closes the fd, which ends its being watched if no duplicate lives on. Never retried: the fd is gone whatever this
   * returns.
   */
  closeFd(fd: number): number

  // Datagrams, in batches of 1 to DATAGRAMS_MAX: records and data of the caller's memory, see `layout.ts` -----------------

  /**
   * Datagrams received, at least one, into records `[first, first + count)`; the data of the i-th are at `i * size`. An
   * error after the first is told by the next call.
   */
  receiveDatagrams(fd: number, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number
  /** How many of the records `[first, first + count)` were taken, at least one; or what the first of them failed with. */
  sendDatagrams(fd: number, records: Uint8Array, data: Uint8Array, size: number, first: number, count: number): number
  /**
   * 1: what the network has said of a datagram that was sent is in the first record, with DatagramOption.ERRORS. Its address
   * is where that was to go, its local one who has said so, and its data what came back of it. -EAGAIN: nothing. ERROR of an
   * event says that there may be something.
   */
  receiveDatagramError(fd: number, records: Uint8Array, data: Uint8Array, size: number): number
  /** `option` is one of `DatagramOption` in `layout.ts`. */
  setDatagramOption(fd: number, option: number, value: number): number
  /** `member` is 1 to join a multicast group, 0 to leave it; 0 is the interface of the system's choice. */
  setMembership(fd: number, member: number, group: Uint8Array, interfaceIndex: number, source?: Uint8Array): number
  /** The number of a network interface; -ENODEV where there is none of that name. */
  interfaceIndex(name: string): number

  // Any descriptor: these never block and never change a flag, whoever made the fd ---------------------------------

  /** What is so now of the directions in `interest`, and what is reported unasked: the bits of an event. */
  poll(fd: number, interest: number): number
  /** Bytes read into `into[offset, offset + length)`; 0 = the end; -EAGAIN although the fd may be a blocking one. */
  read(fd: number, into: Uint8Array, offset: number, length: number): number
  /** Bytes of `from[offset, offset + length)` taken; likewise. Never raises SIGPIPE. */
  write(fd: number, from: Uint8Array, offset: number, length: number): number
  /** Bytes taken of all `chunks`, as `sendVector` takes them. */
  writeVector(fd: number, chunks: readonly Uint8Array[], skip: number): number
  /** A new pipe's fds, the end for reading first; non-blocking and close-on-exec, as are those of the next. */
  pipe(): readonly [reader: number, writer: number] | number
  /** Two stream sockets that are connected to each other. */
  socketPair(): readonly [first: number, second: number] | number
  /** From now on the fd is the library's to close, also if this thread ends before it could. */
  takeFd(fd: number): number

  // Unix sockets: messages with fds, and the files they are found by -----------------------------------------------

  /** Sends one message and the fds, which stay the caller's; `to` is bytes of `encodeAddress`, undefined = the peer. */
  sendMessage(fd: number, from: Uint8Array, offset: number, length: number, fds: Int32Array, to?: Uint8Array): number
  /**
   * Receives one message: bytes in `into[offset, offset + length)`. `about` gets its flags (`Message` in `layout.ts`), how
   * many bytes of `from` are the sender's address, and how many fds came; then the fds, if it has room for
   * MAX_FDS_OF_MESSAGE of them. If not, none are taken.
   */
  receiveMessage(fd: number, into: Uint8Array, offset: number, length: number, about: Int32Array, from: Uint8Array): number
  /** Has every message that comes flagged as `STAMPED`. */
  markMessages(fd: number): number
  peerCredentials(fd: number): PeerCredentials | number
  /** What an fd is that somebody else has made. */
  describeFd(fd: number): FdDescription | number
  /** For a socket that was received: changes the description, for all who share it. */
  setNonBlocking(fd: number): number
  /** The fd is the caller's from here on, and outlives the thread that opened it. */
  letGo(fd: number): number
  /** The mode of the file that `bind` will make, as far as the umask allows. */
  setMode(fd: number, mode: number): number
  /** What is at `path` itself; a symbolic link is not followed. */
  socketFile(path: string): SocketFile | number
  /** Changes the mode of the file that was seen as `identity`. */
  setFileMode(path: string, identity: string, mode: number): number
  /** An fd that holds an exclusive lock on a directory until it is closed; -EAGAIN while another holds one. */
  lockDirectory(path: string): number
  unlink(path: string): number

  // Options by the system's own numbers ----------------------------------------------------------------------------

  optionTables(): OptionTables
  setRawOption(fd: number, level: number, name: number, value: Uint8Array): number
  /** How many bytes of `into` the value has. */
  getRawOption(fd: number, level: number, name: number, into: Uint8Array): number

  // From one descriptor to another ---------------------------------------------------------------------------------

  /** A pipe for `splice` from one socket to another, with room for 1 MiB; -errno also where so large a one is not to be had. */
  transferPipe(): readonly [reader: number, writer: number] | number
  /**
   * Moves at most `length` bytes from one to the other, of which one is a pipe, without their coming here: 0 = `from` has
   * ended; -EAGAIN: nothing is there, or no room. -EINVAL or -ENOSYS where that cannot be done. Never raises SIGPIPE.
   */
  splice(from: number, to: number, length: number): number
  /**
   * Sends at most `length` bytes of a regular file, from `offset` on, whatever the place of the file: 0 = it ends there.
   * The one call that may wait, for a disk: see `isCached`. Never raises SIGPIPE.
   */
  sendFile(to: number, file: number, offset: number, length: number): number
  /** 0: reading this part of a file would wait for a disk. 1: it would not, or that is not known. */
  isCached(file: number, offset: number, length: number): number

  // A descriptor that was inherited ------------------------------------------------------------------------------

  /** No child of this process will have it. */
  closeOnExec(fd: number): number

  // This thread, seen from outside -------------------------------------------------------------------------------

  /**
   * Has another thread look at `record`, where this one writes down what it does, until `close`. When it has been in the
   * same step for `ms`, of time in which the process could run, the other says so on standard error: a report that begins
   * with `opening`. -EAGAIN: the system has no thread to give.
   */
  watchSteps(ms: number, opening: string): WatchedSteps | number
}
