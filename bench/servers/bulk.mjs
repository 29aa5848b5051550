/**
 * What the TLS servers of the bench do with a connection. It begins with a letter and a count of MiB in four bytes:
 * "d", and the server sends so much and ends; "u", and the server takes so much and ends.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MIB = 2 ** 20
/** What a file stream of Node's gives at a time. */
const BLOCK = Buffer.alloc(64 * 1024, 'coreactor')

export function bulk(socket) {
  socket.on('error', () => {})
  socket.once('data', (request) => {
    const down = request[0] === 'd'.charCodeAt(0)
    const bytes = request.readUInt32BE(1) * MIB
    if (down) return send(socket, bytes)
    let missing = bytes - (request.length - 5)
    socket.on('data', (chunk) => {
      missing -= chunk.length
      if (missing <= 0) socket.end('taken')
    })
  })
}

function send(socket, bytes) {
  let left = bytes
  const more = () => {
    while (left > 0) {
      left -= BLOCK.length
      if (!socket.write(BLOCK)) return
    }
    socket.off('drain', more)
    socket.end()
  }
  socket.on('drain', more)
  more()
}

/** A certificate that signs itself, and its key, made by openssl for this one process. */
export function makeCertificate() {
  const directory = mkdtempSync(join(tmpdir(), 'coreactor-bench-'))
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost']
  try {
    execFileSync('openssl', ['req', ...kind, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return { cert: readFileSync(cert), key: readFileSync(key) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
