/** The members of the module `coreactor/net`, under the names that `node:net` has for them. */
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net'
import { Duplex, type DuplexOptions } from 'node:stream'
import { connectArguments, normalized, type Callback0, type ConnectOptions } from './arguments.js'
import {
  getAttemptTimeout as getDefaultAutoSelectFamilyAttemptTimeout,
  getAutoSelectFamily as getDefaultAutoSelectFamily,
  setAttemptTimeout as setDefaultAutoSelectFamilyAttemptTimeout,
  setAutoSelectFamily as setDefaultAutoSelectFamily
} from './auto-selection.js'
import { prepareServer, Server as ServerClass, type ConnectionListener, type ServerOptions } from './server.js'
import { checkedOptions, prepare, Socket as SocketClass, type InternalOptions, type SocketOptions } from './socket.js'

/** Where to, and what the socket is like. As Node's `net.NetConnectOpts`. */
export type NetConnectOptions = ConnectOptions & SocketOptions

const clientSocket = channel('net.client.socket')

/**
 * A TCP or Unix connection as a stream of Node's. Old packages call Node's without `new`, or on an object of their own
 * (`net.Socket.call(this)`); so can this be.
 */
export const Socket = new Proxy(SocketClass, {
  apply(_target, self: unknown, [options]: [InternalOptions?]) {
    if (!(self instanceof SocketClass)) return new SocketClass(options)
    const checked = checkedOptions(options)
    ;(Duplex as unknown as (this: Duplex, options: DuplexOptions) => void).call(self, checked as DuplexOptions)
    prepare(self, checked)
    return undefined
  }
}) as typeof SocketClass & ((options?: SocketOptions | number) => SocketClass)
/** What `new Socket` makes. */
export type Socket = SocketClass

/** Listens at a port or at a path, and makes a `Socket` of every connection; with `new` or without. As `net.Server` of Node. */
export const Server = new Proxy(ServerClass, {
  apply(_target, self: unknown, [options, listener]: [ServerOptions?, ConnectionListener?]) {
    if (!(self instanceof ServerClass)) return new ServerClass(options, listener)
    EventEmitter.call(self)
    prepareServer(self, options, listener)
    return undefined
  }
}) as typeof ServerClass & ((options?: ServerOptions | ConnectionListener, listener?: ConnectionListener) => ServerClass)
/** What `new Server` makes. */
export type Server = ServerClass

/**
 * A server for TCP or Unix sockets; `listen` begins. As `net.createServer` of Node.
 *
 * @example
 * const server = net.createServer((socket) => socket.pipe(socket)).listen(7000)
 */
export function createServer(options?: ServerOptions | ConnectionListener, listener?: ConnectionListener): ServerClass {
  return new ServerClass(options, listener)
}

/**
 * A socket that connects: to (options), (port, host) or (path). As `net.connect` of Node.
 *
 * @example
 * const socket = net.connect(6379, '127.0.0.1', () => socket.write('PING\r\n'))
 */
export function connect(options: NetConnectOptions, connected?: Callback0): SocketClass
export function connect(port: number | string, host?: string, connected?: Callback0): SocketClass
export function connect(port: number | string, connected?: Callback0): SocketClass
export function connect(path: string, connected?: Callback0): SocketClass
export function connect(...args: unknown[]): SocketClass {
  const [options, connected] = normalized(args) as [NetConnectOptions, Callback0 | null]
  const socket = new SocketClass(options)
  if (clientSocket.hasSubscribers) clientSocket.publish({ socket })
  if (options.timeout) socket.setTimeout(options.timeout)
  return socket._connect(...connectArguments([[options, connected]]))
}

export { connect as createConnection, Socket as Stream }
export { BlockList, isIP, isIPv4, isIPv6, SocketAddress }
export {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout
}

/** What `import net from 'coreactor/net'` and `require` give: an object whose members can be replaced, as Node's. */
export default {
  BlockList,
  SocketAddress,
  connect,
  createConnection: connect,
  createServer,
  isIP,
  isIPv4,
  isIPv6,
  Server,
  Socket,
  Stream: Socket,
  getDefaultAutoSelectFamily,
  setDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamilyAttemptTimeout,
  _normalizeArgs: normalized
}
