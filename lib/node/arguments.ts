/** The many ways in which `connect` and `listen` may be called, as one: options and a callback. */
import type { BlockList, LookupFunction } from 'node:net'
import { missingArguments } from './errors.js'

export type Callback0 = () => void

/** Where `connect` connects to: a port, or the path of a Unix socket. As Node's `net.NetConnectOpts`. */
export interface ConnectOptions {
  port?: number | string | undefined
  host?: string | undefined
  path?: string | undefined
  localAddress?: string | undefined
  localPort?: number | undefined
  family?: number | string | undefined
  hints?: number | undefined
  lookup?: LookupFunction | undefined
  autoSelectFamily?: boolean | undefined
  /** Milliseconds. */
  autoSelectFamilyAttemptTimeout?: number | undefined
  timeout?: number | undefined
  blockList?: BlockList | undefined
}

/** (options, callback?), (path, callback?), (port?, host?, …, callback?). */
export function normalized(args: readonly unknown[]): [options: Record<string, unknown>, callback: Callback0 | null] {
  if (args.length === 0) return [{}, null]
  const [first, second] = args
  let options: Record<string, unknown> = {}
  if (typeof first === 'object' && first !== null) {
    options = first as Record<string, unknown>
  } else if (isPath(first)) {
    options['path'] = first
  } else {
    options['port'] = first
    if (args.length > 1 && typeof second === 'string') options['host'] = second
  }
  const last = args[args.length - 1]
  return [options, typeof last === 'function' ? (last as Callback0) : null]
}

/** What Node's own `http.Agent` and `tls` hand on has been normalized already: a pair in an array. */
export function connectArguments(args: readonly unknown[]): [options: ConnectOptions, connected: Callback0 | null] {
  const [options, callback] = Array.isArray(args[0]) ? (args[0] as [ConnectOptions, Callback0 | null]) : normalized(args)
  if (options.port === undefined && (options.path === undefined || options.path === null)) throw missingArguments()
  return [options, callback]
}

export function isPath(value: unknown): value is string {
  return typeof value === 'string' && toNumber(value) === false
}

/** False for what is no number, or a negative one. */
export function toNumber(value: unknown): number | false {
  const number = Number(value)
  return number >= 0 ? number : false
}
