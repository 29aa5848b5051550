/** Hooks of `import` for a Node without `module.registerHooks`: they run in a thread of Node's own. */
import type { InitializeHook, ResolveHook } from 'node:module'
import { replacement, type Rules } from './register-rules.js'

let rules: Rules

export const initialize: InitializeHook<Rules> = (given) => {
  rules = given
}

export const resolve: ResolveHook = (specifier, context, next) => {
  const name = replacement(rules, specifier, context.parentURL)
  if (name === null) return next(specifier, context)
  return { url: new URL(`${name}.js`, rules.home).href, format: 'module', shortCircuit: true }
}
