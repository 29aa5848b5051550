/** A Unix connection of messages: each arrives whole and in order, or not at all. */
import { check, ENOTCONN } from '../kernel/errno.js'
import type { PeerCredentials, UnixAddress } from '../kernel/kernel.js'
import { SHUT_WRITE } from '../kernel/layout.js'
import { ClosedError } from '../io/errors.js'
import { immediate, op } from '../task/op.js'
import { CoreactorError } from '../task/errors.js'
import type { Op } from '../task/types.js'
import { MessageSocket } from './message-socket.js'
import { peerCredentials } from './socket-options.js'
import { asUnix } from './unix-path.js'
import { fdsOf, limitsOf, messageBytes, type ReceiveOptions, type Sendable, type UnixMessage } from './unix-message.js'

/** A message was longer than the room for it. Its beginning is here, and the rest is lost. */
export class MessageTruncatedError extends CoreactorError {
  readonly data: Buffer

  constructor(data: Buffer) {
    super('ERR_COREACTOR_MESSAGE_TRUNCATED', `a message was longer than ${data.length} bytes, and its end is lost`)
    this.data = data
  }
}

/** A connected Unix socket that keeps the bounds of messages (SOCK_SEQPACKET). */
export class SeqpacketConnection extends MessageSocket {
  private remote: UnixAddress | undefined

  /** The peer's address; of a client usually without a name. Undefined once closed, unless it was asked for before. */
  get remoteAddress(): UnixAddress | undefined {
    return (this.remote ??= this.closed ? undefined : asUnix(this.handle.kernel.remoteAddress(this.handle.fd)))
  }

  /** Who the peer was when it called `connect`, or `listen`. Errors: `ClosedError`, system errors. */
  peerCredentials(): PeerCredentials {
    return peerCredentials(this.handle)
  }

  /**
   * Waits for a message and gives its bytes, of which there may be none; null means that the peer has finished. On cancel
   * none has been received.
   *
   * Errors: `MessageTruncatedError`, which has the first `maxBytes`, 64 KiB by default; `ClosedError`, `BusyError` (a second
   * receiver), system errors such as `ECONNRESET`; `ERR_OUT_OF_RANGE`.
   *
   * @example
   * const packets = yield* connect({ path: '/run/my.sock', type: 'seqpacket' })
   * for (let message; (message = yield* packets.receive()) !== null; ) yield* packets.send(message)
   */
  receive(maxBytes?: number): Op<Buffer | null> {
    const limits = limitsOf({ maxBytes }, 0)
    const receive = (): Op<UnixMessage | null> => this.receiveOne(limits)
    return op(function* () {
      const message = yield* receive()
      if (message?.truncated === true) throw new MessageTruncatedError(message.data)
      return message === null ? null : message.data
    })
  }

  /**
   * The same, with all that is to be known of a message; with `maxFds` also the descriptors that come with it, each of
   * which is the receiver's to close. A message that is too long is `truncated`. Errors as for `receive`, and `FdsLostError`.
   */
  receiveMessage(options: ReceiveOptions = {}): Op<UnixMessage | null> {
    return this.receiveOne(limitsOf(options, 0))
  }

  /**
   * Sends a message, which may be empty, and with it descriptors, at most 253, which stay the sender's. Waits while there
   * is no room. On cancel it has not been sent.
   *
   * Errors: `EMSGSIZE` (longer than the send buffer), `EPIPE`, other system errors; `ClosedError`, `BusyError` (another task
   * waits to send); `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  send(data: string | Uint8Array, fds: readonly Sendable[] = []): Op<void> {
    return this.sendOne({ data: messageBytes(data), fds: fdsOf('fds', fds, 0), to: undefined, address: undefined })
  }

  /** Tells the peer that no more will come; receiving goes on. Errors: `ClosedError`, system errors. */
  closeWrite(): Op<void> {
    const { handle } = this
    return immediate(() => {
      if (handle.closed) throw new ClosedError('the connection')
      const result = handle.kernel.shutdown(handle.fd, SHUT_WRITE)
      // The peer is gone, so that there is no side left to close. Who receives finds out.
      if (result !== ENOTCONN) check(result, 'shutdown')
    })
  }
}
