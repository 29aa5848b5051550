/** What can be wrong with the use of a descriptor or a stream, as opposed to what the system says. */
import { CoreactorError } from '../task/errors.js';
/** It has been closed, by this operation's own side. Operations that were waiting get it, too. */
export class ClosedError extends CoreactorError {
    constructor(what) {
        super('ERR_COREACTOR_CLOSED', `${what} is closed`);
    }
}
/** Another task is doing the same on this stream: it has one reader and one writer. Nothing has happened. */
export class BusyError extends CoreactorError {
    constructor(doing) {
        super('ERR_COREACTOR_BUSY', `another task is ${doing}`);
    }
}
