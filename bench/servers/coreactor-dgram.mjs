/** UDP echo over coreactor/dgram: the program of node-udp.mjs, with nothing but the import changed. */
import { createSocket } from 'coreactor/dgram'
import { control } from './control.mjs'

const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
socket.on('message', (message, { address, port }) => socket.send(message, port, address))
socket.bind(0, '127.0.0.1', () => control(socket.address().port))
