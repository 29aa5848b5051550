/** The calls that block, under one name. */
import { fstat } from './fstat.js'
import { lookup, lookupService } from './lookup.js'

/**
 * Calls that block, made by C++ threads of the library's own: at most 8, for all environments of the process, started
 * when they are needed. A call that is queued when it is cancelled has not happened. One that has been begun is not
 * interrupted: its task stays parked until it has ended, and then sees the cancellation; with `{ abandon: true }` it is
 * let go of at once, and its result is discarded. The process stays alive while somebody waits for a call.
 */
export const blocking = { fstat, lookup, lookupService } as const
