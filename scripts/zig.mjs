/**
 * The cross compiler: zig, from the npm package pinned with its integrity in scripts/zig/. 400 MB, so it is installed
 * only when something is compiled for another platform, and not with the development dependencies.
 *
 *   node scripts/zig.mjs c++ -target aarch64-macos.11.0 ...     runs it
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = fileURLToPath(new URL('zig', import.meta.url))

/** The path of the zig program; installs it first if that has not been done. Throws when that fails. */
export function zig() {
  const program = join(home, 'node_modules/.bin/zig')
  if (!existsSync(program)) {
    process.stderr.write('Installing the cross compiler ...\n')
    // Without scripts: the binary is in the package, and nothing that is downloaded is run unasked.
    // Locked versions and integrity hold for it, too; npm ci refuses a lock file without the packages of other platforms.
    const options = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
    const npm = spawnSync('npm', options, { cwd: home, encoding: 'utf8' })
    if (npm.status !== 0) throw new Error(`npm install in scripts/zig failed:\n${npm.error?.message ?? npm.stderr}`)
  }
  return program
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = spawnSync(zig(), process.argv.slice(2), { stdio: 'inherit' }).status ?? 1
}
