/** Accepting for as long as the listener lives, whatever the system is short of meanwhile. */
import { addressText, SystemError } from '../kernel/errno.js'
import { ClosedError } from '../io/errors.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { sleep } from '../time/sleep.js'
import type { AnyAddress } from '../kernel/kernel.js'
import type { AcceptingSocket } from './accepting-socket.js'

/** The system has no fd or no memory for one more connection. It keeps waiting, and so must we: trying again at once spins. */
const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ENOSPC'])

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1000

/**
 * A function that accepts the next connection: null when the listener has been closed. In a shortage it pauses, 100 ms
 * doubling to 1 s, with one warning until accepting works again. Any other system error is thrown.
 */
export function acceptPatiently<C>(listener: AcceptingSocket<C>): () => Op<C | null> {
  let pause = 0

  return () =>
    op(function* () {
      for (;;) {
        try {
          const connection = yield* listener.accept()
          pause = 0
          return connection
        } catch (error) {
          if (error instanceof ClosedError) return null
          if (!(error instanceof SystemError) || !SHORTAGES.has(error.code)) throw error
          if (pause === 0) warn(listener, error)
          pause = Math.min(Math.max(pause * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
        }
        yield* sleep(pause)
      }
    })
}

function warn({ address }: { address: AnyAddress }, error: SystemError): void {
  const where = address.family === 'Unix' ? addressText(address) : `${address.address} port ${address.port}`
  process.emitWarning(`accepting on ${where} pauses: ${error.message}`, {
    type: 'CoreactorWarning',
    code: 'COREACTOR_ACCEPT_PAUSED'
  })
}
