/** Tests that run over `node:net` and over `coreactor/net`: what one does, the other does. */
import { once, type EventEmitter } from 'node:events'
import * as nodeNet from 'node:net'
import type { AddressInfo, NetConnectOpts, Server, ServerOpts, Socket, TcpNetConnectOpts } from 'node:net'
import { afterEach, describe } from 'vitest'
import ours from 'coreactor/net'

export type Net = typeof nodeNet

export const MODULES: [name: string, net: Net][] = [
  ['node:net', nodeNet],
  ['coreactor/net', ours as unknown as Net]
]

/** What a test leaves open is closed before setup.ts looks. */
const atEnd: (() => void)[] = []

afterEach(() => {
  for (const close of atEnd.splice(0)) close()
})

export function atTestEnd(close: () => void): void {
  atEnd.push(close)
}

export function onBoth(body: (net: Net, name: string) => void): void {
  describe.each(MODULES)('%s', (name, net) => body(net, name))
}

/** Listens on a port of the system's choice; closed, with all its connections, when the test ends. */
export async function listening(net: Net, options: ServerOpts = {}, listener?: (socket: Socket) => void): Promise<Server> {
  const server = net.createServer(options, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeAtEnd(server)
  return server
}

export function closeAtEnd(server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  atTestEnd(() => {
    if (server.listening) server.close()
    for (const socket of sockets) destroyQuietly(socket)
  })
}

export function destroyQuietly(socket: Socket): void {
  socket.on('error', () => {})
  socket.destroy()
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** A socket that is destroyed when the test ends. */
export function connecting(net: Net, options: NetConnectOpts): Socket {
  const socket = net.connect(options)
  atTestEnd(() => destroyQuietly(socket))
  return socket
}

export interface Pair {
  server: Server
  client: Socket
  peer: Socket
}

/** A client and the server's side of its connection, both connected. */
export async function pairOf(net: Net, server: ServerOpts = {}, client: Partial<TcpNetConnectOpts & object> = {}): Promise<Pair> {
  const listener = await listening(net, server)
  const socket = connecting(net, { port: portOf(listener), host: '127.0.0.1', ...client })
  const [[peer]] = (await Promise.all([once(listener, 'connection'), once(socket, 'connect')])) as [[Socket], unknown]
  return { server: listener, client: socket, peer }
}

/** The event, which `once` would not wait for after an error. To be asked for before it can have come. */
export function closeOf(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

/** Notes events in the order in which they come. */
export function noted(emitter: EventEmitter, ...names: string[]): string[] {
  const list: string[] = []
  for (const name of names) {
    emitter.on(name, (...args: unknown[]) => {
      const [first] = args
      const code = first instanceof Error ? ((first as NodeJS.ErrnoException).code ?? first.message) : undefined
      list.push(code === undefined ? (typeof first === 'boolean' ? `${name} ${first}` : name) : `${name} ${code}`)
    })
  }
  return list
}

/** What comes until the end. */
export async function everything(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => (text += chunk))
  await once(socket, 'end')
  return text
}

/** The code that a call throws, or what it gives. */
export function thrown(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
