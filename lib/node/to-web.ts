/** The two halves of a connection as web streams. */
import { ReadableStream, WritableStream } from 'node:stream/web'
import { Connection } from '../net/connection.js'
import { UnixConnection } from '../net/unix-connection.js'
import { Stream } from '../io/stream.js'
import { DuplexStream } from './from-node.js'
import { enterAbortable } from '../task/enter-scope.js'
import { op } from '../task/op.js'
import type { Op } from '../task/types.js'
import { invalidType } from '../task/validate.js'

/** Both directions of a connection, as web streams. From `toWeb`. */
export interface WebStreams {
  /** A byte stream: a reader in mode `'byob'` is read into directly. */
  readonly readable: ReadableStream<Uint8Array>
  /** Of `Uint8Array`s, other views and buffers, and text as UTF-8. */
  readonly writable: WritableStream<Uint8Array | ArrayBuffer | ArrayBufferView | string>
}

/**
 * A connection as web streams, for `pipeThrough`, `Response`, `CompressionStream` and others that have them. Nothing is read
 * before it is asked for, and a chunk counts as written when the connection takes it (see `write`). Closing `writable` ends
 * the write side, aborting it resets the connection; cancelling `readable` only stops reading. Once both have come to their
 * end the connection is closed.
 *
 * Errors: `ERR_INVALID_ARG_TYPE`.
 *
 * @example
 * const { readable, writable } = toWeb(connection)
 * await readable.pipeTo(writable)
 */
export function toWeb(connection: Connection | UnixConnection | DuplexStream): WebStreams {
  const known = [Connection, UnixConnection, DuplexStream].some((Kind) => connection instanceof Kind)
  if (!known) throw invalidType('connection', 'a connection', connection)
  const open = new Set(['readable', 'writable'])
  const over = (half: string): void => {
    open.delete(half)
    if (open.size === 0) void waitFor(connection, connection.close()).catch(() => {})
  }
  return { readable: readableOf(connection, () => over('readable')), writable: writableOf(connection, () => over('writable')) }
}

function readableOf(stream: Stream, over: () => void): ReadableStream<Uint8Array> {
  const stop = new AbortController()
  const stoppable = <T>(read: Op<T>): Promise<T> =>
    waitFor(stream, op(() => enterAbortable(function* () {
      return yield* read
    }, stop.signal)))
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const request = controller.byobRequest
      try {
        if (request !== null && request !== undefined) {
          const view = request.view as unknown as Uint8Array
          const count = await stoppable(stream.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)))
          if (stop.signal.aborted) return
          if (count === 0) {
            controller.close()
            over()
          }
          return request.respond(count)
        }
        const chunk = await stoppable(stream.readSome())
        if (stop.signal.aborted) return
        // A copy: what is enqueued is taken away from its buffer, which others may share.
        if (chunk !== null) return controller.enqueue(new Uint8Array(chunk))
        controller.close()
        over()
      } catch (error) {
        if (stop.signal.aborted) return
        over()
        throw error
      }
    },
    cancel(reason) {
      stop.abort(reason)
      over()
    }
  })
}

function writableOf(stream: Stream, over: () => void): WebStreams['writable'] {
  return new WritableStream({
    async write(chunk) {
      try {
        await waitFor(stream, stream.write(bytesOf(chunk)))
      } catch (error) {
        over()
        throw error
      }
    },
    async close() {
      try {
        await waitFor(stream, stream.closeWrite())
      } finally {
        over()
      }
    },
    abort() {
      stream.reset()
      over()
    }
  })
}

function bytesOf(chunk: unknown): string | Uint8Array {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array) return chunk
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk)
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  throw invalidType('chunk', 'text or bytes', chunk)
}

/** Belongs to no task: whoever asks for a chunk first is not whose stream it is. */
function waitFor<T>(stream: Stream, waiting: Op<T>): Promise<T> {
  return stream.handle.runtime.background.promise(waiting)
}
