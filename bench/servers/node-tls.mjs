/** TLS over node:net, as everybody has it. */
import { createServer } from 'node:tls'
import { bulk, makeCertificate } from './bulk.mjs'
import { control } from './control.mjs'

const server = createServer(makeCertificate(), bulk)
server.listen(0, '127.0.0.1', 4096, () => control(server.address().port))
