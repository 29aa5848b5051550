/** A byte stream over a socket: the stream's operations, and the socket's options. */
import { Stream } from '../io/stream.js'
import {
  getOption,
  setOption,
  type SettableOptionName,
  type SocketOptionInput,
  type SocketOptionName,
  type SocketOptionNumber,
  type SocketOptionValue
} from './socket-options.js'

export abstract class SocketStream extends Stream {
  /**
   * The value of a socket option, by the name that the manual has (`'TCP_INFO'`, `'SO_RCVBUF'`), or its bytes by number.
   * Errors: `ENOPROTOOPT` for one that this system does not know, other system errors; `ClosedError`,
   * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   *
   * @example
   * const { rtt, state } = connection.getOption('TCP_INFO')
   */
  getOption<O extends SocketOptionName | SocketOptionNumber>(option: O): SocketOptionValue<O> {
    return getOption(this.handle, option)
  }

  /**
   * Sets a socket option: what its name says, or by number its bytes or an integer. Errors as for `getOption`.
   *
   * @example
   * connection.setOption('TCP_USER_TIMEOUT', 5000)
   */
  setOption<O extends SettableOptionName | SocketOptionNumber>(option: O, value: SocketOptionInput<O>): this {
    setOption(this.handle, option, value)
    return this
  }
}
