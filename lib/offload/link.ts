/** The worker's end of the line to its pool: a port in a thread, the channel in a process. */
import { workerData } from 'node:worker_threads'
import type { FromWorker, ThreadData, ToWorker } from './messages.js'
import type { Transferable } from './values.js'

export interface Link {
  receive(take: (message: ToWorker) => void): void
  /** Throws for what cannot be cloned. */
  send(message: FromWorker, transfer: readonly Transferable[]): void
  /** The job that was cancelled last, as far as that is known without a message; 0 for none. */
  readonly cancelled: number
}

export function openLink(): Link {
  const data = workerData as Partial<ThreadData> | null
  return data?.coreactorPort === undefined ? processLink() : threadLink(data as ThreadData)
}

function threadLink({ coreactorPort: port, cancelled }: ThreadData): Link {
  return {
    receive: (take) => void port.on('message', take),
    send: (message, transfer) => port.postMessage(message, transfer as never),
    get cancelled() {
      return Atomics.load(cancelled, 0)
    }
  }
}

function processLink(): Link {
  const send = (process.send as NonNullable<typeof process.send>).bind(process)
  // Its parent has ended, or has let it go.
  process.on('disconnect', () => process.exit())
  return {
    receive: (take) =>
      void process.on('message', (message) => {
        // The module may have messages of its own.
        if (typeof message === 'object' && message !== null && 'do' in message) take(message as ToWorker)
      }),
    // An error means that the parent is gone, and is followed by a disconnect.
    send: (message) => void send(message, undefined, {}, () => {}),
    cancelled: 0
  }
}
