/** What can go wrong with a call of a kernel: how a test says it, and which calls can fall short. When it does is for `FaultyKernel`. */
import { errnoOf } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { checkInteger, invalidType, invalidValue, outOfRange } from '../task/validate.js'

/** Calls of a kernel that never fail, or whose failing nobody could act on. */
const UNTOUCHED = [
  'events',
  'open',
  'close',
  'requestTurn',
  'ref',
  'unref',
  'cancelJob',
  'takeResult',
  'watchSteps',
  'claimJob',
  'now',
  'entropy',
  'freeMemory',
  'encodeAddress',
  'decodeAddress'
] as const

/** The calls of a kernel that a fault can be planned for: those that can fail. */
export type FaultyOperation = Exclude<
  { [K in keyof Kernel]: Kernel[K] extends (...args: never[]) => infer R ? (-1 extends R ? K : never) : never }[keyof Kernel],
  (typeof UNTOUCHED)[number]
>

/** What goes wrong with one kind of call, and when. */
export interface Fault {
  /**
   * The name of the error that the call fails with, such as `'ECONNRESET'`; or `'short'`: the call moves only a part of
   * the bytes, or of the datagrams, that it could have, at least one. A single message is never cut: of `sendMessage` and
   * `receiveMessage` only those on byte streams are hit. With `read`, `write`, `receive` and `send` it is for you to know
   * that nothing but streams is read and written.
   */
  readonly fault: string
  /** How many of a hundred calls are hit, at random. Either this or `nth`. */
  readonly percent?: number | undefined
  /** The first call that is hit: 1 is the first there is. */
  readonly nth?: number | undefined
  /** How many calls are hit from the `nth` on; 1 by default, Infinity for all. */
  readonly times?: number | undefined
}

/** What goes wrong with which calls. Of several faults of one call the first in the list that hits is the one. */
export type Faults = { readonly [K in FaultyOperation]?: Fault | readonly Fault[] | undefined }

/** Which argument of a call says how much it may move: bytes, or datagrams. */
export const LENGTH_AT: Readonly<Record<string, number>> = {
  receive: 3,
  read: 3,
  send: 3,
  write: 3,
  sendMessage: 3,
  receiveMessage: 3,
  sendFile: 3,
  splice: 2,
  receiveDatagrams: 5,
  sendDatagrams: 5
}

/** Calls that move the bytes of several buffers. */
export const VECTORS: ReadonlySet<string> = new Set(['sendVector', 'writeVector'])

export function canFail(name: string): boolean {
  return !(UNTOUCHED as readonly string[]).includes(name)
}

/** The faults of one call, checked. `exists`: whether there is such a call. */
export function checkedFaults(name: string, planned: Fault | readonly Fault[], exists: boolean): readonly Fault[] {
  const where = `options.faults.${name}`
  if (!exists || !canFail(name)) throw invalidValue(where, 'is no call that can fail', planned)
  const list = Array.isArray(planned) ? (planned as readonly Fault[]) : [planned as Fault]
  for (const fault of list) checkFault(where, name, fault)
  return list
}

function checkFault(where: string, name: string, planned: Fault): void {
  if (planned === null || typeof planned !== 'object') throw invalidType(where, 'a fault or an array of faults', planned)
  const { fault, percent, nth, times } = planned
  if (typeof fault !== 'string') throw invalidType(`${where}.fault`, 'of type string', fault)
  if (fault === 'short' && !(name in LENGTH_AT) && !VECTORS.has(name)) {
    throw invalidValue(`${where}.fault`, 'is only for calls that move bytes or datagrams', fault)
  }
  if (fault !== 'short' && errnoOf(fault) === undefined) throw invalidValue(`${where}.fault`, 'is no error of this system', fault)
  if ((percent === undefined) === (nth === undefined)) throw invalidValue(where, 'needs either percent or nth', planned)
  if (percent !== undefined) {
    if (typeof percent !== 'number') throw invalidType(`${where}.percent`, 'of type number', percent)
    if (!(percent >= 0 && percent <= 100)) throw outOfRange(`${where}.percent`, '>= 0 && <= 100', percent)
  }
  if (nth !== undefined) checkInteger(`${where}.nth`, nth, 1, Number.MAX_SAFE_INTEGER)
  if (times !== undefined && times !== Infinity) checkInteger(`${where}.times`, times, 1, Number.MAX_SAFE_INTEGER)
}
