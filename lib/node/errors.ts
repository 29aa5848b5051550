/** Errors in Node's own shape: its codes for what a program has done wrong, its properties for what the system says. */
import { getSystemErrorMap } from 'node:util'
import { invalidType, received } from '../task/validate.js'

type ErrorType = new (message: string) => Error

/** An error of Node's with this code. Its name says the code in the stack only, as Node has it. */
export function nodeError(code: string, message: string, Type: ErrorType = Error): Error & { code: string } {
  const error = new Type(message)
  const { name } = error
  error.name = `${name} [${code}]`
  // Node's own trick: the stack is made from the name, which is an ordinary one afterwards.
  void error.stack
  Reflect.deleteProperty(error, 'name')
  return Object.assign(error, { code })
}

export const socketClosed = (): Error => nodeError('ERR_SOCKET_CLOSED', 'Socket is closed')

export const closedBeforeConnection = (): Error =>
  nodeError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', 'Socket closed before the connection was established')

export const connectionTimeout = (): Error => nodeError('ERR_SOCKET_CONNECTION_TIMEOUT', 'Socket connection timeout')

export const alreadyListening = (): Error =>
  nodeError('ERR_SERVER_ALREADY_LISTEN', 'Listen method has been called more than once without closing.')

export const notRunning = (): Error => nodeError('ERR_SERVER_NOT_RUNNING', 'Server is not running.')

export const invalidFdType = (type: string): Error => nodeError('ERR_INVALID_FD_TYPE', `Unsupported fd type: ${type}`, TypeError)

export const invalidHandleType = (): Error => nodeError('ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent', TypeError)

export const invalidIp = (address: unknown): Error =>
  nodeError('ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${String(address)}`, TypeError)

export const ipBlocked = (address: string): Error => nodeError('ERR_IP_BLOCKED', `IP(${address}) is blocked by net.BlockList`)

export function invalidFamily(family: unknown, host: unknown, port: unknown): Error {
  const message = `Invalid address family: ${String(family)} ${String(host)}:${String(port)}`
  return Object.assign(nodeError('ERR_INVALID_ADDRESS_FAMILY', message, RangeError), { host, port })
}

export const missingArguments = (): Error =>
  nodeError('ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified', TypeError)

/** A port as Node takes it: a number, or a text that is one. */
export function checkPort(name: string, port: unknown): number {
  const isPort = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  if (!isPort && typeof port !== 'string') throw invalidType(name, 'one of type number or string', port)
  const number = Number(port)
  if (isPort && number === number >>> 0 && number <= 0xffff) return number
  throw nodeError('ERR_SOCKET_BAD_PORT', `${name} should be >= 0 and < 65536. Received ${received(port)}.`, RangeError)
}

export interface SystemErrorDetails {
  address?: string | null | undefined
  port?: number | undefined
  localAddress?: string | undefined
  localPort?: number | undefined
  /** Whether the message has the system's words for the error, too. */
  inWords?: boolean
}

/** What a system call has failed with. `errno` is negative. */
export function systemError(errno: number, syscall: string, details: SystemErrorDetails = {}): NodeJS.ErrnoException {
  const { address, port, localAddress, localPort, inWords = false } = details
  const [code, words] = getSystemErrorMap().get(errno) ?? [`E${-errno}`, 'unknown error']
  const where = port !== undefined && port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : ''
  const from = localPort === undefined ? '' : ` - Local (${localAddress}:${localPort})`
  const error = new Error(`${syscall} ${code}${inWords ? `: ${words}` : ''}${where}${from}`)
  return Object.assign(error, {
    errno,
    code,
    syscall,
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(localPort === undefined ? {} : { localAddress, localPort })
  })
}

/** The error of several attempts. Its message is empty and its code that of the first, as Node has it. */
export function attemptsFailed(errors: readonly Error[]): AggregateError {
  const error = new AggregateError(errors)
  return Object.assign(error, { code: (errors[0] as NodeJS.ErrnoException).code })
}
