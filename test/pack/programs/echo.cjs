/** The same as CommonJS; and what `import` gives is the very same library. */
const { connect, run, serve, Connection } = require('coreactor')

run(async () => {
  const server = await serve({ port: 0, host: '127.0.0.1' }, async (connection) => {
    for await (const chunk of connection) await connection.write(chunk)
  })
  const client = await connect({ port: server.address.port })
  await client.write('there and back\n')
  const line = await client.readLine()
  await client.close()
  await server.close()
  const imported = await import('coreactor')
  console.log(imported.Connection === Connection && client instanceof imported.Connection ? line : 'two libraries')
})
