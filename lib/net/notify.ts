/** Telling the service manager how things are: the protocol of sd_notify(3), over the socket in NOTIFY_SOCKET. */
import { fd } from '../io/descriptor.js'
import { check } from '../kernel/errno.js'
import type { UnixAddress } from '../kernel/kernel.js'
import { currentRuntime } from '../runtime/current.js'
import { op } from '../task/op.js'
import type { Coroutine, Op } from '../task/types.js'
import { invalidType, invalidValue } from '../task/validate.js'

/** The variables of sd_notify(3), and any others: `X_…` are for your own. True and false are written as 1 and 0. */
export interface NotifyFields {
  /** Start-up, or a reload, is complete. */
  READY?: 1 | true
  /** The configuration is being loaded again; `MONOTONIC_USEC`, which goes with it, is added. `READY` ends it. */
  RELOADING?: 1 | true
  /** The service has begun to stop. */
  STOPPING?: 1 | true
  /** A line for people, which `systemctl status` shows. */
  STATUS?: string
  /** The service is alive, see `watchdog`; `'trigger'` says that it is not. */
  WATCHDOG?: 1 | true | 'trigger'
  /** The number of an errno: why it fails. */
  ERRNO?: number
  /** The process that is the service, if it is not the one that was started. */
  MAINPID?: number
  /** Microseconds by which start-up, or stopping, takes longer than the manager waits. */
  EXTEND_TIMEOUT_USEC?: number
  readonly [name: string]: string | number | boolean | undefined
}

/**
 * Tells the service manager, systemd or another that has set NOTIFY_SOCKET, what is given. False, and nothing happens,
 * if none has: the program was started in another way. On cancel nothing has been sent.
 *
 * The unit needs `Type=notify`, and `NotifyAccess=` if not its main process is speaking. The variable is read each time
 * and inherited by child processes: delete it from `process.env` if they are not to speak.
 *
 * Errors: system errors such as `ENOENT` and `ECONNREFUSED` (with `address`): there is no such socket, or nobody listens;
 * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, for names and for values with a line feed in them.
 *
 * @example
 * const server = yield* serve({ port: 7000 }, talk)
 * yield* notify({ READY: 1, STATUS: `listening on port ${server.address.port}` })
 */
export function notify(fields: NotifyFields): Op<boolean> {
  if (fields === null || typeof fields !== 'object') throw invalidType('fields', 'an object', fields)
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  const lines = given.map(([name, value]) => `${checkName(name)}=${textOf(name, value)}\n`)
  if (lines.length === 0) throw invalidValue('fields', 'must not be empty', fields)
  const reloading = fields.RELOADING !== undefined && fields['MONOTONIC_USEC'] === undefined
  return op(function* () {
    const address = managerAddress()
    if (address === null) return false
    // The clock of the kernel is the one that the manager has.
    const time = reloading ? `MONOTONIC_USEC=${Math.round(currentRuntime().kernel.now() * 1000)}\n` : ''
    yield* send(address, lines.join('') + time)
    return true
  })
}

function checkName(name: string): string {
  if (/^[A-Z_][A-Z0-9_]*$/.test(name)) return name
  throw invalidValue('fields', 'must have names of capital letters, digits and underscores', name)
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string') throw invalidType(`fields.${name}`, 'a string, a number or a boolean', value)
  if (/[\n\0]/.test(value)) throw invalidValue(`fields.${name}`, 'must be one line', value)
  return value
}

/** Null if there is no manager. Other kinds of socket than Unix, which are for virtual machines, are for none here. */
function managerAddress(): UnixAddress | null {
  const name = process.env['NOTIFY_SOCKET']
  if (name === undefined || name === '') return null
  if (name.startsWith('/')) return { family: 'Unix', path: name }
  if (name.startsWith('@') && name.length > 1) return { family: 'Unix', path: `\0${name.slice(1)}` }
  throw invalidValue('NOTIFY_SOCKET', 'must be an absolute path, or an abstract name that begins with @', name)
}

function* send(address: UnixAddress, message: string): Coroutine<void> {
  const { kernel } = currentRuntime()
  const socket = check(kernel.socket('Unix', 'datagram'), 'socket')
  try {
    check(kernel.connect(socket, address), 'connect', address)
  } catch (error) {
    kernel.closeFd(socket)
    throw error
  }
  const descriptor = fd(socket, { own: true })
  try {
    // A manager that is behind has a full queue, and is waited for.
    yield* descriptor.write(message)
  } finally {
    yield* descriptor.close()
  }
}
