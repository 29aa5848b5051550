/**
 * When a server gives up on a connection. Knows the limits and what has moved; what becomes of the connection and of its
 * handler is for `serve.ts`.
 *
 * There is one deadline for each connection, and nothing is noted when bytes come or go: the counts of the stream are
 * looked at when the deadline fires, which then is armed again for the next moment at which one of the limits could be
 * broken.
 */
import type { Stream } from '../io/stream.js'
import { CoreactorError } from '../task/errors.js'
import { checkInteger, checkMilliseconds, invalidType, outOfRange } from '../task/validate.js'
import type { Deadline } from '../time/deadlines.js'
import type { Timers } from '../time/timers.js'

/** Milliseconds that a connection may take; no limit where none is given. */
export interface ConnectionTimeouts {
  /** For everything, from being accepted to being closed. */
  connection?: number | undefined
  /**
   * Without a byte received or sent. Noticed within a quarter of it more: the counts are looked at four times in so long.
   * What the handler does not read does not count as received.
   */
  idle?: number | undefined
  /** Until the first byte has been received. */
  firstByte?: number | undefined
}

/** Whom to take for a slow client. */
export interface MinimumRate {
  /** Received and sent together. */
  bytes: number
  /** Milliseconds. */
  per: number
}

/** Which limit an evicted connection has broken. */
export type EvictionLimit = 'connection' | 'idle' | 'firstByte' | 'minRate'

/** The reason with which the handler of an evicted connection is cancelled: `Cancelled.reason`. */
export class ConnectionEvictedError extends CoreactorError {
  readonly limit: EvictionLimit

  constructor(limit: EvictionLimit) {
    super('ERR_COREACTOR_EVICTED', `the connection was evicted: ${BROKEN[limit]}`)
    this.limit = limit
  }
}

const BROKEN: Readonly<Record<EvictionLimit, string>> = {
  connection: 'it was open for too long',
  idle: 'nothing came or went for too long',
  firstByte: 'its first byte did not come in time',
  minRate: 'it was too slow'
}

/** All of them; Infinity where there is none. */
export interface EvictionLimits extends Readonly<Record<'connection' | 'idle' | 'firstByte' | 'bytes' | 'per', number>> {}

/** Checks the options of a server. Null: nobody is evicted. */
export function evictionLimits(timeouts: ConnectionTimeouts = {}, minRate?: MinimumRate): EvictionLimits | null {
  if (timeouts === null || typeof timeouts !== 'object') throw invalidType('options.timeouts', 'an object', timeouts)
  const { connection = Infinity, idle = Infinity, firstByte = Infinity } = timeouts
  for (const [name, ms] of Object.entries({ connection, idle, firstByte })) checkSpan(`options.timeouts.${name}`, ms)
  let bytes = 0
  let per = Infinity
  if (minRate !== undefined) {
    if (minRate === null || typeof minRate !== 'object') throw invalidType('options.minRate', 'an object', minRate)
    ;({ bytes, per } = minRate)
    checkInteger('options.minRate.bytes', bytes, 1, Number.MAX_SAFE_INTEGER)
    checkSpan('options.minRate.per', per)
  }
  const limits = { connection, idle, firstByte, bytes, per }
  return Math.min(connection, idle, firstByte, per) === Infinity ? null : limits
}

function checkSpan(name: string, ms: number): void {
  checkMilliseconds(name, ms)
  if (ms <= 0) throw outOfRange(name, 'a number of milliseconds > 0', ms)
}

/** How often in the idle time it is looked whether anything has moved. */
const IDLE_CHECKS = 4

/**
 * Windows in which something moved, but too little, that end a connection; one in which enough did makes up for all before
 * it. A window begins at any moment of the conversation, so that one alone may see just the edge of an exchange.
 */
const SLOW_WINDOWS = 2

export class Eviction implements Deadline {
  index = -1
  private readonly limits: EvictionLimits
  private readonly stream: Stream
  private readonly timers: Timers
  private readonly evict: (limit: EvictionLimit) => void
  private readonly begun: number
  /** What had moved when it was looked at last. */
  private seen = 0
  /** Since when nothing has, as far as has been seen. */
  private quietSince: number
  private idleCheck: number
  /** What had moved when the window of the rate began. */
  private before = 0
  private windowEnd: number
  private slowWindows = 0

  /** Begins at once. `evict` is called at most once, outside any task. */
  constructor(limits: EvictionLimits, stream: Stream, timers: Timers, evict: (limit: EvictionLimit) => void) {
    this.limits = limits
    this.stream = stream
    this.timers = timers
    this.evict = evict
    const now = timers.now()
    this.begun = this.quietSince = now
    this.idleCheck = now + limits.idle / IDLE_CHECKS
    this.windowEnd = now + limits.per
    timers.start(this, this.next())
  }

  stop(): void {
    this.timers.stop(this)
  }

  fire(): void {
    const broken = this.broken(this.timers.now())
    if (broken === null) this.timers.start(this, this.next())
    else this.evict(broken)
  }

  private broken(now: number): EvictionLimit | null {
    const { limits, stream } = this
    const { bytesRead } = stream
    const moved = bytesRead + stream.bytesWritten
    if (now >= this.begun + limits.connection) return 'connection'
    if (bytesRead === 0 && now >= this.begun + limits.firstByte) return 'firstByte'
    if (now >= this.idleCheck && this.isIdle(now, moved)) return 'idle'
    if (now >= this.windowEnd && this.isSlow(now, moved)) return 'minRate'
    return null
  }

  private isIdle(now: number, moved: number): boolean {
    if (moved !== this.seen) {
      this.seen = moved
      this.quietSince = now
    } else if (now >= this.quietSince + this.limits.idle) {
      return true
    }
    this.idleCheck = now + this.limits.idle / IDLE_CHECKS
    return false
  }

  private isSlow(now: number, moved: number): boolean {
    const bytes = moved - this.before
    if (bytes >= this.limits.bytes) this.slowWindows = 0
    // In silence nobody is slow: that is for the idle time.
    else if (bytes > 0 && ++this.slowWindows === SLOW_WINDOWS) return true
    this.before = moved
    this.windowEnd = now + this.limits.per
    return false
  }

  /** When one of the limits could be broken next. */
  private next(): number {
    const { begun, limits, stream } = this
    const firstByte = stream.bytesRead === 0 ? begun + limits.firstByte : Infinity
    return Math.min(begun + limits.connection, firstByte, this.idleCheck, this.windowEnd)
  }
}
