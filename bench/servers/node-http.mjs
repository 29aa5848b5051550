/** HTTP over node:net, as everybody has it. */
import { createServer } from 'node:http'
import { control } from './control.mjs'
import { hello } from './hello.mjs'

const server = createServer(hello)
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
