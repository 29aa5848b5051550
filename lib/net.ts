/**
 * The entry point `coreactor/net`, in place of `node:net`: re-exports only.
 *
 * @module
 */
export { default } from './node/net.js'
export {
  BlockList,
  connect,
  createConnection,
  createServer,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  Server,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
  Socket,
  SocketAddress,
  Stream,
  type NetConnectOptions
} from './node/net.js'
export type { ConnectionListener, DropData, ListenOptions, ServerOptions } from './node/server.js'
export type { AddressInfo, OnRead, SocketOptions } from './node/socket.js'
