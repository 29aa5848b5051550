/**
 * The entry point `coreactor/dgram`, in place of `node:dgram`: re-exports only.
 *
 * @module
 */
export { createSocket, default, Socket } from './node/dgram.js'
export type { BindOptions, MessageListener, RemoteInfo, SendCallback, SocketOptions, SocketType } from './node/datagram-socket.js'
