/** Makes an example ready that is a folder with dependencies of its own: installs them, and compiles it into out/examples. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { installDependencies } from './dependencies.mjs'
import { root, SetupError } from './setup.mjs'

/** Those that are folders with a package.json; each begins in main.ts. */
export function packagedExamples() {
  return readdirSync(join(root, 'examples')).filter((name) => existsSync(join(root, 'examples', name, 'package.json')))
}

/** Gives the path of what is to be started. `setup` has been called. */
export async function setupExample(name) {
  const folder = join(root, 'examples', name)
  const out = join(root, 'out/examples', name)
  await installDependencies(folder)
  const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
  if (tsc.status !== 0) throw new SetupError(`Compiling the example ${name} failed:\n${tsc.stdout}`)
  mkdirSync(out, { recursive: true })
  // What runs stands in out/, and finds there what is installed beside its source.
  const link = join(out, 'node_modules')
  if (!existsSync(link)) symlinkSync(join(folder, 'node_modules'), link, 'dir')
  return join(out, 'main.js')
}
