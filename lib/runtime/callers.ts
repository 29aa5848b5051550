/** Where the user's own code has called the library. */

/** Who called: the user's own of the frames on the stack, or `otherwise` if there are none. */
export function callers(depth: number, otherwise?: string): string {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = depth
  const { stack = '' } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  const lines = stack.split('\n').slice(1)
  const own = lines.filter((line) => !OTHERS.some((other) => line.includes(other)))
  return own.length > 0 ? own.join('\n') : (otherwise ?? lines.join('\n'))
}

/** In the frames of others: of Node, of the language's own functions, and of the library, in dist/ or, by source maps, lib/. */
const OTHERS = ['node:', '(<anonymous>)', ...['..', '../../lib/'].flatMap(spellings)]

/** A folder of the library as it may stand in a stack: in a URL, or as a path. */
function spellings(folder: string): string[] {
  // A bundle in CommonJS has no place of its own, and the library's frames in it are the user's.
  if ((import.meta.url as string | undefined) === undefined) return []
  const { pathname } = new URL(folder, import.meta.url)
  return [pathname, decodeURIComponent(pathname)]
}
