/**
 * Makes what tsc declares in dist/ true: a class that implements an interface of the library's own loses the members that
 * are marked internal, and then does not implement it any more, for a compiler that checks declarations (skipLibCheck is
 * off by default). The clause says nothing that the class does not say itself; it stays for interfaces that users know.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

const LANGUAGE = ['AsyncIterable', 'Iterable', 'PromiseLike', 'Disposable', 'AsyncDisposable']
const dist = join(root, 'dist')

const entries = readdirSync(dist).filter((file) => file.endsWith('.d.ts'))
const exported = entries.flatMap((file) => [...readFileSync(join(dist, file), 'utf8').matchAll(/\b([A-Z]\w*)\b(?=\s*[,}])/g)].map(([, name]) => name))
const known = new Set([...LANGUAGE, ...exported])

for (const file of readdirSync(dist, { recursive: true }).filter((each) => each.endsWith('.d.ts'))) {
  const text = readFileSync(join(dist, file), 'utf8')
  const mended = text.replace(/^(.*\bclass .*?) implements (.*) \{$/gm, (_, head, interfaces) => {
    const kept = interfaces.split(/, (?![^<]*>)/).filter((each) => known.has(each.replace(/<.*/, '')))
    return `${head}${kept.length > 0 ? ` implements ${kept.join(', ')}` : ''} {`
  })
  if (mended !== text) writeFileSync(join(dist, file), mended)
}
