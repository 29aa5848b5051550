/** What can be wrong with the use of a descriptor or a stream, as opposed to what the system says. */
import { CoreactorError } from '../task/errors.js'

/** It has been closed, by this operation's own side. Operations that were waiting get it, too. */
export class ClosedError extends CoreactorError {
  constructor(what: string) {
    super('ERR_COREACTOR_CLOSED', `${what} is closed`)
  }
}

/** Something else in this program has the fd: a connection, or another `fd()`. Nothing has happened. */
export class FdInUseError extends CoreactorError {
  constructor(fd: number) {
    super('ERR_COREACTOR_FD_IN_USE', `fd ${fd} belongs to a connection or to another fd() already: wrap it once, and share that`)
  }
}

/**
 * No kernel can tell when this kind of file is ready, because it always is: a regular file, a directory, /dev/null. Reading
 * and writing go on all the same, in a thread, where the kind of file can be read.
 */
export class NotPollableError extends CoreactorError {
  constructor(fd: number) {
    super('ERR_COREACTOR_NOT_POLLABLE', `fd ${fd} cannot be waited for: it is a file, or a device that is always ready`)
  }
}

/** Another task is doing the same on this stream: it has one reader and one writer. Nothing has happened. */
export class BusyError extends CoreactorError {
  constructor(doing: string) {
    super('ERR_COREACTOR_BUSY', `another task is ${doing}`)
  }
}

/** The peer has finished in the middle of what was asked for. What did come stays readable. */
export class UnexpectedEndError extends CoreactorError {
  /** How many bytes were asked for; null when it was a delimiter. */
  readonly expected: number | null
  /** How many there are. */
  readonly received: number

  constructor(expected: number | null, received: number) {
    const what = expected === null ? 'the delimiter' : `${expected} bytes`
    super('ERR_COREACTOR_UNEXPECTED_END', `the peer has finished after ${received} bytes, before ${what}`)
    this.expected = expected
    this.received = received
  }
}

/** More has come than the limit allows, and the delimiter is not in it. Nothing has been taken: the stream is usable. */
export class LimitError extends CoreactorError {
  /** In bytes. */
  readonly limit: number

  constructor(limit: number) {
    super('ERR_COREACTOR_LIMIT', `more than ${limit} bytes have come without the delimiter`)
    this.limit = limit
  }
}
