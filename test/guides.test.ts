/**
 * The guides: every `ts` fence is a complete program that runs and prints what the `text` fence right after it shows.
 * Words after `ts` are environment variables that it is run with. They run against dist/, as a user's program does. One
 * that begins with a comment that is its name is a module that the programs after it use.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import * as coreactor from 'coreactor'
import { Connection } from '../lib/net/connection.js'
import { compile, fencesOf, root, textOf } from './documents.js'
import { watchesFifos } from './here.js'

const GUIDES = [
  'docs/first-server.md',
  'docs/framing.md',
  'docs/udp.md',
  'docs/any-fd.md',
  'docs/shutdown.md',
  'docs/coming-from-asyncio.md',
  'docs/cancellation.md',
  'docs/blocking.md'
]
const FOLDER = 'guides'
/** The compiler takes two seconds of a processor, which others may be using. */
const PATIENCE = 120_000

interface Example {
  /** What it is called in out/guides, without an ending: says where it stands. */
  readonly name: string
  readonly heading: string
  readonly environment: string
  readonly code: string
  readonly output: string
}

interface Guide {
  readonly examples: Example[]
  /** The code of each module, by the name of its file. */
  readonly modules: Map<string, string>
  /** What is wrong with the guide. */
  readonly wrong: string[]
}

function examplesOf(document: string, text: string): Guide {
  const fences = fencesOf(text)
  const examples: Example[] = []
  const modules = new Map<string, string>()
  const wrong: string[] = []
  for (const [i, { language, info, content, line, heading }] of fences.entries()) {
    const next = fences[i + 1]
    const [, module] = /^\/\/ ([\w-]+\.ts)\n/.exec(content) ?? []
    if (language === 'ts' && module !== undefined) {
      modules.set(module, content)
    } else if (language === 'ts' && next?.language === 'text' && next.followsFence) {
      const name = `${document.replace(/^.*\/|\.md$/g, '')}-line-${line}`
      examples.push({ name, heading, environment: info, code: content, output: next.content })
    } else if (language === 'ts') {
      wrong.push(`${document}:${line}: an example without the text that it prints`)
    } else if (!['text', 'python', 'sh'].includes(language)) {
      wrong.push(`${document}:${line}: a fence of language "${language}", which nobody runs`)
    }
  }
  return { examples, modules, wrong }
}

interface Ran {
  readonly path: string
  readonly printed: string
  readonly error: string | null
  readonly left: string | null
}

/** Runs examples that share an environment in one process. Gives what became of each, by its name. */
function execute(examples: readonly Example[], environment: string): { ran: Map<string, Ran>; stderr: string } {
  const variables = Object.fromEntries(environment.split(' ').filter(Boolean).map((each) => each.split('=')))
  const paths = examples.map(({ name }) => join(root, 'out', FOLDER, `${name}.js`))
  const runner = fileURLToPath(new URL('fixtures/examples.mjs', import.meta.url))
  const { stdout, stderr } = spawnSync(process.execPath, [runner, ...paths], {
    cwd: root,
    encoding: 'utf8',
    timeout: PATIENCE / 2,
    killSignal: 'SIGKILL',
    env: { ...process.env, COREACTOR_SEED: '', COREACTOR_DEBUG: '', ...variables }
  })
  const reports = stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Ran)
  return { ran: new Map(reports.map((report) => [report.path.replace(/^.*\/|\.js$/g, ''), report])), stderr }
}

const guides = GUIDES.map((document) => examplesOf(document, textOf(document)))
const examples = guides.flatMap((guide) => guide.examples)
const modules = guides.flatMap((guide) => [...guide.modules])

describe('the guides', () => {
  const ran = new Map<string, Ran>()
  let complaints = ''
  let stderr = ''

  beforeAll(() => {
    // Against what is in lib/ now. Does nothing when dist/ is up to date.
    spawnSync(process.execPath, [join(root, 'scripts/setup.mjs')], { stdio: 'ignore' })
    const sources = new Map([...modules, ...examples.map(({ name, code }) => [`${name}.ts`, code] as const)])
    // No paths: the package refers to itself, through its exports.
    complaints = compile(FOLDER, sources, { noEmit: false, paths: {} })
    // A process for each guide and environment: one that hangs keeps no other guide's examples from running.
    for (const { examples: ofGuide } of guides) {
      for (const environment of new Set(ofGuide.map((example) => example.environment))) {
        const batch = execute(ofGuide.filter((example) => example.environment === environment), environment)
        for (const [name, report] of batch.ran) ran.set(name, report)
        if (environment === '') stderr += batch.stderr
      }
    }
  }, 2 * PATIENCE)

  it('have, for every example, the text that it prints', () => {
    expect(guides.flatMap(({ wrong }) => wrong)).toEqual([])
    expect(examples.length).toBeGreaterThan(50)
  })

  it('have only examples that compile against the package', () => {
    expect(complaints).toBe('')
  })

  it('have examples that provoke no warning', () => {
    expect(stderr).toBe('')
  })

  for (const { name, heading, code, output } of examples) {
    // A FIFO is what it waits for.
    it.runIf(watchesFifos || !code.includes('mkfifo'))(`${name} (${heading}): prints what the guide shows, and leaves nothing behind`, () => {
      const { printed, error, left } = ran.get(name) ?? { printed: '', error: 'it has not ended', left: null }
      expect({ printed, error, left }).toEqual({ printed: output, error: null, left: null })
    })
  }
})

it('an example without the text that it prints, or with a word in between, is an error', () => {
  const alone = '```ts\nconsole.log(1)\n```\n'
  const text = '```text\n1\n```\n'
  expect(examplesOf('a.md', `${alone}\n${text}`).wrong).toEqual([])
  expect(examplesOf('a.md', alone).wrong).toEqual(['a.md:1: an example without the text that it prints'])
  expect(examplesOf('a.md', `${alone}\nIt prints:\n\n${text}`).wrong).toEqual(['a.md:1: an example without the text that it prints'])
  expect(examplesOf('a.md', `# A\n${alone}${alone}${text}`).wrong).toEqual(['a.md:2: an example without the text that it prints'])
  expect(examplesOf('a.md', '```js\n1\n```\n').wrong).toEqual(['a.md:1: a fence of language "js", which nobody runs'])
})

it('what the guide calls not built yet is not there', () => {
  const section = textOf('docs/coming-from-asyncio.md').split('\n## ').find((each) => each.startsWith('Not built yet\n')) as string
  const planned = [...section.matchAll(/^\|[^|]*\| `([^`]*)`/gm)].map((match) => match[1] as string)
  const built = planned.filter((name) => name in coreactor || (name.startsWith('connection.') && name.slice(11) in Connection.prototype))
  // What is in this list has been built since: move its row up, and give it an example.
  expect(built).toEqual([])
})
