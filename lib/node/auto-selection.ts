/** Whether `connect` tries several addresses, and how long each, unless it is told: for this thread, as Node has it. */
import { getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout } from 'node:net'
import { checkInteger, invalidType } from '../task/validate.js'

/** Shorter attempts are of no use. */
export const LEAST_ATTEMPT_MS = 10

/** What the command line of Node says, at first. */
export const autoSelection = {
  on: getDefaultAutoSelectFamily(),
  /** Milliseconds. */
  attemptTimeout: getDefaultAutoSelectFamilyAttemptTimeout()
}

/** Whether `connect` tries several addresses of a name unless it is told. As `net.getDefaultAutoSelectFamily` of Node. */
export function getAutoSelectFamily(): boolean {
  return autoSelection.on
}

/**
 * Says whether `connect` tries several addresses of a name unless it is told; for this thread. Throws
 * `ERR_INVALID_ARG_TYPE` for what is no boolean. As `net.setDefaultAutoSelectFamily` of Node.
 */
export function setAutoSelectFamily(on: boolean): void {
  if (typeof on !== 'boolean') throw invalidType('value', 'of type boolean', on)
  autoSelection.on = on
}

/** Milliseconds that `connect` gives an address before it tries the next, too. As in Node. */
export function getAttemptTimeout(): number {
  return autoSelection.attemptTimeout
}

/**
 * Says how many milliseconds `connect` gives an address before it tries the next, too, unless it is told; 10 at least, for
 * this thread. Throws `ERR_OUT_OF_RANGE` for less than 1. As `net.setDefaultAutoSelectFamilyAttemptTimeout` of Node.
 */
export function setAttemptTimeout(ms: number): void {
  checkInteger('value', ms, 1, 0x7fff_ffff)
  autoSelection.attemptTimeout = Math.max(ms, LEAST_ATTEMPT_MS)
}
