/** What a resolver says when it has no answer, in the shape of Node's `dns` errors. */
import { getSystemErrorMap } from 'node:util'

/** libuv's numbers, which the kernel gives: no such name, and no address of the kind that was asked for. */
const NO_DATA = -3007
const NO_NAME = -3008

/** A name or an address could not be looked up. The same properties as Node's `dns` errors. */
export class LookupError extends Error {
  /** `'ENOTFOUND'`: there is no such name, or none with such an address. `'EAI_AGAIN'`: no server has answered; others. */
  readonly code: string
  /** Negative, as in Node. */
  readonly errno: number
  readonly syscall: string
  /** What was asked for. */
  readonly hostname: string

  constructor(errno: number, syscall: string, hostname: string) {
    const [name] = getSystemErrorMap().get(errno) ?? [`E${-errno}`]
    const code = errno === NO_NAME || errno === NO_DATA ? 'ENOTFOUND' : name
    super(`${syscall} ${code} ${hostname}`)
    this.code = code
    this.errno = errno
    this.syscall = syscall
    this.hostname = hostname
  }

  override get name(): string {
    return 'LookupError'
  }

  /** That of a name which no resolver is asked for, because it cannot be one. */
  static notFound(hostname: string): LookupError {
    return new LookupError(NO_NAME, 'getaddrinfo', hostname)
  }
}
