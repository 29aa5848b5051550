/** Connections that say nothing, over node:net. */
import { createServer } from 'node:net'
import { control } from './idle-control.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
