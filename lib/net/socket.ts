/** What all sockets have that are no streams: a descriptor and its options. Streams have both, too: `socket-stream.ts`. */
import type { Handle } from '../io/handle.js'
import {
  getOption,
  setOption,
  type SettableOptionName,
  type SocketOptionInput,
  type SocketOptionName,
  type SocketOptionNumber,
  type SocketOptionValue
} from './socket-options.js'

export abstract class Socket {
  /** @internal */
  readonly handle: Handle

  /** @internal */
  constructor(handle: Handle) {
    this.handle = handle
  }

  /** The file descriptor, -1 once it is closed. It stays this object's: do not close it. */
  get fd(): number {
    return this.handle.toldFd
  }

  get closed(): boolean {
    return this.handle.closed
  }

  /**
   * The value of a socket option, by the name that the manual has (`'SO_RCVBUF'`), or its bytes by number. Connections
   * inherit most of those of their listener. Errors: `ENOPROTOOPT` for one that this system does not know, other system
   * errors; `ClosedError`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  getOption<O extends SocketOptionName | SocketOptionNumber>(option: O): SocketOptionValue<O> {
    return getOption(this.handle, option)
  }

  /** Sets a socket option: what its name says, or by number its bytes or an integer. Errors as for `getOption`. */
  setOption<O extends SettableOptionName | SocketOptionNumber>(option: O, value: SocketOptionInput<O>): this {
    setOption(this.handle, option, value)
    return this
  }
}
