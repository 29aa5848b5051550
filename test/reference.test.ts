/** The API reference: nothing is exported that says nothing of itself. `npm run docs` makes it, and follows its links. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { root } from './documents.js'

/** The compiler takes seconds of a processor, which others may be using. */
const PATIENCE = 120_000

/** The sources of what package.json exports. */
function entries(): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string | { import: { default: string } }> }
  return Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [join(root, entry.import.default.replace('./dist/', 'lib/').replace(/\.js$/, '.ts'))]
  )
}

/** Every declaration of a name, such as a value and a type; a function by one of its signatures. */
function isDocumented(declarations: readonly ts.Declaration[]): boolean {
  const documented = (each: ts.Declaration): boolean => ts.getJSDocCommentsAndTags(each).length > 0
  const signatures = declarations.filter(ts.isFunctionDeclaration)
  const others = declarations.filter((each) => !ts.isFunctionDeclaration(each))
  return others.every(documented) && (signatures.length === 0 || signatures.some(documented))
}

it('everything that is exported has a docstring', () => {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile) as { config: object }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(entries(), { ...options, noEmit: true })
  const checker = program.getTypeChecker()
  let looked = 0
  const silent: string[] = []
  for (const entry of entries()) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry) as ts.SourceFile)
    // An entry that only does something exports nothing.
    for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
      const declarations = (symbol.declarations ?? []).filter((each) => each.getSourceFile().fileName.startsWith(join(root, 'lib')))
      looked += declarations.length
      if (!isDocumented(declarations)) silent.push(`${entry.slice(root.length)}: ${exported.name}`)
    }
  }
  expect(looked).toBeGreaterThan(200)
  expect(silent).toEqual([])
}, PATIENCE)
