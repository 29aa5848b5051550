/** The errors that sockets in the shape of node:dgram have for what a program has done wrong. */
import { getSystemErrorMap } from 'node:util'
import { received } from '../task/validate.js'
import { nodeError } from './errors.js'

export const alreadyBound = (): Error => nodeError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound')

export const alreadyConnected = (): Error => nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected')

export const notConnected = (): Error => nodeError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected')

export const datagramNotRunning = (): Error => nodeError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running')

export const badSocketType = (): Error =>
  nodeError('ERR_SOCKET_BAD_TYPE', 'Bad socket type specified. Valid types are: udp4, udp6', TypeError)

export const badBufferSize = (): Error => nodeError('ERR_SOCKET_BAD_BUFFER_SIZE', 'Buffer size must be a positive integer', TypeError)

export const outOfBounds = (name: string): Error =>
  nodeError('ERR_BUFFER_OUT_OF_BOUNDS', `"${name}" is outside of buffer bounds`, RangeError)

export const missingArgument = (name: string): Error =>
  nodeError('ERR_MISSING_ARGS', `The "${name}" argument must be specified`, TypeError)

/** The port of a peer, or with `allowZero` one to bind to: a number or a text that is one. */
export function checkDatagramPort(name: string, port: unknown, allowZero: boolean): number {
  const isPort = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  const number = Number(port)
  if (isPort && number === number >>> 0 && number <= 0xffff && (port !== 0 || allowZero)) return number
  const least = allowZero ? '>=' : '>'
  throw nodeError('ERR_SOCKET_BAD_PORT', `${name} should be ${least} 0 and < 65536. Received ${received(port)}.`, RangeError)
}

/** What a system call about a buffer's size has failed with: Node has a shape of its own for it. */
export function bufferSizeError(errno: number, syscall: string): Error {
  const [code, message] = getSystemErrorMap().get(errno) ?? [`E${-errno}`, 'unknown error']
  const error = new Error(`Could not get or set buffer size: ${syscall} returned ${code} (${message})`)
  error.name = 'SystemError'
  return Object.assign(error, { code: 'ERR_SOCKET_BUFFER_SIZE', info: { errno, code, message, syscall }, errno, syscall })
}
