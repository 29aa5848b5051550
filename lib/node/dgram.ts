/** The members of the module `coreactor/dgram`, under the names that `node:dgram` has for them. */
import { EventEmitter } from 'node:events'
import {
  prepareDatagram,
  Socket as SocketClass,
  type MessageListener,
  type SocketOptions,
  type SocketType
} from './datagram-socket.js'

/**
 * A UDP socket; what it receives is its 'message' events. Old packages call Node's without `new`, on an object of their own
 * (`dgram.Socket.call(this)`); so can this be.
 */
export const Socket = new Proxy(SocketClass, {
  apply(_target, self: unknown, [type, listener]: [SocketType | SocketOptions, MessageListener?]) {
    if (!(self instanceof SocketClass)) return new SocketClass(type, listener)
    EventEmitter.call(self)
    prepareDatagram(self, type, listener)
    return undefined
  }
}) as typeof SocketClass & ((type: SocketType | SocketOptions, listener?: MessageListener) => SocketClass)
/** What `new Socket` makes. */
export type Socket = SocketClass

/**
 * A UDP socket; `bind` begins. As `dgram.createSocket` of Node.
 *
 * @example
 * const socket = createSocket('udp4', (message, { port, address }) => socket.send(message, port, address))
 * socket.bind(7000)
 */
export function createSocket(type: SocketType | SocketOptions, listener?: MessageListener): SocketClass {
  return new SocketClass(type, listener)
}

/** What `import dgram from 'coreactor/dgram'` and `require` give: an object whose members can be replaced, as Node's. */
export default { createSocket, Socket }
