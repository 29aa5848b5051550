/**
 * What becomes of one connection of a server: its PROXY header is read, its handler runs, it is closed. The server has
 * the rest: who is accepted, what is counted, when they are all told to end.
 */
import { delegate } from '../task/enter-scope.js'
import { Cancelled } from '../task/errors.js'
import type { Steps, Task } from '../task/task.js'
import type { Body, Op, Parked, Signal } from '../task/types.js'
import type { Connection } from './connection.js'
import type { Eviction, EvictionLimit } from './eviction.js'
import type { ReceiveProxy } from './proxy-protocol.js'

/** How a handler has ended. */
export type Ending = 'completed' | 'failed' | 'cancelled'

/** What a server tells each of its connections, and hears of them. */
export interface ServedBy {
  readonly handler: Body<[Connection], void>
  readonly closing: { linger: number } | undefined
  readonly receiveProxy: ReceiveProxy | null
  /** Asked when the header has said whose it is; false: it is not to be handled, and has been reset. */
  admits(served: Served): boolean
  failed(error: unknown, connection: Connection): void
  /** Everything is over; the connection may still be open. */
  release(served: Served, ending: Ending): void
}

const HEADER = 0
const HANDLER = 1
const CLOSE = 2

/**
 * The steps of a connection's task: those of its header, its handler and its close, one after the other. A generator that
 * delegates to them would say the same in fewer lines, and cost each connection 160 bytes and each resumption of a handler
 * another frame.
 */
export class Served implements Steps {
  readonly connection: Connection
  /** What `perAddressLimit` counts by, once it has been counted; null: it was one too many. */
  peer: string | null | undefined = undefined
  private readonly server: ServedBy
  /** Set when it has been spawned. */
  task: Task<void> | null = null
  eviction: Eviction | null = null
  evicted: EvictionLimit | null = null
  /** Neighbours in the server's list of what is open. */
  newer: Served | null = null
  older: Served | null = null
  private stage = HEADER
  /** What the stage runs; null before the first. */
  private steps: Steps | null = null

  constructor(connection: Connection, server: ServedBy) {
    this.connection = connection
    this.server = server
  }

  next(signal?: Signal): IteratorResult<unknown, void> {
    try {
      const result = this.steps === null ? this.begin() : this.follow(this.steps.next(signal))
      if (result.done !== true) return result
    } catch (error) {
      return this.cutOff(error)
    }
    return this.end('completed')
  }

  throw(error: unknown): IteratorResult<unknown, void> {
    const steps = this.steps as Steps
    try {
      if (steps.throw === undefined) throw error
      const result = this.follow(steps.throw(error))
      if (result.done !== true) return result
    } catch (thrown) {
      return this.cutOff(thrown)
    }
    return this.end('completed')
  }

  private begin(): IteratorResult<unknown, unknown> {
    const { server, connection } = this
    if (server.receiveProxy === null) return this.follow(this.enter(HANDLER))
    this.steps = iterate(server.receiveProxy(connection))
    return this.follow(this.steps.next(undefined))
  }

  /** What a stage has come to, or if it has ended the next one; `done` when they all have. */
  private follow(result: IteratorResult<unknown, unknown>): IteratorResult<unknown, unknown> {
    while (result.done === true && this.stage !== CLOSE) {
      // Without a client behind the header there is nothing to handle.
      const handled = this.stage === HEADER && result.value === true && this.server.admits(this)
      result = this.enter(handled ? HANDLER : CLOSE)
    }
    return result
  }

  private enter(stage: typeof HANDLER | typeof CLOSE): IteratorResult<unknown, unknown> {
    const { server, connection } = this
    this.stage = stage
    this.steps = iterate(
      stage === HANDLER ? delegate(this.task as Task, server.handler, connection) : connection.close(server.closing)
    )
    return this.steps.next(undefined)
  }

  private cutOff(error: unknown): IteratorResult<unknown, void> {
    if (error instanceof Cancelled) {
      this.end('cancelled')
      throw error
    }
    try {
      // What an evicted handler fails with is that its connection is gone.
      if (this.evicted === null) this.server.failed(error, this.connection)
    } finally {
      this.end('failed')
    }
    return ENDED
  }

  private end(ending: Ending): IteratorResult<unknown, void> {
    this.steps = null
    this.server.release(this, ending)
    return ENDED
  }
}

const ENDED = { done: true, value: undefined } as const

function iterate(op: Op<unknown> | Iterable<Parked, unknown>): Steps {
  return op[Symbol.iterator]() as unknown as Steps
}
