/** Accepting for as long as the listener lives, whatever the system is short of meanwhile. */
import { addressText, SystemError } from '../kernel/errno.js'
import type { AnyAddress } from '../kernel/kernel.js'
import { ClosedError } from '../io/errors.js'
import { op } from '../task/op.js'
import type { Coroutine, Op, Waiter } from '../task/types.js'
import { sleep } from '../time/sleep.js'
import type { AcceptingSocket } from './accepting-socket.js'

/** What may hold back an acceptor although connections wait. */
export interface Gate {
  /** Nothing is to be accepted. */
  readonly full: boolean
  /** Has `waiter` woken when it is not full any more. */
  await(waiter: Waiter): void
  leave(waiter: Waiter): void
}

/** For whom connections are accepted. */
export interface Host<C> extends Gate {
  accepted(connection: C): void
  /** Accepting pauses for want of something, or has ended to do so. */
  shortage(paused: boolean): void
}

/** Where somebody listens, for the warning. */
interface Listening {
  readonly address: AnyAddress
}

/** The system has no fd or no memory for one more connection. It keeps waiting, and so must we: trying again at once spins. */
const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ENOSPC'])

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1000

/** How long to wait in a shortage: 100 ms doubling to 1 s, with one warning until accepting works again. */
export class Patience {
  private readonly listener: Listening
  private pause = 0

  constructor(listener: Listening) {
    this.listener = listener
  }

  /** Whether the last attempt has met a shortage. */
  get paused(): boolean {
    return this.pause > 0
  }

  /** Accepting works. */
  end(): void {
    this.pause = 0
  }

  /** Milliseconds to wait; throws an error that is no shortage. */
  after(error: unknown): number {
    if (!(error instanceof SystemError) || !SHORTAGES.has(error.code)) throw error
    if (this.pause === 0) warn(this.listener, error)
    this.pause = Math.min(Math.max(this.pause * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
    return this.pause
  }
}

/**
 * A function that accepts the next connection: null when the listener has been closed. In a shortage it pauses. Any other
 * system error is thrown.
 */
export function acceptPatiently<C>(listener: AcceptingSocket<C>): () => Op<C | null> {
  const patience = new Patience(listener)

  return () =>
    op(function* () {
      for (;;) {
        try {
          const connection = yield* listener.accept()
          patience.end()
          return connection
        } catch (error) {
          if (error instanceof ClosedError) return null
          yield* sleep(patience.after(error))
        }
      }
    })
}

/** Accepts for `host` until the listener is closed: the same, in one coroutine for all connections. */
export function* acceptFor<C>(host: Host<C>, listener: AcceptingSocket<C>): Coroutine<void> {
  const patience = new Patience(listener)
  try {
    for (;;) {
      try {
        const connection = yield* listener.acceptThrough(host)
        if (patience.paused) host.shortage(false)
        patience.end()
        host.accepted(connection)
      } catch (error) {
        if (error instanceof ClosedError) return
        const first = !patience.paused
        const ms = patience.after(error)
        if (first) host.shortage(true)
        yield* sleep(ms)
      }
    }
  } finally {
    if (patience.paused) host.shortage(false)
  }
}

function warn({ address }: Listening, error: SystemError): void {
  const where = address.family === 'Unix' ? addressText(address) : `${address.address} port ${address.port}`
  process.emitWarning(`accepting on ${where} pauses: ${error.message}`, {
    type: 'CoreactorWarning',
    code: 'COREACTOR_ACCEPT_PAUSED'
  })
}
