/** Connections of the memory kernel: who listens where, how a request for a connection gets there, and what comes of it. */
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINPROGRESS, EINVAL, EISCONN, EPROTOTYPE } from '../kernel/errno.js'
import type { AnyAddress } from '../kernel/kernel.js'
import type { Agenda } from './agenda.js'
import { nameOf, type EphemeralPorts } from './memory-address.js'
import type { MemoryFds } from './memory-fds.js'
import type { MemoryRoute } from './memory-kernel.js'
import type { MemorySocket } from './memory-socket.js'

export interface Installed {
  readonly fd: number
  readonly socket: MemorySocket
}

export class MemoryStreams {
  /** By `nameOf` their addresses. */
  private readonly listeners = new Map<string, MemorySocket>()
  private readonly fds: MemoryFds
  private readonly ports: EphemeralPorts
  private readonly network: Readonly<Record<string, MemoryRoute>>
  private readonly agenda: Agenda
  private readonly now: () => number

  constructor(
    fds: MemoryFds,
    ports: EphemeralPorts,
    network: Readonly<Record<string, MemoryRoute>>,
    agenda: Agenda,
    now: () => number
  ) {
    this.fds = fds
    this.ports = ports
    this.network = network
    this.agenda = agenda
    this.now = now
  }

  hasPort(port: number): boolean {
    return this.listeners.has(`port ${port}`)
  }

  bind(socket: MemorySocket, address: AnyAddress): number {
    if (this.listeners.has(nameOf(address))) return EADDRINUSE
    socket.local = this.ports.given(address)
    return 0
  }

  listen(socket: MemorySocket, backlog: number): number {
    const name = nameOf(socket.local)
    if (this.listeners.has(name)) return EADDRINUSE
    socket.state = { kind: 'listening', backlog, queue: [] }
    this.listeners.set(name, socket)
    return 0
  }

  connect(socket: MemorySocket, address: AnyAddress): number {
    if (socket.state.kind !== 'fresh') return EISCONN
    if (socket.local.family !== 'Unix' && socket.local.port === 0) socket.local = this.ports.given({ ...address, port: 0 } as AnyAddress)
    socket.remote = address
    const { delay = 0, unreachable = false, refuses = false } = (address.family === 'Unix' ? undefined : this.network[address.address]) ?? {}
    if (unreachable && delay === 0) return EHOSTUNREACH
    socket.state = { kind: 'connecting' }
    const answer = (): void => this.answer(socket, address, unreachable ? EHOSTUNREACH : refuses ? ECONNREFUSED : 0)
    if (delay === 0) answer()
    else if (delay < Infinity) this.agenda.add(this.now() + delay, answer)
    return EINPROGRESS
  }

  accept(listener: MemorySocket): number {
    if (listener.state.kind !== 'listening') return EINVAL
    const accepted = listener.state.queue.shift()
    if (accepted === undefined) return EAGAIN
    this.admit(listener)
    return this.fds.install(accepted)
  }

  /** The fd is closed, which ends its listening. */
  close(socket: MemorySocket): void {
    if (this.listeners.get(nameOf(socket.local)) === socket) this.listeners.delete(nameOf(socket.local))
  }

  /** Both ends, known to nobody else. */
  connected(first: MemorySocket, second: MemorySocket): readonly [first: Installed, second: Installed] {
    first.remote = second.local
    second.remote = first.local
    first.join(second)
    second.join(first)
    return [
      { fd: this.fds.install(first), socket: first },
      { fd: this.fds.install(second), socket: second }
    ]
  }

  /** The request for a connection has arrived where it went, and is refused with `error` if that is not 0. */
  private answer(socket: MemorySocket, address: AnyAddress, error: number): void {
    // Closed meanwhile.
    if (socket.state.kind !== 'connecting') return
    const listener = this.listeners.get(nameOf(address))
    if (error !== 0 || listener === undefined || listener.state.kind !== 'listening' || listener.type !== socket.type) {
      socket.state = { kind: 'refused' }
      socket.pendingError = error !== 0 ? error : listener === undefined ? ECONNREFUSED : EPROTOTYPE
      socket.changed()
    } else {
      listener.state.queue.push(socket)
      this.admit(listener)
    }
  }

  /** Completes the connections for which the listener's queue has room. Its first `backlog` entries are those. */
  private admit(listener: MemorySocket): void {
    if (listener.state.kind !== 'listening') return
    const { backlog } = listener.state
    // Those that gave up while they were connecting are fresh sockets again.
    const queue = listener.state.queue.filter(({ state }) => state.kind !== 'fresh')
    listener.state.queue = queue
    for (let i = 0; i < Math.min(queue.length, backlog); i++) {
      const client = queue[i] as MemorySocket
      if (client.state.kind !== 'connecting') continue
      // A listener on every address accepts on the one that was connected to.
      const server = listener.another(client.remote as AnyAddress)
      server.remote = client.local
      queue[i] = server
      server.join(client)
      client.join(server)
      listener.changed()
    }
  }
}
