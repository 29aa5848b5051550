/**
 * Runs one of examples/, after whatever set-up it needs.
 *
 *   npm run example resp-server -- --port 6379
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, join } from 'node:path'
import { packagedExamples, setupExample } from './example-setup.mjs'
import { root, setup, SetupError } from './setup.mjs'

const [name, ...args] = process.argv.slice(2)
const packaged = packagedExamples()
const names = readdirSync(join(root, 'examples'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'))
  .concat(packaged)

if (!names.includes(name)) {
  console.error(`Usage: npm run example <name> -- [arguments]\nExamples: ${names.join(', ')}`)
  process.exit(2)
}

let program = join(root, 'out/examples', `${name}.js`)
try {
  await setup({ examples: true })
  if (packaged.includes(name)) program = await setupExample(name)
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(error.message)
  process.exit(1)
}

const example = spawn(process.execPath, [program, ...args], { stdio: 'inherit' })
// Ctrl-C reaches both of us: the example decides when it ends. A signal that was sent to us alone is passed on.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.stdin.isTTY || example.kill(signal))
example.once('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal]
})
