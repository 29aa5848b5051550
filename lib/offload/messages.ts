/** What the two sides say to each other. A worker is told of one job at a time. */
import type { Packed } from './values.js'
import type { Thrown } from './thrown.js'

/** The function of a job is exported by a module, or it is this text. */
export type Source = ModuleSource | InlineSource

export interface ModuleSource {
  /** A URL, or the name of a package. */
  readonly module: string
  readonly name: string
  /** The file that names are resolved from. */
  readonly from: string
}

export interface InlineSource {
  readonly inline: string
}

export type ToWorker =
  | { readonly do: 'job'; readonly id: number; readonly source: Source; readonly args: Packed; readonly each: boolean }
  | { readonly do: 'cancel'; readonly id: number; readonly reason: Thrown }
  /** Of a call of the worker's: what it gave, or what it threw. */
  | { readonly do: 'answer'; readonly call: number; readonly result: Packed }
  | { readonly do: 'refuse'; readonly call: number; readonly error: Thrown }
  | { readonly do: 'end' }

export type FromWorker =
  | { readonly did: 'return'; readonly id: number; readonly result: Packed }
  | { readonly did: 'throw'; readonly id: number; readonly error: Thrown; readonly problem: Problem | null }
  /** Calls a function of the caller's: the `to`th of its arguments, or the one that takes what the job gives. */
  | { readonly did: 'call'; readonly id: number; readonly call: number; readonly to: number; readonly args: Packed }

/** `to` of a call to the option `each`. */
export const EACH = -1

/** It was not the job that failed, but what came before or after it. */
export interface Problem {
  readonly code: string
  readonly message: string
}

/** What a worker thread begins with. */
export interface ThreadData {
  /** The port that the messages go over: the thread's own is the module's to use. */
  readonly coreactorPort: import('node:worker_threads').MessagePort
  /** The number of the job that was cancelled, for one that never lets its thread take in a message. */
  readonly cancelled: Int32Array
}
