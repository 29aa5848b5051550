/** Answers pipelined RESP commands with +PONG over node:net: one write for each, as a handler of commands would. */
import { createServer } from 'node:net'
import { control } from './control.mjs'
import { CommandCounter } from './ping.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  const counter = new CommandCounter()
  socket.on('data', (chunk) => {
    for (let left = counter.count(chunk); left > 0; left--) socket.write('+PONG\r\n')
  })
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
