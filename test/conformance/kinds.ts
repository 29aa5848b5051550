/** The kinds of stream: how two connected ends of each come about, and what it does not have. Where they run is for the suites. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, listen, pipe, socketPair, spawn, type Coroutine } from 'coreactor'
import type { Stream } from '../../lib/io/stream.js'
import { pair } from '../support.js'
import type { End, StreamKind } from './stream-kind.js'

export type Ends = Omit<StreamKind, 'run'>

export const TCP: Ends = { pair, twoWay: true, halfClose: true, reset: true }

let paths = 0

// A Unix socket says ECONNRESET only to whose data the other has not read, so a reset is an end to most.
export const UNIX: Ends = {
  *pair(): Coroutine<[End, End]> {
    // The machine has each only once.
    const path = join(tmpdir(), `coreactor-${process.pid}-${paths++}.sock`)
    const listener = yield* listen({ path })
    const accepting = spawn(() => listener.accept())
    const client = yield* connect({ path })
    const server = yield* accepting
    yield* listener.close()
    return [client, server]
  },
  twoWay: true,
  halfClose: true,
  reset: false,
  big: 2 * 1024 * 1024
}

export const SOCKET_PAIR: Ends = {
  *pair() {
    return yield* socketPair()
  },
  twoWay: true,
  halfClose: true,
  reset: false,
  big: 2 * 1024 * 1024
}

export const PIPE: Ends = {
  *pair(): Coroutine<[End, End]> {
    const { reader, writer } = yield* pipe()
    // Each end is a whole stream, of which the types show one direction.
    return [writer as Stream, reader as Stream]
  },
  twoWay: false,
  halfClose: false,
  reset: false,
  big: 1024 * 1024
}
