/** A Unix datagram socket: messages to and from whoever has a name. */
import { check, SystemError } from '../kernel/errno.js'
import type { Kernel } from '../kernel/kernel.js'
import { ClosedError } from '../io/errors.js'
import { Handle } from '../io/handle.js'
import { currentRuntime } from '../runtime/current.js'
import { immediate, op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'
import { MessageSocket } from './message-socket.js'
import { fdsOf, limitsOf, messageBytes, type ReceiveOptions, type Sendable, type UnixMessage } from './unix-message.js'
import { openNamed, unixName, type UnixNameOptions } from './unix-name.js'
import { unixAddress } from './unix-path.js'

/** Without a path the socket has no name: it can send, and nobody can answer. */
export type UnixDatagramOptions = Partial<UnixNameOptions>

/** Options of `UnixDatagramSocket.send`. */
export interface UnixSendOptions {
  /** To whom: a path, or an abstract name. Without it to the peer that `connect` has set. */
  path?: string | undefined
  /** Descriptors that go with it, at most 253, which stay the sender's. */
  fds?: readonly Sendable[] | undefined
}

/** A Unix datagram socket; `unixDatagram` opens one. */
export class UnixDatagramSocket extends MessageSocket {
  /**
   * Waits for a message, which may be empty. With `maxFds` it comes with its descriptors, each of which is the receiver's
   * to close. One longer than `maxBytes`, 64 KiB by default, is `truncated`. On cancel none has been received.
   *
   * Errors: `ClosedError`, `BusyError` (a second receiver), `FdsLostError`, system errors; `ERR_OUT_OF_RANGE`.
   *
   * @example
   * const socket = yield* unixDatagram({ path: '/run/echo.sock' })
   * const { data, address } = yield* socket.recv()
   * yield* socket.send(data, { path: address.path })
   */
  recv(options: ReceiveOptions = {}): Op<UnixMessage> {
    const limits = limitsOf(options, 0)
    const receive = (): Op<UnixMessage | null> => this.receiveOne(limits)
    return op(function* () {
      const message = yield* receive()
      // 0 bytes without a stamp: somebody who shares the socket has shut it down for reading.
      if (message === null) throw new ClosedError('the read side')
      return message
    })
  }

  /**
   * Sends a message, which may be empty. Waits while the receiver has no room. On cancel it has not been sent.
   *
   * Errors: `EMSGSIZE` (longer than the send buffer), `ECONNREFUSED` and `ENOENT` (nobody has that name), `ENOTCONN`
   * (neither `path` nor a peer), other system errors; `ClosedError`, `BusyError` (another task waits to send);
   * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  send(data: string | Uint8Array, { path, fds = [] }: UnixSendOptions = {}): Op<void> {
    const address = path === undefined ? undefined : unixAddress('options.path', path)
    const to = address === undefined ? undefined : this.handle.kernel.encodeAddress(address)
    if (typeof to === 'number') throw new SystemError(to, 'sendmsg', address)
    return this.sendOne({ data: messageBytes(data), fds: fdsOf('options.fds', fds, 0), to, address })
  }

  /** From now on messages go to this address unless another is given, and come from there only. Errors: system errors. */
  connect(path: string): Op<void> {
    const address = unixAddress('path', path)
    const { handle } = this
    return immediate(() => {
      if (handle.closed) throw new ClosedError('the socket')
      check(handle.kernel.connect(handle.fd, address), 'connect', address)
    })
  }
}

/**
 * Opens a Unix datagram socket, with a name if `path` says one; see `listen` for what becomes of its file. Messages are not
 * lost and keep their order: a sender waits while the receiver has no room.
 *
 * Errors: system errors such as `EADDRINUSE` (syscall `bind`, with `address`); `ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, thrown at once.
 *
 * @example
 * const socket = yield* unixDatagram({ path: '/run/log.sock', mode: 0o622 })
 * const { data } = yield* socket.recv()
 */
export function unixDatagram(options: UnixDatagramOptions = {}): Op<UnixDatagramSocket> {
  if (options === null || typeof options !== 'object') throw invalidType('options', 'an object', options)
  const { path } = options
  if (path === undefined) {
    return immediate(() => {
      const runtime = currentRuntime()
      return new UnixDatagramSocket(Handle.adopt(runtime, check(runtime.kernel.socket('Unix', 'datagram'), 'socket')))
    })
  }
  const name = unixName({ ...options, path })
  return op(function* () {
    const handle = yield* openNamed(currentRuntime(), name, 'datagram', 'bind', nothing)
    return new UnixDatagramSocket(handle)
  })
}

/** A datagram socket with a name is ready. */
function nothing(_kernel: Kernel, _fd: number): void {}
