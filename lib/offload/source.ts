/** What is to be run, as the caller says it: a module and the name of an export, or a function of its own source. */
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Script } from 'node:vm'
import { invalidType, invalidValue } from '../task/validate.js'
import { OffloadError } from './errors.js'
import type { InlineSource, ModuleSource } from './messages.js'

/** Schemes that Node imports from. */
const SCHEMES = ['file:', 'node:', 'data:']

export function moduleSource(module: unknown, name: unknown, from: string | URL | undefined): ModuleSource {
  if (typeof module === 'function') throw refused(module)
  if (typeof module !== 'string' && !(module instanceof URL)) throw invalidType('module', 'a URL, a path or the name of a package', module)
  if (typeof name !== 'string') throw invalidType('name', 'of type string: the name of an export', name)
  return { module: located(module, from), name, from: base(from) }
}

/** Self-contained, as far as can be seen: the worker will see the rest. */
export function inlineSource(inline: (...args: never[]) => unknown): InlineSource {
  const source = Function.prototype.toString.call(inline)
  if (/^class\b/.test(source)) throw inlineError(inline, 'a class: it cannot be called')
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) throw inlineError(inline, 'native, or bound to something: it has no source')
  try {
    new Script(`(${source})`)
  } catch (error) {
    throw inlineError(inline, 'a method: write it as "function" or with an arrow', { cause: error })
  }
  return { inline: source }
}

function refused(inline: { readonly name: string }): OffloadError {
  const name = inline.name === '' ? 'a function' : `the function ${inline.name}`
  return new OffloadError(
    'ERR_COREACTOR_INLINE_FUNCTION',
    `${name} cannot be sent to another thread: only its text could, without the variables around it. Export it from a module, ` +
      "and name that: offload(new URL('./work.js', import.meta.url), 'name', args). If it uses nothing but its arguments and " +
      'what is global: offload(function, args, { inline: true })'
  )
}

function inlineError(inline: { readonly name: string }, what: string, options?: ErrorOptions): OffloadError {
  const message = `the inline function ${inline.name === '' ? '' : `${inline.name} `}is ${what}`
  return new OffloadError('ERR_COREACTOR_INLINE_FUNCTION', message, options)
}

function located(module: string | URL, from: string | URL | undefined): string {
  if (module instanceof URL) return checked(module).href
  if (module === '' || module.includes('\0')) throw invalidValue('module', 'must be a URL, a path or the name of a package', module)
  if (/^\.\.?(\/|$)/.test(module)) {
    if (from !== undefined) return new URL(module, base(from)).href
    const advice = "is relative: say to what, by new URL('./work.js', import.meta.url), or by options.from"
    throw invalidValue('module', advice, module)
  }
  if (isAbsolute(module)) return pathToFileURL(module).href
  return URL.canParse(module) ? checked(new URL(module)).href : module
}

function checked(url: URL): URL {
  if (SCHEMES.includes(url.protocol)) return url
  throw invalidValue('module', `must be a URL of ${SCHEMES.join(', ')}`, url.href)
}

/** What a bare name is resolved from. */
function base(from: string | URL | undefined): string {
  if (from === undefined) return pathToFileURL(`${process.cwd()}/`).href
  if (from instanceof URL && from.protocol === 'file:') return from.href
  if (typeof from === 'string' && isAbsolute(from)) return pathToFileURL(from).href
  if (typeof from === 'string' && from.startsWith('file:') && URL.canParse(from)) return from
  throw invalidValue('options.from', 'must be the URL or the path of a file: import.meta.url, or __filename', from)
}
