/** undici over coreactor: what its option `connect` is given. */
import { connect } from 'coreactor/net'
import { buildConnector } from 'undici'

/** `new Agent({ connect: connector })`, or a Client, or a Pool. The callback must not be called before this returns. */
export const connector: buildConnector.connector = ({ hostname, port }, callback) => {
  const socket = connect({ host: hostname, port: port || 80, noDelay: true })
  const failed = (error: Error): void => callback(error, null)
  socket.once('error', failed)
  socket.once('connect', () => {
    socket.off('error', failed)
    callback(null, socket as never)
  })
}

/** For https: undici's own TLS on top of such a socket. */
export function secureConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const secured = buildConnector(options)
  return (to, callback) => {
    if (to.protocol !== 'https:') return connector(to, callback)
    connector({ ...to, port: to.port || '443' }, (error, httpSocket) => {
      if (error !== null) callback(error, null)
      else secured({ ...to, httpSocket: httpSocket as never }, callback)
    })
  }
}
