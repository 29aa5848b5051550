/** Echo over coreactor, an async function for each connection. */
import { run, serve } from 'coreactor'
import { control } from './control.mjs'

await run(async () => {
  const server = await serve({ port: 0, host: '127.0.0.1' }, async (connection) => {
    const buffer = Buffer.alloc(4096)
    for (let n; (n = await connection.read(buffer)) > 0; ) await connection.write(buffer.subarray(0, n))
  })
  control(server.address.port)
})
