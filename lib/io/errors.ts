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

/** No kernel can tell when this kind of file is ready, because it always is: a regular file, a directory, /dev/null. */
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
