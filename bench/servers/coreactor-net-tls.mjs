/** TLS of Node over the sockets of coreactor/net. */
import { createServer } from 'node:tls'
import net from 'coreactor/net'
import { bulk, makeCertificate } from './bulk.mjs'
import { control } from './control.mjs'

const tls = createServer(makeCertificate(), bulk)
const server = net.createServer({ noDelay: true, wrapped: true }, (socket) => tls.emit('connection', socket))
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
