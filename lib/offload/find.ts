/** Finding the function of a job, in the worker: what is wrong with a module is said in words. */
import { constants, Script } from 'node:vm'
import { OffloadError } from './errors.js'
import type { Source } from './messages.js'
import type { AnyFunction } from './values.js'

type Namespace = Readonly<Record<string, unknown>>

const namespaces = new Map<string, Namespace>()
const inlines = new Map<string, AnyFunction>()

export async function find(source: Source): Promise<AnyFunction> {
  if ('inline' in source) return inline(source.inline)
  const { module, name, from } = source
  const key = `${from}\n${module}`
  let namespace = namespaces.get(key)
  if (namespace === undefined) namespaces.set(key, (namespace = await load(module, from)))
  const found = namespace[name] ?? commonJs(namespace)[name]
  if (typeof found === 'function') return found as AnyFunction
  const functions = Object.keys({ ...commonJs(namespace), ...namespace }).filter((each) => each !== 'module.exports')
  const what = found === undefined ? 'has no export' : `exports something other than a function as`
  throw new OffloadError(
    'ERR_COREACTOR_NOT_EXPORTED',
    `the module ${module} ${what} "${name}"; it exports ${functions.join(', ') || 'nothing'}`
  )
}

/** What `module.exports` was, of which Node names only what it recognises. */
function commonJs(namespace: Namespace): Namespace {
  const exported = namespace.default
  return typeof exported === 'object' && exported !== null ? (exported as Namespace) : {}
}

async function load(module: string, from: string): Promise<Namespace> {
  try {
    return await importFrom(module, from)
  } catch (error) {
    throw loadError(module, from, error)
  }
}

function loadError(module: string, from: string, error: unknown): OffloadError {
  const { code, message = String(error), url } = error as { code?: string; message?: string; url?: string }
  const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND' || code === 'ERR_UNKNOWN_BUILTIN_MODULE'
  // Of a module that is there, but imports one that is not, the URL of the error is another one.
  if (missing && (url === undefined ? message.includes(module) : url === module)) {
    const where = /^[a-z]+:/.test(module) ? '' : `, looked for from ${from}`
    return new OffloadError('ERR_COREACTOR_MODULE_NOT_FOUND', `the module ${module} cannot be found${where}`, { cause: error })
  }
  const advice =
    code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.[cm]?tsx?$/.test(module)
      ? '; this Node does not run TypeScript: name the compiled file, or have the pool load a loader by execArgv'
      : ''
  return new OffloadError('ERR_COREACTOR_MODULE_FAILED', `the module ${module} cannot be loaded: ${message}${advice}`, {
    cause: error
  })
}

/** `import()` as if it were called in the file `from`. */
function importFrom(module: string, from: string): Promise<Namespace> {
  if (URL.canParse(module)) return import(module) as Promise<Namespace>
  const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER as never
  const script = new Script('(specifier) => import(specifier)', { filename: from, importModuleDynamically })
  const importThere = script.runInThisContext() as (specifier: string) => Promise<Namespace>
  const { emitWarning } = process
  // Node warns of this loader when it is first used: the author of a job could do nothing about it, and there is no other
  // way to resolve a name from another file.
  process.emitWarning = () => {}
  try {
    return importThere(module)
  } finally {
    process.emitWarning = emitWarning
  }
}

/** As a module of its own, so that it may `import()` what has a URL, and modules of Node. */
async function inline(source: string): Promise<AnyFunction> {
  let made = inlines.get(source)
  if (made === undefined) {
    const url = `data:text/javascript,${encodeURIComponent(`export default (${source})`)}`
    made = ((await import(url)) as { default: AnyFunction }).default
    inlines.set(source, made)
  }
  return made
}
