/**
 * What TypeScript and C++ share: bit values, record layout, option numbers. Declared once here and once in
 * `native/core/event.h` and `native/core/socket.h`; `assertLayout` compares the two when the addon is loaded.
 */

/** Readiness bits of an event; the first three are also the interests of `Kernel.add`. All are hints: ask the fd. */
export const READABLE = 1 << 0
export const WRITABLE = 1 << 1
export const PRIORITY = 1 << 2
/** The peer has finished, or is gone: reading will not block again. Set together with READABLE. */
export const READ_CLOSED = 1 << 3
/** Writing will fail. Set together with WRITABLE. */
export const WRITE_CLOSED = 1 << 4
export const ERROR = 1 << 5
/** The deadline that the turn asked for has passed. Its slot is CLOCK_SLOT. */
export const CLOCK = 1 << 6
/** A job has ended: EVENT_RESULT is what it returned, >= 0 or a negative error. */
export const COMPLETED = 1 << 7

/** Modes of `Kernel.add`. */
export const EDGE = 0
export const ONE_SHOT = 1

/** Slots the kernel keeps for itself; the library's own begin at FIRST_SLOT. */
export const CLOCK_SLOT = 0
export const WAKE_SLOT = 1
export const FIRST_SLOT = 2

/** An event record is four 32-bit integers. */
export const EVENT_INTS = 4
export const EVENT_SLOT = 0
export const EVENT_GENERATION = 1
export const EVENT_READINESS = 2
export const EVENT_RESULT = 3
/** 16 KiB of events. More are reported by the next turn: too small costs a turn, never an event. */
export const BATCH_CAPACITY = 1024

/**
 * The native batch is preceded by CONTROL_INTS integers: DISPATCHING is 1 while C++ is inside a turn or the microtasks
 * after it; REQUESTED is set by TypeScript to have the turn called once more before C++ returns to the host loop.
 */
export const CONTROL_INTS = 4
export const CONTROL_DISPATCHING = 0
export const CONTROL_REQUESTED = 1

/**
 * The record of `Kernel.watchSteps`, of doubles. WHOSE: a name's number times NAME_FACTOR, and a task's id; 0 = in no step.
 * NUMBER: another one for each step. REPORTED is written by the other thread: not 0 = a step was reported. DEBUGGED: not 0
 * = this thread may be standing at a breakpoint, and is reported only if it computes.
 */
export const STEP_WHOSE = 0
export const STEP_NUMBER = 1
export const STEP_REPORTED = 2
export const STEP_DEBUGGED = 3
export const STEP_NAME_FACTOR = 2 ** 32

/** Kinds of blocking jobs. See `Job` in `kernel.ts`. */
export const JobKind = {
  FSTAT: 0,
  LOOKUP: 1,
  REVERSE: 2,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  STAT: 7,
  SYNC: 8,
  TRUNCATE: 9,
  TRUNCATE_PATH: 10,
  RENAME: 11,
  REMOVE: 12,
  MAKE_DIRECTORY: 13,
  READ_DIRECTORY: 14,
  LOCK: 15,
  COPY: 16,
  READ_FILE: 17,
  WRITE_FILE: 18,
  WAIT_PROCESS: 19
} as const
/** How many numbers a job of FSTAT finds. */
export const FSTAT_NUMBERS = 13
/** A job that opens has not happened, because it may wait for whoever is at the other end: it wants `waits`. */
export const JOB_MAY_WAIT = 1 << 30
/** The most bytes that one job reads or writes. */
export const JOB_MOST_BYTES = 1024 * 1024
export const JOB_LANES = 3
/** Numbers of `Kernel.countJobs`: 2, and 3 for each lane. */
export const JOB_COUNTS = 11
/** What of a job that makes several calls has failed. */
export const FILE_CALLS = ['open', 'fstat', 'read', 'write', 'close'] as const
export const Lock = { SHARED: 0, EXCLUSIVE: 1, UNLOCK: 2 } as const

/** `how` of `Kernel.shutdown`. */
export const SHUT_READ = 0
export const SHUT_WRITE = 1

/** `option` of `Kernel.setOption` and `getOption`. */
export const SocketOption = {
  REUSE_ADDRESS: 0,
  REUSE_PORT: 1,
  V6_ONLY: 2,
  NO_DELAY: 3,
  KEEP_ALIVE: 4,
  /** Seconds. */
  KEEP_ALIVE_IDLE: 5,
  /** Seconds. */
  KEEP_ALIVE_INTERVAL: 6,
  KEEP_ALIVE_COUNT: 7,
  SEND_BUFFER: 8,
  RECEIVE_BUFFER: 9,
  /** Seconds to linger in close, 0 = close with a reset, -1 = off. */
  LINGER: 10,
  /** Read only: the pending error as a positive errno, and clears it. */
  ERROR: 11,
  /** The first data go with the connection request, where the server has given a cookie for it. Before `connect`. */
  FAST_OPEN_CONNECT: 12,
  /** `bind` to port 0 leaves the choice of a port to `connect`, which can use one for several peers. */
  BIND_ADDRESS_NO_PORT: 13,
  /** Read only: whether it listens. */
  ACCEPTS_CONNECTIONS: 14
} as const

/** What a message was like besides its bytes: see `Kernel.receiveMessage`. */
export const Message = {
  /** It was longer than the room for it. */
  TRUNCATED: 1 << 0,
  /** Fds came with it that were not wanted, or could not be taken. */
  FDS_LOST: 1 << 1,
  /** There was a message: 0 bytes without this are the end of a seqpacket connection. */
  STAMPED: 1 << 2
} as const
/** Where it stands in the integers that say so; the fds from ABOUT_FDS on. */
export const ABOUT_FLAGS = 0
export const ABOUT_ADDRESS = 1
export const ABOUT_FD_COUNT = 2
export const ABOUT_FDS = 3
/** The most fds that one message can carry. */
export const MAX_FDS_OF_MESSAGE = 253

/** `option` of `Kernel.setDatagramOption`. Booleans are 0 and 1. */
export const DatagramOption = {
  BROADCAST: 0,
  /** Local address, interface, time, TOS and drops with each datagram. */
  INFO: 1,
  /** Datagrams of one sender are handed out in one piece (GRO). */
  COALESCE: 2,
  MULTICAST_HOPS: 3,
  MULTICAST_LOOP: 4,
  /** The index of an interface. */
  MULTICAST_INTERFACE: 5,
  HOPS: 6,
  /** What the network says of datagrams that were sent is kept for `receiveDatagramError`. */
  ERRORS: 7,
  /** Whether it gets what is sent to groups that others on this machine have joined. */
  MULTICAST_ALL: 8
} as const

/** The most datagrams of one call. */
export const DATAGRAMS_MAX = 256
/** Flags of a datagram: there was more than fitted; its TOS is to be used in sending it. */
export const DATAGRAM_TRUNCATED = 1 << 0
export const DATAGRAM_WITH_TOS = 1 << 1

/**
 * The record of a datagram, see `native/core/datagram.h`: RECORD_INTS 32-bit integers, of which those below mean
 * something, and at the bytes RECORD_ADDRESS and RECORD_LOCAL its addresses.
 */
export const RECORD_INTS = 72
export const RECORD_LENGTH = 0
/** 0: from nobody; for sending: to the connected peer. */
export const RECORD_ADDRESS_LENGTH = 1
export const RECORD_FLAGS = 2
/** More than 0: the data are several datagrams of so many bytes, the last one of what is left. */
export const RECORD_SEGMENT = 3
/** -1: not known. */
export const RECORD_TOS = 4
export const RECORD_INTERFACE = 5
/** Unsigned, as are the next two. */
export const RECORD_DROPPED = 6
export const RECORD_SECONDS = 7
export const RECORD_NANOSECONDS = 8
export const RECORD_LOCAL_LENGTH = 9
/** What has become of a datagram that was sent: 0 or -errno. TypeScript's own. */
export const RECORD_RESULT = 10
/**
 * Of what `receiveDatagramError` has received: an errno; who has said so, SO_EE_ORIGIN_* of Linux: 1 the machine itself, 2
 * ICMP, 3 ICMPv6; type and code of the message; and what goes with them.
 */
export const RECORD_ERROR = 11
export const RECORD_ERROR_ORIGIN = 12
export const RECORD_ERROR_TYPE = 13
export const RECORD_ERROR_CODE = 14
export const RECORD_ERROR_INFO = 15
/** In bytes, as is the next. */
export const RECORD_ADDRESS = 64
export const RECORD_LOCAL = 192

/** The values both sides must agree on, under the names the addon exports them by. */
export const LAYOUT: Readonly<Record<string, number>> = {
  READABLE,
  WRITABLE,
  PRIORITY,
  READ_CLOSED,
  WRITE_CLOSED,
  ERROR,
  CLOCK,
  COMPLETED,
  FSTAT_NUMBERS,
  JOB_MAY_WAIT,
  JOB_MOST_BYTES,
  JOB_LANES,
  JOB_COUNTS,
  LOCK_SHARED: Lock.SHARED,
  LOCK_EXCLUSIVE: Lock.EXCLUSIVE,
  LOCK_UNLOCK: Lock.UNLOCK,
  ...Object.fromEntries(Object.entries(JobKind).map(([name, value]) => [`JOB_${name}`, value])),
  EDGE,
  ONE_SHOT,
  CLOCK_SLOT,
  WAKE_SLOT,
  FIRST_SLOT,
  EVENT_INTS,
  EVENT_SLOT,
  EVENT_GENERATION,
  EVENT_READINESS,
  EVENT_RESULT,
  BATCH_CAPACITY,
  CONTROL_INTS,
  CONTROL_DISPATCHING,
  CONTROL_REQUESTED,
  STEP_WHOSE,
  STEP_NUMBER,
  STEP_REPORTED,
  STEP_DEBUGGED,
  STEP_NAME_FACTOR,
  SHUT_READ,
  SHUT_WRITE,
  MESSAGE_TRUNCATED: Message.TRUNCATED,
  MESSAGE_FDS_LOST: Message.FDS_LOST,
  MESSAGE_STAMPED: Message.STAMPED,
  ABOUT_FLAGS,
  ABOUT_ADDRESS,
  ABOUT_FD_COUNT,
  ABOUT_FDS,
  MAX_FDS_OF_MESSAGE,
  DATAGRAMS_MAX,
  DATAGRAM_TRUNCATED,
  DATAGRAM_WITH_TOS,
  RECORD_INTS,
  RECORD_LENGTH,
  RECORD_ADDRESS_LENGTH,
  RECORD_FLAGS,
  RECORD_SEGMENT,
  RECORD_TOS,
  RECORD_INTERFACE,
  RECORD_DROPPED,
  RECORD_SECONDS,
  RECORD_NANOSECONDS,
  RECORD_LOCAL_LENGTH,
  RECORD_RESULT,
  RECORD_ERROR,
  RECORD_ERROR_ORIGIN,
  RECORD_ERROR_TYPE,
  RECORD_ERROR_CODE,
  RECORD_ERROR_INFO,
  RECORD_ADDRESS,
  RECORD_LOCAL,
  ...Object.fromEntries(Object.entries(DatagramOption).map(([name, value]) => [`DATAGRAM_${name}`, value])),
  ...Object.fromEntries(Object.entries(SocketOption).map(([name, value]) => [`OPTION_${name}`, value]))
}

/** Throws if the addon was built from other sources than these. */
export function assertLayout(theirs: Readonly<Record<string, number>>): void {
  const names = new Set([...Object.keys(LAYOUT), ...Object.keys(theirs)])
  const differing = [...names].filter((name) => LAYOUT[name] !== theirs[name])
  if (differing.length > 0) {
    const list = differing.map((name) => `${name}: ${LAYOUT[name]} here, ${theirs[name]} in the addon`).join('; ')
    throw new Error(`coreactor: the native addon was built from other sources (${list}); run "npm run build"`)
  }
}
