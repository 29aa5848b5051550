/** A Unix connection: a byte stream, over which descriptors can be passed, too. */
import { EAGAIN, ECONNRESET, ENOTCONN, EPIPE, SystemError } from '../kernel/errno.js'
import type { PeerCredentials, UnixAddress } from '../kernel/kernel.js'
import { MAX_FDS_OF_MESSAGE, WRITABLE } from '../kernel/layout.js'
import { ClosedError } from '../io/errors.js'
import { concluded, Receiving, WOULD_BLOCK } from '../io/receive.js'
import { Leaf } from '../task/leaf.js'
import type { Op } from '../task/types.js'
import { invalidValue } from '../task/validate.js'
import { peerCredentials } from './socket-options.js'
import { SocketStream } from './socket-stream.js'
import { asUnix } from './unix-path.js'
import {
  FdsLostError,
  fdsOf,
  limitsOf,
  messageBytes,
  NAMELESS,
  receiveOne,
  transmit,
  UnixMessage,
  type Limits,
  type Outgoing,
  type ReceiveOptions,
  type Sendable
} from './unix-message.js'

/** Errors that end writing for good; others are of this one message, such as EBADF, or ETOOMANYREFS. */
const ENDS_WRITING = new Set([EPIPE, ECONNRESET, ENOTCONN])

/** `sendFds`: after all that was written before. */
class SendFds extends Leaf<void> implements Outgoing {
  private readonly stream: UnixConnection
  readonly fds: Int32Array
  readonly data: Uint8Array

  constructor(stream: UnixConnection, fds: Int32Array, data: Uint8Array) {
    super()
    this.stream = stream
    this.fds = fds
    this.data = data
  }

  protected override attempt(): boolean {
    const { stream } = this
    const { handle, output } = stream
    if (stream.closing || handle.closed) throw new ClosedError('the connection')
    output.check(this)
    this.disarm()
    if (stream.writeClosed) throw new ClosedError('the write side')
    output.flush()
    output.check(this)
    if (output.bytes > 0 || (handle.readiness & WRITABLE) === 0) return false
    const taken = transmit(handle, this)
    if (taken === EAGAIN) {
      handle.exhausted(WRITABLE)
      return false
    }
    if (taken < 0) {
      const error = new SystemError(taken, 'sendmsg')
      if (!ENDS_WRITING.has(taken)) throw error
      output.fail(error)
      output.check(this)
    }
    output.taken += taken
    // The descriptors have gone with the first byte. The rest is written like anything else, from a copy.
    if (taken < this.data.length) output.reference(Uint8Array.prototype.slice.call(this.data, taken))
    output.flush()
    return this.complete(undefined)
  }

  protected override arm(): void {
    const { handle, output } = this.stream
    output.await(this)
    // With nothing buffered, nobody else waits for room.
    if (output.bytes === 0) handle.writer = this
  }

  override disarm(): void {
    const { handle, output } = this.stream
    output.leave(this)
    if (handle.writer === this) handle.writer = null
  }
}

/** `receiveFds`. */
class ReceiveFds extends Receiving<UnixMessage | null> {
  private readonly limits: Limits

  constructor(stream: UnixConnection, limits: Limits) {
    super(stream)
    this.limits = limits
  }

  protected override take(): boolean {
    const { stream } = this
    const { input } = stream
    // What an earlier read has kept came without descriptors, or they were dropped then.
    if (input !== null && input.length > 0) {
      const data = input.take(Math.min(this.limits.maxBytes, input.length))
      return this.complete(new UnixMessage(data, [], false, NAMELESS))
    }
    if (!this.ready) return false
    if (stream.readError !== null) throw stream.readError
    const message = this.receive()
    if (message === WOULD_BLOCK) return false
    if (message === null) concluded(stream, 0)
    else stream.taken += message.data.length
    return this.complete(message)
  }

  private receive(): UnixMessage | null | typeof WOULD_BLOCK {
    const { stream } = this
    try {
      return receiveOne(stream.handle, this.limits)
    } catch (error) {
      if (error instanceof FdsLostError) stream.taken += error.data.length
      if (error instanceof SystemError) stream.readError = error
      throw error
    }
  }
}

/** A connected Unix stream socket, which can pass file descriptors. */
export class UnixConnection extends SocketStream {
  private local: UnixAddress | undefined
  private remote: UnixAddress | undefined

  /** This side's address, whose path is empty if it has no name; undefined once closed, unless it was asked for before. */
  get localAddress(): UnixAddress | undefined {
    return (this.local ??= this.closed ? undefined : asUnix(this.handle.kernel.localAddress(this.handle.fd)))
  }

  /** The peer's address; of a client usually without a name. Undefined once closed, unless it was asked for before. */
  get remoteAddress(): UnixAddress | undefined {
    return (this.remote ??= this.closed ? undefined : asUnix(this.handle.kernel.remoteAddress(this.handle.fd)))
  }

  /**
   * Who the peer was when it called `connect`, or `listen`. The system vouches for it; the process may be another by now.
   * Errors: `ClosedError`, system errors.
   */
  peerCredentials(): PeerCredentials {
    return peerCredentials(this.handle)
  }

  /**
   * Sends descriptors, 1 to 253, with the first byte of `data`, after all that was written before; `data` has at least one
   * byte. They are numbers, or objects with an `fd`, and stay the sender's: close them when they are no longer needed here.
   * The peer must receive them on purpose, with `receiveFds`; whoever reads the byte in another way loses them. On cancel
   * nothing has been sent.
   *
   * Errors: those of `write`; `EBADF`, `ETOOMANYREFS` (too many are on their way), which leave the stream as it was;
   * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   *
   * @example
   * const worker = yield* connect({ path: '/run/worker.sock' })
   * yield* worker.sendFds([connection], 'take this\n')
   * yield* connection.close()
   */
  sendFds(fds: readonly Sendable[], data: string | Uint8Array): Op<void> {
    const numbers = fdsOf('fds', fds, 1)
    const bytes = messageBytes(data)
    if (bytes.length === 0) throw invalidValue('data', 'must not be empty: descriptors travel with a byte', data)
    return new SendFds(this, numbers, bytes)
  }

  /**
   * Waits for bytes, and takes the descriptors that come with them: close each, or the message, which is async-disposable.
   * Sockets come as the objects that they are. Gives at most `maxBytes`, and never bytes from beyond the next descriptors;
   * null means that the peer has finished. On cancel nothing has been read.
   *
   * What comes is up to the peer: `maxFds` bounds it, and one that sends more gets this side a `FdsLostError`. That is also
   * thrown when the process has no descriptors left; nothing stays open then, the bytes are in the error, and the stream
   * goes on. Other errors as for `read`.
   *
   * @example
   * const boss = yield* connect({ path: '/run/boss.sock' })
   * const message = yield* boss.receiveFds({ maxFds: 1 })
   * const client = message?.fds[0]
   * if (client instanceof Connection) yield* client.write('hello')
   */
  receiveFds(options: ReceiveOptions = {}): Op<UnixMessage | null> {
    return new ReceiveFds(this, limitsOf(options, MAX_FDS_OF_MESSAGE))
  }
}
