/**
 * Whose `net` and `dgram` are ours: what `coreactor/register` and its hooks decide by. Loaded in the thread of Node's hooks,
 * too, and so knows nothing of the rest of the library.
 */
import { CoreactorError } from '../task/errors.js'

/** What is replaced, by the name of the file that takes its place. */
const REPLACED = new Map([
  ['net', 'net'],
  ['node:net', 'net'],
  ['dgram', 'dgram'],
  ['node:dgram', 'dgram']
])

/** The code outside of any package: the program itself. */
export const PROGRAM = '.'

/** A name as npm allows it, also for old packages. */
const PACKAGE = /^(@[\w.~-]+\/)?[\w~-][\w.~-]*$/

/** A package's name comes after the last of these; pnpm has several in a path. */
const FOLDER = '/node_modules/'

export interface Rules {
  /** Null: all code. */
  readonly packages: readonly string[] | null
  /** The URL of the folder of this library, which needs Node's own. */
  readonly home: string
}

/** Names with commas between them; undefined or empty: all code. Throws `ERR_COREACTOR_REGISTER`. */
export function packagesOf(list: string | undefined): readonly string[] | null {
  if (list === undefined || list.trim() === '') return null
  const names = list.split(',').map((name) => name.trim())
  for (const name of names) {
    if (name === PROGRAM || PACKAGE.test(name)) continue
    throw new CoreactorError(
      'ERR_COREACTOR_REGISTER',
      `COREACTOR_REGISTER must be names of packages with commas between them, or "${PROGRAM}" for the program itself; "${name}" is neither`
    )
  }
  return names
}

/** Which file of this library takes the place of `specifier` for the module `parent` (a URL); null: none does. */
export function replacement(rules: Rules, specifier: string, parent: string | undefined): string | null {
  const name = REPLACED.get(specifier)
  if (name === undefined || parent?.startsWith(rules.home) === true) return null
  return rules.packages === null || rules.packages.includes(packageOf(parent)) ? name : null
}

function packageOf(parent: string | undefined): string {
  const at = parent === undefined ? -1 : parent.lastIndexOf(FOLDER)
  if (at < 0) return PROGRAM
  const [first = '', second] = decodeURIComponent((parent as string).slice(at + FOLDER.length)).split('/')
  return first.startsWith('@') ? `${first}/${second}` : first
}
