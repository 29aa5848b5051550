/**
 * An npm registry on loopback, in memory, for one test: a package can be published to it and installed from it. What
 * happens when a package is published and installed from a registry cannot be seen with a tarball's path.
 */
import { createServer } from 'node:http'
import { once } from 'node:events'

/** Gives its address, without a slash at the end, and how to close it. */
export async function openRegistry() {
  const packages = new Map()
  const tarballs = new Map()
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(request.url.split('?')[0])
    const answer = (status, body, type = 'application/json') => {
      response.writeHead(status, { 'content-type': type, connection: 'close' })
      response.end(Buffer.isBuffer(body) ? body : JSON.stringify(body))
    }
    if (request.method === 'PUT') {
      publish(path.slice(1), JSON.parse(await bodyOf(request)))
      return answer(201, { ok: true })
    }
    if (tarballs.has(path)) return answer(200, tarballs.get(path), 'application/octet-stream')
    if (packages.has(path.slice(1))) return answer(200, packages.get(path.slice(1)))
    answer(404, { error: `there is no ${path} here` })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = `http://127.0.0.1:${server.address().port}`

  function publish(name, document) {
    for (const [file, { data }] of Object.entries(document._attachments)) tarballs.set(`/${name}/-/${file}`, Buffer.from(data, 'base64'))
    delete document._attachments
    for (const [version, { dist }] of Object.entries(document.versions)) dist.tarball = `${address}/${name}/-/${name}-${version}.tgz`
    // Some clients ask how long ago that was.
    document.time = Object.fromEntries(Object.keys(document.versions).map((version) => [version, new Date(0).toISOString()]))
    packages.set(name, document)
  }

  return { address, close: () => server.close(), packument: (name) => packages.get(name) }
}

async function bodyOf(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
