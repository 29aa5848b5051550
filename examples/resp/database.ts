/** What the connections of one server share. */
import { LIMITS, type Limits } from './parser.js'
import { Replies } from './replies.js'
import { Store } from './store.js'

export interface DatabaseOptions {
  store?: Store
  limits?: Partial<Limits>
}

export class Database {
  readonly store: Store
  readonly limits: Limits
  /** Those of the session that is answering. Invariant: empty whenever none is. */
  readonly replies = new Replies()
  readonly startedAt = Date.now()
  /** Requests executed, the ones that failed included. */
  requests = 0
  sessionsOpened = 0
  sessions = 0

  constructor({ store = new Store(), limits = {} }: DatabaseOptions = {}) {
    this.store = store
    this.limits = { ...LIMITS, ...limits }
  }
}
