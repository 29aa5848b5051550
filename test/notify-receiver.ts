/** A service manager's end of NOTIFY_SOCKET: python3 on a real Unix datagram socket, which Node does not have. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const PROGRAM = `
import json, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1].replace('@', chr(0), 1))
print('ready', flush=True)
for line in sys.stdin:
    print(json.dumps(manager.recv(65536).decode()), flush=True)
`

export class NotifyReceiver {
  private readonly process: ChildProcess
  private readonly lines: AsyncIterator<string>

  private constructor(process: ChildProcess) {
    this.process = process
    this.lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]()
  }

  /** The address is a path, or an abstract name that begins with `@`. */
  static async start(address: string): Promise<NotifyReceiver> {
    const receiver = new NotifyReceiver(spawn('python3', ['-c', PROGRAM, address], { stdio: ['pipe', 'pipe', 'inherit'] }))
    await receiver.lines.next()
    return receiver
  }

  /** The next message; it is left in the queue until somebody asks. */
  async heard(): Promise<string> {
    this.process.stdin!.write('\n')
    return JSON.parse((await this.lines.next()).value as string) as string
  }

  async stop(): Promise<void> {
    const exit = once(this.process, 'exit')
    if (this.process.exitCode !== null) return
    this.process.stdin!.end()
    await exit
  }
}
