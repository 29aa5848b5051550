/** The service manager's watchdog: it ends a service that has not said for a while that it is alive. */
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { sleep } from '../time/sleep.js'
import { notify } from './notify.js'

/**
 * Milliseconds within which the service manager wants to hear from this process, from `WatchdogSec=` of the unit; null if
 * it does not, or from another process (WATCHDOG_USEC and WATCHDOG_PID, see sd_watchdog_enabled(3)).
 */
export function watchdogInterval(): number | null {
  const { WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = process.env
  if (microseconds === undefined || !/^\d+$/.test(microseconds) || Number(microseconds) === 0) return null
  if (pid !== undefined && pid !== '' && Number(pid) !== process.pid) return null
  return Number(microseconds) / 1000
}

/**
 * Tells the service manager that the process is alive, twice per interval of its watchdog, until cancelled; completes at
 * once if nobody asks. It shows that turns are taken: a process whose thread hangs is silent, and is ended.
 * Errors: those of `notify`.
 *
 * @example
 * const alive = spawn(watchdog)
 * yield* serve({ port: 7000 }, talk)
 * alive.cancel()
 */
export function watchdog(): Op<void> {
  return op(function* () {
    const interval = watchdogInterval()
    if (interval === null) return
    while (yield* notify({ WATCHDOG: 1 })) yield* sleep(interval / 2)
  })
}
