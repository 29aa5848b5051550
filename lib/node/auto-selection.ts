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

export function getAutoSelectFamily(): boolean {
  return autoSelection.on
}

export function setAutoSelectFamily(on: boolean): void {
  if (typeof on !== 'boolean') throw invalidType('value', 'of type boolean', on)
  autoSelection.on = on
}

export function getAttemptTimeout(): number {
  return autoSelection.attemptTimeout
}

export function setAttemptTimeout(ms: number): void {
  checkInteger('value', ms, 1, 0x7fff_ffff)
  autoSelection.attemptTimeout = Math.max(ms, LEAST_ATTEMPT_MS)
}
