/** Echo over coreactor/net. */
import { createServer } from 'coreactor/net'
import { control } from './control.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
