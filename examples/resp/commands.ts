/** The commands: what each does to the store, and what it answers. Error texts are those of redis 7. */
import { CommandTable, type Command } from './command-table.js'
import { inRange, parseInteger, parseSafeInteger } from './integers.js'
import type { Replies } from './replies.js'
import type { Request } from './request.js'

const NOT_AN_INTEGER = 'ERR value is not an integer or out of range'
const SYNTAX_ERROR = 'ERR syntax error'
const SECOND = 1000

/** What redis answers for itself, too: enough for its own tools. */
const VERSION = '7.0.0'
const CONFIGURATION = new Map([
  ['appendonly', 'no'],
  ['databases', '1'],
  ['maxmemory', '0'],
  ['save', ''],
  ['timeout', '0']
])

export function wrongCount(title: string): string {
  return `ERR wrong number of arguments for '${title}' command`
}

type Run = Command['run']
type Keys = Command['keys']

const NO_KEYS: Keys = [0, 0, 0]
const ONE_KEY: Keys = [1, 1, 1]
const ALL_KEYS: Keys = [1, -1, 1]
const EVERY_OTHER: Keys = [1, -1, 2]

// Connection -------------------------------------------------------------------------------------------------------

const ping: Run = (request, replies) => {
  if (request.count > 2) replies.error(wrongCount('ping'))
  else if (request.count === 2) replies.bulk(request.text(1))
  else replies.pong()
}

const echo: Run = (request, replies) => replies.bulk(request.text(1))

const quit: Run = (_request, replies, session) => {
  replies.ok()
  session.closing = true
}

const select: Run = (request, replies) => {
  const index = parseSafeInteger(request.text(1))
  if (Number.isNaN(index)) replies.error(NOT_AN_INTEGER)
  else if (index !== 0) replies.error('ERR DB index is out of range')
  else replies.ok()
}

const hello: Run = (request, replies, session) => {
  if (request.count > 1) {
    const version = parseSafeInteger(request.text(1))
    if (Number.isNaN(version)) return replies.error('ERR Protocol version is not an integer or out of range')
    if (version !== 2) return replies.error('NOPROTO unsupported protocol version')
    if (request.count > 2) return replies.error(`ERR Syntax error in HELLO option '${request.text(2)}'`)
  }
  replies.array(14)
  replies.bulk('server')
  replies.bulk('redis')
  replies.bulk('version')
  replies.bulk(VERSION)
  replies.bulk('proto')
  replies.integer(2)
  replies.bulk('id')
  replies.integer(session.id)
  replies.bulk('mode')
  replies.bulk('standalone')
  replies.bulk('role')
  replies.bulk('master')
  replies.bulk('modules')
  replies.array(0)
}

const clientGetName: Run = (_request, replies, session) => {
  if (session.name === '') replies.nil()
  else replies.bulk(session.name)
}

const clientId: Run = (_request, replies, session) => replies.integer(session.id)

const clientSetName: Run = (request, replies, session) => {
  session.name = request.text(2)
  replies.ok()
}

// Strings ----------------------------------------------------------------------------------------------------------

const get: Run = (request, replies, { database }) => replies.bulkOrNil(database.store.get(request.text(1)))

const set: Run = (request, replies, { database: { store } }) => {
  const key = request.text(1)
  const value = request.text(2)
  if (request.count === 3) {
    store.set(key, value)
    return replies.ok()
  }
  const options = setOptions(request, replies)
  if (options === null) return
  const old = options.condition !== 'none' || options.answersOld ? store.get(key) : undefined
  const allowed = options.condition === 'none' || (options.condition === 'present') === (old !== undefined)
  if (allowed) {
    if (options.keepsExpiry) store.replace(key, value)
    else store.set(key, value, options.ttl)
  }
  if (options.answersOld) replies.bulkOrNil(old)
  else if (allowed) replies.ok()
  else replies.nil()
}

interface SetOptions {
  condition: 'none' | 'present' | 'absent'
  answersOld: boolean
  keepsExpiry: boolean
  /** Milliseconds; Infinity = no expiry. */
  ttl: number
}

/** What follows the value. Null if it is not understood: then it has been answered. */
function setOptions(request: Request, replies: Replies): SetOptions | null {
  const options: SetOptions = { condition: 'none', answersOld: false, keepsExpiry: false, ttl: Infinity }
  let ttlAt = 0
  let unit = 0
  for (let i = 3; i < request.count; i++) {
    const expires = request.is(i, 'EX') ? SECOND : request.is(i, 'PX') ? 1 : 0
    if (expires > 0 && unit === 0 && !options.keepsExpiry && i + 1 < request.count) {
      unit = expires
      ttlAt = ++i
    } else if (request.is(i, 'NX') && options.condition !== 'present') {
      options.condition = 'absent'
    } else if (request.is(i, 'XX') && options.condition !== 'absent') {
      options.condition = 'present'
    } else if (request.is(i, 'KEEPTTL') && unit === 0) {
      options.keepsExpiry = true
    } else if (request.is(i, 'GET')) {
      options.answersOld = true
    } else {
      replies.error(SYNTAX_ERROR)
      return null
    }
  }
  if (unit === 0) return options
  const text = request.text(ttlAt)
  options.ttl = parseSafeInteger(text) * unit
  if (options.ttl > 0 && Number.isSafeInteger(options.ttl)) return options
  replies.error(parseInteger(text) === null ? NOT_AN_INTEGER : "ERR invalid expire time in 'set' command")
  return null
}

const mget: Run = (request, replies, { database }) => {
  replies.array(request.count - 1)
  for (let i = 1; i < request.count; i++) replies.bulkOrNil(database.store.get(request.text(i)))
}

const mset: Run = (request, replies, { database }) => {
  if (request.count % 2 === 0) return replies.error(wrongCount('mset'))
  for (let i = 1; i < request.count; i += 2) database.store.set(request.text(i), request.text(i + 1))
  replies.ok()
}

/** INCR and its relatives: adds `sign`, or `sign` times the number that argument `by` is. */
function addition(sign: 1 | -1, by = 0): Run {
  return (request, replies, { database: { store } }) => {
    const key = request.text(1)
    const now = store.get(key) ?? '0'
    const amount = by === 0 ? '1' : request.text(by)
    const sum = parseSafeInteger(now) + sign * parseSafeInteger(amount)
    if (Number.isSafeInteger(sum)) {
      const text = String(sum)
      store.replace(key, text)
      return replies.integer(text)
    }
    const base = parseInteger(now)
    const change = parseInteger(amount)
    if (base === null || change === null) return replies.error(NOT_AN_INTEGER)
    // Its negation has no 64 bits.
    if (sign < 0 && inRange(-change) === null) return replies.error('ERR decrement would overflow')
    const exact = inRange(base + BigInt(sign) * change)
    if (exact === null) return replies.error('ERR increment or decrement would overflow')
    store.replace(key, String(exact))
    replies.integer(String(exact))
  }
}

// Keys -------------------------------------------------------------------------------------------------------------

const del: Run = (request, replies, { database }) => {
  let count = 0
  for (let i = 1; i < request.count; i++) if (database.store.delete(request.text(i))) count += 1
  replies.integer(count)
}

const exists: Run = (request, replies, { database }) => {
  let count = 0
  for (let i = 1; i < request.count; i++) if (database.store.has(request.text(i))) count += 1
  replies.integer(count)
}

function expire(unit: number): Run {
  return (request, replies, { database }) => {
    const text = request.text(2)
    const ttl = parseSafeInteger(text) * unit
    if (Number.isSafeInteger(ttl)) return replies.integer(database.store.expire(request.text(1), ttl) ? 1 : 0)
    const name = unit === SECOND ? 'expire' : 'pexpire'
    replies.error(parseInteger(text) === null ? NOT_AN_INTEGER : `ERR invalid expire time in '${name}' command`)
  }
}

function ttl(unit: number): Run {
  return (request, replies, { database }) => {
    const left = database.store.ttl(request.text(1))
    if (left === undefined) replies.integer(-2)
    else if (left === Infinity) replies.integer(-1)
    else replies.integer(Math.floor((left + unit / 2) / unit))
  }
}

const persist: Run = (request, replies, { database }) => {
  replies.integer(database.store.persist(request.text(1)) ? 1 : 0)
}

// Server -----------------------------------------------------------------------------------------------------------

const dbsize: Run = (_request, replies, { database }) => replies.integer(database.store.size)

const flushall: Run = (request, replies, { database }) => {
  if (request.count > 2 || (request.count === 2 && !request.is(1, 'ASYNC') && !request.is(1, 'SYNC'))) {
    return replies.error(SYNTAX_ERROR)
  }
  database.store.clear()
  replies.ok()
}

const configGet: Run = (request, replies) => {
  const found = new Set<string>()
  for (let i = 2; i < request.count; i++) {
    const name = request.text(i).toLowerCase()
    for (const known of CONFIGURATION.keys()) if (name === '*' || name === known) found.add(known)
  }
  replies.array(2 * found.size)
  for (const name of found) {
    replies.bulk(name)
    replies.bulk(CONFIGURATION.get(name)!)
  }
}

const info: Run = (_request, replies, { database }) => {
  const { store } = database
  const lines = [
    '# Server',
    `redis_version:${VERSION}`,
    'redis_mode:standalone',
    `process_id:${process.pid}`,
    `uptime_in_seconds:${Math.floor((Date.now() - database.startedAt) / SECOND)}`,
    '',
    '# Clients',
    `connected_clients:${database.sessions}`,
    'blocked_clients:0',
    '',
    '# Memory',
    `used_memory:${process.memoryUsage.rss()}`,
    '',
    '# Stats',
    `total_connections_received:${database.sessionsOpened}`,
    `total_commands_processed:${database.requests}`,
    '',
    '# Keyspace'
  ]
  if (store.size > 0) lines.push(`db0:keys=${store.size},expires=${store.expiring},avg_ttl=0`)
  replies.bulk(lines.join('\r\n') + '\r\n')
}

const command: Run = (_request, replies) => {
  replies.array(commands.size)
  for (const each of commands) describe(each, replies)
}

const commandCount: Run = (_request, replies) => replies.integer(commands.size)

const commandInfo: Run = (request, replies, session) => {
  if (request.count === 2) return command(request, replies, session)
  replies.array(request.count - 2)
  for (let i = 2; i < request.count; i++) {
    const found = commands.find(request, i)
    if (found === undefined) replies.nil()
    else describe(found, replies)
  }
}

function describe({ name, arity, writes, keys }: Command, replies: Replies): void {
  replies.array(6)
  replies.bulk(name.toLowerCase())
  replies.integer(arity)
  replies.array(1)
  replies.simple(writes ? 'write' : 'readonly')
  for (const position of keys) replies.integer(position)
}

// The table --------------------------------------------------------------------------------------------------------

function reads(name: string, arity: number, run: Run, keys: Keys = NO_KEYS): Command {
  return { name, title: name.toLowerCase(), arity, keys, writes: false, subcommands: null, run }
}

function writes(name: string, arity: number, run: Run, keys: Keys): Command {
  return { ...reads(name, arity, run, keys), writes: true }
}

/** A command with commands of its own. `run` is for the name alone. */
function contains(name: string, arity: number, run: Run, commands: Command[]): Command {
  const titled = commands.map((command) => ({ ...command, title: `${name}|${command.name}`.toLowerCase() }))
  return { ...reads(name, arity, run), subcommands: new CommandTable(titled) }
}

const never: Run = () => {}

export const commands = new CommandTable([
  reads('PING', -1, ping),
  reads('ECHO', 2, echo),
  reads('QUIT', -1, quit),
  reads('SELECT', 2, select),
  reads('HELLO', -1, hello),
  contains('CLIENT', -2, never, [
    reads('GETNAME', 2, clientGetName),
    reads('ID', 2, clientId),
    reads('SETINFO', 4, (_request, replies) => replies.ok()),
    reads('SETNAME', 3, clientSetName)
  ]),
  reads('GET', 2, get, ONE_KEY),
  writes('SET', -3, set, ONE_KEY),
  reads('MGET', -2, mget, ALL_KEYS),
  writes('MSET', -3, mset, EVERY_OTHER),
  writes('INCR', 2, addition(1), ONE_KEY),
  writes('DECR', 2, addition(-1), ONE_KEY),
  writes('INCRBY', 3, addition(1, 2), ONE_KEY),
  writes('DECRBY', 3, addition(-1, 2), ONE_KEY),
  writes('DEL', -2, del, ALL_KEYS),
  reads('EXISTS', -2, exists, ALL_KEYS),
  writes('EXPIRE', 3, expire(SECOND), ONE_KEY),
  writes('PEXPIRE', 3, expire(1), ONE_KEY),
  reads('TTL', 2, ttl(SECOND), ONE_KEY),
  reads('PTTL', 2, ttl(1), ONE_KEY),
  writes('PERSIST', 2, persist, ONE_KEY),
  reads('DBSIZE', 1, dbsize),
  writes('FLUSHALL', -1, flushall, NO_KEYS),
  contains('CONFIG', -2, never, [reads('GET', -3, configGet)]),
  reads('INFO', -1, info),
  // redis-cli asks for COMMAND DOCS when it starts. Told that there is no such thing, it uses its own documentation.
  contains('COMMAND', -1, command, [
    reads('COUNT', 2, commandCount),
    reads('INFO', -2, commandInfo)
  ])
])
