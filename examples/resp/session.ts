/**
 * One client's conversation: bytes in, replies out. Both servers, the one over coreactor and the one over `node:net`,
 * are this and a socket.
 */
import { commands, wrongCount } from './commands.js'
import type { Database } from './database.js'
import { ProtocolError, RequestParser } from './parser.js'
import type { Request } from './request.js'

/** Once so many bytes of replies wait, they are sent before more requests are executed. */
const ENOUGH = 64 * 1024
/** What redis shows of a request that it does not know. */
const SHOWN = 128

export class Session {
  readonly database: Database
  readonly id: number
  /** What CLIENT SETNAME said. */
  name = ''
  /** No further request will be executed: send the replies, then close. */
  closing = false
  readonly #parser: RequestParser

  constructor(database: Database) {
    this.database = database
    this.id = ++database.sessionsOpened
    this.#parser = new RequestParser(database.limits)
    database.sessions += 1
  }

  /**
   * Executes what has arrived and puts the answers into `database.replies`. True if it stopped because there are enough
   * of them: send them, and call again with null. The chunk may be overwritten as soon as this returns.
   */
  answer(chunk: Buffer | null, length = chunk?.length ?? 0): boolean {
    if (chunk !== null) this.#parser.push(chunk, length)
    const { replies } = this.database
    let more = false
    try {
      while (!this.closing) {
        const request = this.#parser.next()
        if (request === null) break
        this.#execute(request)
        more = replies.length >= ENOUGH
        if (more) break
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      replies.error(`ERR Protocol error: ${error.message}`)
      this.closing = true
    }
    this.#parser.release()
    return more
  }

  /** The connection is gone. */
  end(): void {
    this.closing = true
    this.database.sessions -= 1
  }

  #execute(request: Request): void {
    const { replies } = this.database
    this.database.requests += 1
    let command = commands.find(request, 0)
    if (command === undefined) return replies.error(unknownCommand(request))
    if (command.subcommands !== null && request.count > 1) {
      const { name, subcommands } = command
      command = subcommands.find(request, 1)
      if (command === undefined) {
        return replies.error(`ERR unknown subcommand '${request.text(1).slice(0, SHOWN)}'. Try ${name} HELP.`)
      }
    }
    if (command.arity < 0 ? request.count < -command.arity : request.count !== command.arity) {
      return replies.error(wrongCount(command.title))
    }
    command.run(request, replies, this)
  }
}

function unknownCommand(request: Request): string {
  let shown = ''
  for (let i = 1; i < request.count && shown.length < SHOWN; i++) {
    shown += `'${request.text(i).slice(0, SHOWN - shown.length)}' `
  }
  return `ERR unknown command '${request.text(0).slice(0, SHOWN)}', with args beginning with: ${shown}`
}
