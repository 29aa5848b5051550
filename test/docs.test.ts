/** The documents: their examples compile against the library's types, their links lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { compile, documents, fencesOf, root, textOf } from './documents.js'

/** The compiler takes two seconds of a processor, which others may be using. */
const PATIENCE = 120_000

/** The code after each `@example` of a docstring in lib/. */
function docstringExamples(): string[] {
  return readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [...readFileSync(join(root, 'lib', name), 'utf8').matchAll(/ \* @example\n((?: +\* ?.*\n)+?) +\*\//g)])
    .map((match) => (match[1] as string).replace(/^ +\* ?/gm, ''))
}

/** The documents whose examples are whole files. */
const WITH_EXAMPLES = ['README.md', 'docs/tour.md', 'docs/testing.md']

function documentExamples(): string[] {
  return WITH_EXAMPLES.flatMap((name) => fencesOf(textOf(name))).flatMap(({ language, content }) => (language === 'ts' ? [content] : []))
}

/** An example that others import begins with a comment that is its name. */
function nameOf(code: string, i: number): string {
  return /^\/\/ ([\w-]+\.ts)\n/.exec(code)?.[1] ?? `example-${i}.ts`
}

/** The names that an entry point exports, values or types. */
function exported(entry: string): string[] {
  const source = readFileSync(join(root, 'lib', entry), 'utf8')
  return [...source.matchAll(/export (type )?\{([^}]*)\} from/g)].flatMap(([, type, names]) =>
    (names as string).split(',').map((name) => (type === undefined ? name.trim() : `type ${name.trim()}`))
  )
}

/** What the short examples of docstrings leave out: the imports, and what their reader has around them. */
const CONTEXT = `import { ${exported('index.ts').join(', ')} } from 'coreactor'
import { ${exported('testing.ts').join(', ')} } from 'coreactor/testing'
import { ${exported('offload.ts').join(', ')} } from 'coreactor/offload'
import { createSocket } from 'coreactor/dgram'
import net from 'coreactor/net'
import * as tls from 'node:tls'
import type { Server as HttpServer } from 'node:http'
import { once, type EventEmitter } from 'node:events'
import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
declare const connection: Connection, url: string, urls: string[], name: string, addresses: string[], jobs: Op<void>[]
declare const condition: Condition, queue: Channel<string>, emitter: EventEmitter, cache: Map<string, string>
declare const stop: Event, tasks: Scope, consumer: Body<[], void>, first: Connection, second: Connection, client: Connection, server: Connection, pending: string[]
declare const httpServer: HttpServer, key: string, cert: string
declare let total: number
declare function readLoop(connection: Connection): Coroutine<void>
declare function writeLoop(connection: Connection): Coroutine<void>
declare function talk(connection: Connection): Coroutine<void>
declare function query(name?: string): Op<string>
declare function resolve(name: string): Op<string>
declare function nextLine(): Op<string | null>
declare function handle(item: unknown): void
declare function serveOne(connection: Connection): Coroutine<void>
declare function report(what?: unknown): void
declare function loadAddon<T>(): T
export {}
`

it('the examples of the documents and of the docstrings compile', () => {
  const examples = [
    ...documentExamples(),
    ...docstringExamples().map((code) =>
      /^await /m.test(code) ? `${CONTEXT}{\n${code}\n}` : `${CONTEXT}export function* example(): Coroutine<void> {\n${code}\n}`
    )
  ]
  expect(examples.length).toBeGreaterThan(10)
  const sources = new Map(examples.map((code, i) => [nameOf(code, i), `export {}\n${code}`]))
  const complaints = compile('docs-examples', sources, {
    noUnusedLocals: false,
    skipLibCheck: true,
    lib: ['es2023', 'esnext.disposable', 'dom'],
    baseUrl: '../..',
    ignoreDeprecations: '6.0'
  })
  expect(complaints).toBe('')
}, PATIENCE)

it('every relative link of the documents leads to a file', () => {
  const broken = documents.flatMap((name) =>
    [...textOf(name).matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] as string)
      .filter((target) => !existsSync(resolve(root, dirname(name), target)))
      .map((target) => `${name}: ${target}`)
  )
  expect(broken).toEqual([])
})

it('every anchor of a link is a heading of the document that it leads to', () => {
  const anchorsOf = (name: string): string[] =>
    [...textOf(name).matchAll(/^#+ (.*)$/gm)].map((match) => (match[1] as string).toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
  const broken = documents.flatMap((name) =>
    [...textOf(name).matchAll(/\]\(([^):\s#]*)#([^)\s]+)\)/g)]
      .filter(([, target, anchor]) => !anchorsOf(target === '' ? name : relative(root, resolve(root, dirname(name), target as string))).includes(anchor as string))
      .map((match) => `${name}: ${match[0]}`)
  )
  expect(broken).toEqual([])
})

it('the code of the document about interop is that of its tests and of the example', () => {
  const sources = ['test/interop', 'examples/http-mysql'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(root, folder, name), 'utf8'))
  )
  const invented = fencesOf(textOf('docs/interop.md')).filter(({ content }) => !sources.some((source) => source.includes(content)))
  expect(invented.map(({ line }) => `docs/interop.md:${line}`)).toEqual([])
})

it('every file the glossary names exists', () => {
  const glossary = textOf('docs/glossary.md')
  const missing = [...glossary.matchAll(/`((?:lib|native)\/[\w./-]+)`/g)].map((match) => match[1] as string).filter((path) => !existsSync(join(root, path)))
  expect(missing).toEqual([])
})
