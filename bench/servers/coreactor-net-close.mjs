/** Accepts and closes over coreactor/net. */
import { createServer } from 'coreactor/net'
import { control } from './control.mjs'

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.destroy()
})
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
