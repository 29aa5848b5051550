/** The documents as the tests read them: where they are, what stands in their fences, and the compiler for it. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** All of them, as paths from the root. */
export const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) => name.endsWith('.md'))

export function textOf(document: string): string {
  return readFileSync(join(root, document), 'utf8')
}

export interface Fence {
  /** The first word of what stands behind the backticks, and the rest of it. */
  readonly language: string
  readonly info: string
  readonly content: string
  /** Where it opens, counted from 1. */
  readonly line: number
  /** The last heading before it. */
  readonly heading: string
  /** Nothing but blank lines stands between it and the fence before it. */
  readonly followsFence: boolean
}

/** The fences of a document, in their order. */
export function fencesOf(text: string): Fence[] {
  const found: Fence[] = []
  let heading = ''
  let followsFence = false
  let open: { language: string; info: string; line: number; lines: string[] } | null = null
  for (const [i, line] of text.split('\n').entries()) {
    if (open !== null && line === '```') {
      const { language, info, lines } = open
      found.push({ language, info, content: lines.map((each) => `${each}\n`).join(''), line: open.line, heading, followsFence })
      open = null
      followsFence = true
    } else if (open !== null) {
      open.lines.push(line)
    } else if (line.startsWith('```')) {
      const [language = '', ...info] = line.slice(3).split(' ')
      open = { language, info: info.join(' '), line: i + 1, lines: [] }
    } else if (line !== '') {
      followsFence = false
      if (line.startsWith('#')) heading = line.replace(/^#+ /, '')
    }
  }
  return found
}

/** Compiles sources, by their names, in a folder of out/ that is theirs alone. Gives what the compiler has to say. */
export function compile(
  folder: string,
  sources: ReadonlyMap<string, string>,
  compilerOptions: object,
  include: readonly string[] = ['*.ts']
): string {
  const path = join(root, 'out', folder)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { recursive: true })
  for (const [name, source] of sources) writeFileSync(join(path, name), source)
  writeFileSync(join(path, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include }))
  return spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', path], { encoding: 'utf8' }).stdout
}
