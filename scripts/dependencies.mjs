/** Installs what only a folder of its own needs, when it is needed: exactly what its lock file says, and no scripts are run. */
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError } from './setup.mjs'

/** Does nothing if what is installed is what the lock file of `folder` says. */
export async function installDependencies(folder) {
  const lock = join(folder, 'package-lock.json')
  // Not the time of the lock file: another branch and back again would install everything anew.
  const installed = join(folder, 'node_modules/.installed-lock.json')
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return
  process.stderr.write(`Installing the dependencies of ${folder} ...\n`)
  const { code, output } = await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder)
  if (code !== 0) throw new SetupError(`Installing the dependencies of ${folder} failed:\n${output}`)
  copyFileSync(lock, installed)
}

function npm(args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.once('error', (error) => reject(new SetupError(`npm cannot be started: ${error.message}`)))
    child.once('close', (code) => resolve({ code, output }))
  })
}
