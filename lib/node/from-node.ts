/** A Duplex of Node's for code that expects a connection: reads and writes in coroutines, with back-pressure and deadlines. */
import { Duplex } from 'node:stream'
import type { SystemError } from '../kernel/errno.js'
import { Stream } from '../io/stream.js'
import { currentRuntime } from '../runtime/current.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'
import { DuplexHandle } from './duplex-handle.js'

/** What `fromNode` gives: a byte stream as a `Connection` is one, without what only a socket has. */
export class DuplexStream extends Stream {
  declare readonly handle: DuplexHandle
  /** The stream of Node's below. Reading and writing are not its user's any more. */
  readonly duplex: Duplex

  /** @internal Use `fromNode`. */
  constructor(duplex: Duplex) {
    super(
      new DuplexHandle(currentRuntime(), duplex, {
        readingFailed: (error) => (this.readError ??= error as SystemError),
        writingFailed: (error) => this.output.fail(error)
      })
    )
    this.duplex = duplex
  }

  /** There is none. */
  override get fd(): number {
    return -1
  }

  /** Waits until the stream below has called back for everything written. On cancel that goes on. */
  override flush(): Op<void> {
    const flushed = super.flush()
    const { handle } = this
    return op(function* () {
      yield* flushed
      yield* handle.settled.wait()
    })
  }
}

/**
 * Any Duplex of Node's, such as a `TLSSocket`, as a stream for coroutines: `read`, `readLine`, `write`, `closeWrite`,
 * `pipeTo` and the rest of what a `Connection` does with bytes. It takes from the Duplex only what is asked for, so that
 * back-pressure reaches the other side; an error of it is thrown by whoever reads or writes next. Closing ends it, and
 * destroys it when it has finished writing, or after two seconds; `reset` destroys it at once, a TCP socket with a reset.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for one of objects or of text.
 *
 * @example
 * const secure = tls.connect({ port: 443, host: 'example.org', servername: 'example.org' })
 * const stream = fromNode(secure)
 * yield* stream.write('HEAD / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n')
 * const status = yield* stream.readLine()
 */
export function fromNode(duplex: Duplex): DuplexStream {
  if (!(duplex instanceof Duplex)) throw invalidType('duplex', 'an instance of stream.Duplex', duplex)
  if (duplex.readableObjectMode || duplex.writableObjectMode) {
    throw invalidValue('duplex', 'must be a stream of bytes, not of objects', duplex)
  }
  if (duplex.readableEncoding !== null) throw invalidValue('duplex', 'must be a stream of bytes: it has an encoding', duplex)
  return new DuplexStream(duplex)
}
