/** UDP echo over node:dgram. */
import { createSocket } from 'node:dgram'
import { control } from './control.mjs'

const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
socket.on('message', (message, { address, port }) => socket.send(message, port, address))
socket.bind(0, '127.0.0.1', () => control(socket.address().port))
