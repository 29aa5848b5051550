/** Holds the import table of docs/design.md: imports between the rooms of lib/ go one way, and only these. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const LIB = fileURLToPath(new URL('../lib', import.meta.url))
const NATIVE = fileURLToPath(new URL('../native', import.meta.url))

/** What a room may import besides itself; and what those may import, they may pass on. */
const TABLE: Record<string, readonly string[]> = {
  kernel: [],
  task: [],
  time: ['task'],
  sync: ['task'],
  reactor: ['kernel'],
  runtime: ['task', 'time', 'reactor', 'kernel'],
  jobs: ['runtime', 'sync'],
  io: ['jobs'],
  blocking: ['io'],
  net: ['io', 'blocking'],
  offload: ['runtime', 'sync'],
  node: ['net'],
  testing: ['net']
}

/** Node's own modules that a room may use; what is not here belongs to the kernel. */
const BUILTINS: Record<string, readonly string[]> = {
  kernel: ['node:fs', 'node:module', 'node:url', 'node:os', 'node:util'],
  runtime: ['node:async_hooks', 'node:os', 'node:worker_threads'],
  blocking: ['node:fs', 'node:net', 'node:os', 'node:url', 'node:util'],
  net: ['node:net'],
  offload: [
    'node:async_hooks',
    'node:child_process',
    'node:os',
    'node:path',
    'node:url',
    'node:vm',
    'node:worker_threads'
  ],
  // The shape of Node's own things is what this room is about.
  node: [
    'node:async_hooks',
    'node:diagnostics_channel',
    'node:dns',
    'node:events',
    'node:module',
    'node:net',
    'node:os',
    'node:stream',
    'node:stream/web',
    'node:url',
    'node:util'
  ],
  // The memory kernel's `sendFile`.
  testing: ['node:fs']
}

/** Only the kernel may reach for these; the memory kernel is one, and takes its turns from the host loop. */
const KERNEL_ONLY = [/\bperformance\s*\./, /\bDate\.now\b/, /\bnew Date\b/, /\bset(Timeout|Interval)\b/, /\bMath\.random\b/, /\brequire\(/]

function reachable(room: string): Set<string> {
  const rooms = new Set([room])
  for (const each of rooms) for (const next of TABLE[each] ?? []) rooms.add(next)
  return rooms
}

function sources(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

function imports(source: string): string[] {
  const statements = withoutComments(source).matchAll(/^(?:import|export)\s[^;'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm)
  return [...statements].map((match) => (match[1] ?? match[2] ?? match[3]) as string)
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}

const roomOf = (file: string): string => {
  const [first, ...rest] = relative(LIB, file).split('/')
  return rest.length === 0 ? 'entry' : (first as string)
}

it('every room of lib/ is in the table', () => {
  const rooms = readdirSync(LIB, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(rooms.map((room) => room.name).sort()).toEqual(Object.keys(TABLE).sort())
})

it('imports between the rooms of lib/ go up the table only', () => {
  const broken = sources(LIB, /\.ts$/).flatMap((file) => {
    const room = roomOf(file)
    if (room === 'entry') return []
    return imports(readFileSync(file, 'utf8')).flatMap((specifier) => {
      const where = `${relative(LIB, file)} imports ${specifier}`
      if (specifier.startsWith('node:')) return (BUILTINS[room] ?? []).includes(specifier) ? [] : [where]
      if (!specifier.startsWith('.')) return [where]
      return reachable(room).has(roomOf(resolve(dirname(file), specifier))) ? [] : [where]
    })
  })
  expect(broken).toEqual([])
})

it('entry points only re-export', () => {
  const others = sources(LIB, /\.ts$/)
    .filter((file) => roomOf(file) === 'entry')
    .filter((file) => withoutComments(readFileSync(file, 'utf8')).replace(/export (type )?\{[^}]*\} from '[^']+'/g, '').trim() !== '')
  expect(others).toEqual([])
})

it('nothing but the kernel reads a clock, sets a timer, draws a random number or loads the addon', () => {
  const broken = sources(LIB, /\.ts$/)
    .filter((file) => roomOf(file) !== 'kernel')
    .flatMap((file) => {
      // A socket has a method of that name, as Node's has.
      const code = withoutComments(readFileSync(file, 'utf8')).replace(/^ {2}setTimeout\(|\bsocket\.setTimeout\(/gm, '')
      return KERNEL_ONLY.filter((pattern) => pattern.test(code)).map((pattern) => `${relative(LIB, file)} has ${pattern}`)
    })
  expect(broken).toEqual([])
})

it('native/core includes neither Node-API nor libuv, and only the driver includes uv.h', () => {
  const broken = sources(NATIVE, /\.(cc|h)$/).flatMap((file) => {
    const name = relative(NATIVE, file)
    const includes = [...readFileSync(file, 'utf8').matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)].map((match) => match[1] as string)
    return includes
      .filter((include) => {
        if (/^uv(\.h|\/)/.test(include)) return !/^node\/driver\.(cc|h)$/.test(name)
        if (/^(napi|node_api|js_native_api|node)(\W|$)/.test(include) || include.startsWith('node/')) return name.startsWith('core/') || name.startsWith('test/')
        return false
      })
      .map((include) => `${name} includes ${include}`)
  })
  expect(broken).toEqual([])
})
