/** What is wrong with the header of a proxy, or with its absence. */
import { CoreactorError } from '../task/errors.js'

/**
 * `'absent'`: what has come is no header. `'malformed'`: it begins as one. `'checksum'`: its CRC-32C is another one.
 * `'late'`: it was not complete in time. `'end'`: the peer has finished in the middle of it.
 */
export type ProxyProtocolProblem = 'absent' | 'malformed' | 'checksum' | 'late' | 'end'

/** A connection that should begin with a header of the PROXY protocol does not, or not with a good one. */
export class ProxyProtocolError extends CoreactorError {
  readonly problem: ProxyProtocolProblem

  constructor(problem: ProxyProtocolProblem, message: string) {
    super('ERR_COREACTOR_PROXY_PROTOCOL', `PROXY protocol: ${message}`)
    this.problem = problem
  }
}
