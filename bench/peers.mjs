/** Builds the C peer and the C load into out/bench, where there is a compiler. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Paths of the binaries, or null without a compiler. Throws if there is one and it refuses the sources. */
export function buildPeers(root) {
  const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0)
  if (compiler === undefined || process.platform !== 'linux') return null
  const out = fileURLToPath(new URL('out/bench/', root))
  mkdirSync(out, { recursive: true })
  const build = (name) => {
    const source = fileURLToPath(new URL(`bench/peers/${name}.c`, root))
    const { status, stderr } = spawnSync(compiler, ['-O2', '-Wall', '-Wextra', '-Werror', source, '-o', out + name])
    if (status !== 0) throw new Error(String(stderr))
    return out + name
  }
  return { server: build('server'), load: build('load') }
}
