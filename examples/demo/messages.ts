/** What the three parts of the demo say to each other: the show, the load (a thread), the hosts (a process each). */

export type ServerName = 'coreactor' | 'node:net'

/** What a host is asked. */
export type Question = 'sample' | 'collect garbage' | 'park coroutines' | 'stop'

/** What a host answers, once it listens and then to each question but the last. */
export interface Sample {
  port: number
  connections: number
  /** Coroutines that exist; 0 where there are none. */
  coroutines: number
  /** Requests executed since the start. */
  requests: number
  /** Microseconds of CPU since the start, all threads of the process. */
  userCpu: number
  systemCpu: number
  residentBytes: number
  /** Milliseconds by which timers were late since the last sample, 99th percentile. */
  loopDelay: number
  /** Heap bytes of one parked coroutine; 0 unless that was the question. */
  parkedBytes: number
}

export interface LoadOrder {
  port: number
  connections: number
  seconds: number
  /** Requests of all connections together, as long as the replies come at once. */
  perSecond: number
}

/** What the load reports. Latencies are in milliseconds. */
export type LoadReport =
  | { kind: 'opened' }
  | { kind: 'warm' }
  | { kind: 'running'; perSecond: number; p99: number }
  | { kind: 'finished'; perSecond: number; p50: number; p99: number }

/** What the load is told. */
export type LoadCommand = 'go' | 'stop'
