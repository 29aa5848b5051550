/** Opens connections and keeps them, saying nothing: `node idle-load.mjs PORT COUNT`. Prints a line when all are open. */
import { createConnection } from 'node:net'

const [, , port, count] = process.argv.map(Number)
/** At a time, so that no listener's queue overflows. */
const BATCH = 500

for (let opened = 0; opened < count; opened += BATCH) {
  const batch = Array.from({ length: Math.min(BATCH, count - opened) }, () => {
    return new Promise((resolve, reject) => createConnection({ port, host: '127.0.0.1' }).once('connect', resolve).once('error', reject))
  })
  await Promise.all(batch)
}
console.log('open')
process.stdin.on('end', () => process.exit(0)).resume()
