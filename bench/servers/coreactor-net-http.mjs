/** HTTP of Node over the sockets of coreactor/net. */
import { createServer } from 'node:http'
import net from 'coreactor/net'
import { control } from './control.mjs'
import { hello } from './hello.mjs'

const http = createServer(hello)
const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => http.emit('connection', socket))
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
