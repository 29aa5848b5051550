/**
 * `npm run demo`: ten thousand connections to the RESP example, over coreactor and over node:net, and what each costs.
 * Sets up whatever a fresh clone lacks first.
 *
 *   npm run demo -- [--connections 10000] [--seconds 10]
 *
 * Ends with 0. Ctrl-C stops it at any moment, with 130 as a shell reports an interrupted command.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { root, setup, SetupError } from './setup.mjs'

const INTERRUPTED = 130

const { values } = parseArgs({
  options: { connections: { type: 'string', default: '10000' }, seconds: { type: 'string', default: '10' } }
})
const connections = Number(values.connections)
const seconds = Number(values.seconds)
if (!Number.isInteger(connections) || connections < 1 || !(seconds > 0)) {
  console.error('--connections must be a positive integer, --seconds a positive number')
  process.exit(2)
}

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => interrupted.abort())
// Whoever was reading what we say has gone: `npm run demo | head`.
process.stdout.on('error', () => interrupted.abort())
const { signal } = interrupted

try {
  await setup({ examples: true, signal })
  const { show } = await import(pathToFileURL(join(root, 'out/examples/demo/show.js')))
  await show({ connections, seconds, signal })
} catch (error) {
  if (signal.aborted) {
    console.log('Stopped.')
    process.exitCode = INTERRUPTED
  } else {
    console.error(error instanceof SetupError ? error.message : error)
    process.exitCode = 1
  }
}
