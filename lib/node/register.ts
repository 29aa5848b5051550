/**
 * What `node --import coreactor/register` does: `net` and `dgram` are ours from then on, for the program and its packages,
 * by `import` and by `require`. Node's own modules keep theirs: they load one another by other ways.
 */
import module from 'node:module'
import { pathToFileURL } from 'node:url'
import { environment } from '../runtime/environment.js'
import { packagesOf, replacement, type Rules } from './register-rules.js'

/** As `module.registerHooks` has it; types of Node 20 know nothing of it. */
interface SyncHooks {
  resolve(specifier: string, context: { conditions: readonly string[]; parentURL?: string }, next: (...args: unknown[]) => unknown): unknown
}

/** CommonJS's own part, where there is no `registerHooks`. Not documented, and what all such tools replace. */
interface CommonJs {
  _load(request: string, parent: { filename?: string | null } | null | undefined, isMain: boolean): unknown
}

const { registerHooks } = module as unknown as { registerHooks?: (hooks: SyncHooks) => void }

const rules: Rules = { packages: packagesOf(environment.packages), home: new URL('../', import.meta.url).href }

/** The packages that it is limited to; null: none, all code gets ours. */
export const packages = rules.packages

if (registerHooks === undefined) {
  module.register(new URL('register-hooks.js', import.meta.url), { data: rules })
  replaceLoad(module as unknown as CommonJs)
} else {
  registerHooks({
    resolve(specifier, context, next) {
      const name = replacement(rules, specifier, context.parentURL)
      if (name === null) return next(specifier, context)
      const isCommonJs = context.conditions.includes('require')
      const url = new URL(isCommonJs ? `${name}.cjs` : `${name}.js`, rules.home).href
      return { url, format: isCommonJs ? 'commonjs' : 'module', shortCircuit: true }
    }
  })
}

function replaceLoad(commonJs: CommonJs): void {
  const { _load: load } = commonJs
  const ours = module.createRequire(import.meta.url)
  commonJs._load = function (request, parent, isMain) {
    const file = parent?.filename
    const name = replacement(rules, request, file ? pathToFileURL(file).href : undefined)
    return name === null ? load.call(this, request, parent, isMain) : ours(`../${name}.cjs`)
  }
}
