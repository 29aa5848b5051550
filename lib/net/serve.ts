/** A TCP server: accepts, and runs a handler in a task of its own for every connection. */
import { addressText, SystemError } from '../kernel/errno.js'
import type { AnyAddress, SocketAddress, UnixAddress } from '../kernel/kernel.js'
import { ambientScope, requireTask } from '../task/ambient.js'
import { delegate, enterScope } from '../task/enter-scope.js'
import { dispose } from '../task/dispose.js'
import { Cancelled, TaskCancelledError } from '../task/errors.js'
import { Leaf } from '../task/leaf.js'
import { cancelOnAbort, checkSignal } from '../task/abort.js'
import { op } from '../task/op.js'
import type { Scope } from '../task/scope.js'
import type { Task } from '../task/task.js'
import type { Body, Coroutine, Op, Waiter } from '../task/types.js'
import { checkFunction, checkInteger, checkMilliseconds, invalidValue } from '../task/validate.js'
import { timeout, TimeoutError } from '../time/timeout.js'
import { acceptPatiently } from './accept-policy.js'
import type { Connection } from './connection.js'
import { listening, type Listener, type ListenOptions } from './listener.js'
import type { UnixConnection } from './unix-connection.js'
import { listeningUnix, type UnixListenOptions } from './unix-listener.js'
import { isUnix } from './unix-path.js'

export type Handler = Body<[Connection], void>

export interface ServeOptions extends ListenOptions {
  /** Connections at a time; more wait to be accepted. No limit by default. */
  limit?: number | undefined
  /** Hears of a handler that failed. By default the error is printed, unless it only says that the peer went away. */
  onError?: ((error: unknown, connection: Connection) => void) | undefined
  /** Closes the server when it is aborted: handlers are cancelled. */
  signal?: AbortSignal | undefined
}

export interface UnixServeOptions extends UnixListenOptions, Omit<ServeOptions, keyof ListenOptions | 'onError'> {
  type?: 'stream' | undefined
  onError?: ((error: unknown, connection: UnixConnection) => void) | undefined
}

export interface CloseOptions {
  /** Milliseconds that handlers may take to end by themselves before they are cancelled; 0 by default. */
  grace?: number | undefined
}

/** Waits until one more connection is allowed. */
class BelowLimit extends Leaf<void> {
  private readonly server: Server<AnyAddress>

  constructor(server: Server<AnyAddress>) {
    super()
    this.server = server
  }

  protected override attempt(): boolean {
    return !this.server.full && this.complete(undefined)
  }

  protected override arm(): void {
    this.server.whenBelowLimit = this
  }

  override disarm(): void {
    this.server.whenBelowLimit = null
  }
}

export class Server<A extends AnyAddress = SocketAddress> {
  /** Where it listens. */
  readonly address: A
  /** @internal */
  whenBelowLimit: Waiter | null = null
  private readonly listener: Listener
  private readonly handler: Handler
  private readonly limit: number
  private readonly onError: (error: unknown, connection: Connection) => void
  private open = 0
  /** Runs until the server has been closed and the last handler has ended. */
  private readonly task: Task<void>
  /** The scope of the handlers; null before and after it. */
  private handlers: Scope | null = null

  /** @internal Use `serve`. */
  constructor(listener: Listener, handler: Handler, options: ServeOptions, owner: Scope) {
    this.listener = listener
    this.address = listener.address as AnyAddress as A
    this.handler = handler
    this.limit = options.limit ?? Infinity
    this.onError = options.onError ?? printError
    this.task = owner.spawn(this.run.bind(this), options.signal)
    const { address } = this
    this.task.name = address.family === 'Unix' ? `serve ${addressText(address)}` : `serve :${address.port}`
  }

  /** Connections whose handler has not ended. */
  get connections(): number {
    return this.open
  }

  /** @internal */
  get full(): boolean {
    return this.open >= this.limit
  }

  /**
   * Stops accepting, gives the handlers `grace` milliseconds to end, cancels those that have not, and resets what they
   * leave unsent. Completes when the listener and all handlers are gone; from inside a handler it cancels that one, too.
   * Idempotent. On cancel of this wait the handlers are cancelled at once.
   */
  close(options: CloseOptions = {}): Op<void> {
    const { grace = 0 } = options
    checkMilliseconds('options.grace', grace)
    return op(() => this.shutDown(grace))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await dispose(this.close())
  }

  private *shutDown(grace: number): Coroutine<void> {
    const { task } = this
    this.listener.handle.close()
    try {
      if (grace > 0) {
        yield* timeout(grace, () => ended(task))
      }
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error
    } finally {
      this.handlers?.cancel('the server is closing')
    }
    yield* ended(task)
  }

  /** The server's own task: a scope that holds the acceptor and the handlers. */
  private *run(signal: AbortSignal | undefined): Coroutine<void> {
    let forget: (() => void) | undefined
    try {
      yield* enterScope(this.acceptAll.bind(this), {
        entered: (handlers) => {
          this.handlers = handlers
          if (signal !== undefined) forget = cancelOnAbort(handlers, signal)
        }
      })
    } finally {
      forget?.()
      this.handlers = null
      this.listener.handle.close()
    }
  }

  private *acceptAll(handlers: Scope): Coroutine<void> {
    const accept = acceptPatiently(this.listener)
    // Tasks are named after their body: each of these is the user's handler.
    const handle = Object.defineProperty(this.handle.bind(this), 'name', { value: this.handler.name || 'connection' })
    for (;;) {
      if (this.full) yield* new BelowLimit(this)
      const connection = yield* accept()
      if (connection === null) return
      this.open++
      handlers.spawn(handle, connection)
    }
  }

  private *handle(connection: Connection): Coroutine<void> {
    try {
      yield* delegate(requireTask('a handler'), this.handler, connection)
      yield* connection.close()
    } catch (error) {
      if (error instanceof Cancelled) throw error
      this.onError(error, connection)
    } finally {
      connection.abandon()
      this.open--
      this.whenBelowLimit?.wake()
    }
  }
}

/** Waits for the server's task. That it was cancelled, because the scope that it is in was, is an end like any other. */
function* ended(task: Task<void>): Coroutine<void> {
  try {
    yield* task
  } catch (error) {
    if (!(error instanceof TaskCancelledError)) throw error
  }
}

/** Errors that only say that the peer went away. */
const DISCONNECTS = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

function printError(error: unknown): void {
  if (error instanceof SystemError && DISCONNECTS.has(error.code)) return
  console.error('coreactor: a connection handler failed:', error)
}

/**
 * Listens, and runs `handler` for every connection in a task of its own; completes as soon as it listens. The server
 * is a task of the current scope, which therefore waits for it: until `close`, or until the scope is cancelled. When a
 * handler ends, its connection is closed, after what it wrote has been sent. A handler that fails is reported to
 * `onError`, and the server lives; an `onError` that throws ends the server with that error.
 *
 * Out of fds or memory, accepting pauses (100 ms doubling to 1 s) with one warning. Errors: those of `listen`.
 *
 * @example
 * const server = yield* serve({ port: 7000, host: '127.0.0.1' }, function* (connection) {
 *   for (let chunk; (chunk = yield* connection.readSome()) !== null; ) yield* connection.write(chunk)
 * })
 */
export function serve(options: ServeOptions, handler: Handler): Op<Server>
/** The same at a Unix socket: see `listen` for its name and its file. */
export function serve(options: UnixServeOptions, handler: Body<[UnixConnection], void>): Op<Server<UnixAddress>>
export function serve(
  where: ServeOptions | UnixServeOptions,
  handle: Handler | Body<[UnixConnection], void>
): Op<Server<any>> {
  // A server does with a connection what all streams can do.
  const options = where as ServeOptions
  const handler = handle as Handler
  checkFunction('handler', handler)
  if (isUnix<UnixServeOptions>(where) && where.type !== undefined && where.type !== 'stream') {
    throw invalidValue('options.type', "must be 'stream': a server has no messages", where.type)
  }
  const { limit, onError, signal } = options
  if (limit !== undefined && limit !== Infinity) checkInteger('options.limit', limit, 1, Number.MAX_SAFE_INTEGER)
  if (onError !== undefined) checkFunction('options.onError', onError)
  if (signal !== undefined) checkSignal(signal)
  const open = isUnix<UnixServeOptions>(where) ? listeningUnix<UnixConnection>(where) : listening(options)
  // That of whoever calls: inside a combinator the operation runs in a scope that ends with it.
  const owner = ambientScope()
  return op(function* () {
    const listener = (yield* open()) as unknown as Listener
    return new Server(listener, handler, options, owner)
  })
}
