/** UDP echo over coreactor: what has come goes back from where it lies, a batch at a time. */
import { DatagramSlab, run, udp } from 'coreactor'
import { control } from './control.mjs'

await run(function* () {
  const socket = yield* udp({ host: '127.0.0.1', receiveBuffer: 1 << 20 })
  const slab = new DatagramSlab({ packets: 32, size: 2048 })
  control(socket.localAddress.port)
  for (;;) {
    const count = yield* socket.recvBatch(slab)
    yield* socket.sendBatch(slab, count)
  }
})
