/** Accepts, reads the first byte and closes, over node:net. */
import { createServer } from 'node:net'
import { control } from './control.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  socket.once('data', () => socket.destroy())
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
