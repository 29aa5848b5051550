/** What can be wrong with the memory that a blocking call is given. */
import { CoreactorError } from '../task/errors.js'

/**
 * The buffer of a call was transferred to somebody else, or made smaller, before the call or while it was under way. The
 * thread has not touched it: threads work on copies.
 */
export class DetachedBufferError extends CoreactorError {
  /** What was read, if anything was, and had no place to go to. */
  readonly bytesLost: number

  constructor(bytesLost: number) {
    const lost = bytesLost === 0 ? 'nothing has been read or written' : `${bytesLost} bytes that were read are lost`
    super('ERR_COREACTOR_DETACHED', `the buffer was transferred to somebody else, or has shrunk: ${lost}`)
    this.bytesLost = bytesLost
  }
}
