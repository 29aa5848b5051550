/** The commands by name. Finds one from the bytes of a request, in any case, without making a string of them. */
import type { Replies } from './replies.js'
import { sameWord, type Request } from './request.js'
import type { Session } from './session.js'

export interface Command {
  /** In upper case. */
  readonly name: string
  /** What messages call it: `get`, `config|get`. */
  readonly title: string
  /** Words of a request, the name included; at least so many if negative. */
  readonly arity: number
  /** Index of the first and of the last key (-1 = to the end), and from one to the next. */
  readonly keys: readonly [first: number, last: number, step: number]
  /** Whether it can change a key. */
  readonly writes: boolean
  /** Named by the second word. Without one, `run` is asked. */
  readonly subcommands: CommandTable | null
  run(request: Request, replies: Replies, session: Session): void
}

export class CommandTable {
  readonly #commands: readonly Command[]
  readonly #buckets: Command[][] = Array.from({ length: BUCKETS }, () => [])

  constructor(commands: readonly Command[]) {
    this.#commands = commands
    for (const command of commands) {
      const name = Buffer.from(command.name)
      this.#buckets[bucketOf(name, 0, name.length)]!.push(command)
    }
  }

  get size(): number {
    return this.#commands.length
  }

  [Symbol.iterator](): Iterator<Command> {
    return this.#commands[Symbol.iterator]()
  }

  /** The command that argument `i` names. */
  find(request: Request, i: number): Command | undefined {
    const { bytes } = request
    const start = request.starts[i]!
    const end = request.ends[i]!
    if (start === end) return undefined
    const candidates = this.#buckets[bucketOf(bytes, start, end)]!
    for (let c = 0; c < candidates.length; c++) {
      if (sameWord(bytes, start, end, candidates[c]!.name)) return candidates[c]
    }
    return undefined
  }
}

const BUCKETS = 256
const CASE_BIT = 0x20

function bucketOf(bytes: Buffer, start: number, end: number): number {
  const first = bytes[start]! | CASE_BIT
  const last = bytes[end - 1]! | CASE_BIT
  return ((end - start) * 67 + first * 31 + last) % BUCKETS
}
