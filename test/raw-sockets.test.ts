/** Sockets of families that the library has no words for, beside netlink (`udp.test.ts`): packets, raw IP, and CAN. */
import { describe, expect, it } from 'vitest'
import { datagramSocket, run, type Coroutine, type RawDatagramSocket, type SystemError } from 'coreactor'
import { nativeKernel } from '../lib/kernel/native.js'
import { linux, opensSocket } from './here.js'
import { caught } from './support.js'

const AF_PACKET = 17
const AF_CAN = 29
const CAN_RAW = 1
/** For experiments (IEEE 802). */
const ETH_P_EXPERIMENT = 0x88b5
const ICMP = 1
const ETHERNET_HEADER = 14

/** `struct sockaddr_ll`. */
function linkAddress(protocol: number, interfaceIndex: number): Buffer {
  const address = Buffer.alloc(20)
  address.writeUInt16LE(AF_PACKET)
  address.writeUInt16BE(protocol, 2)
  address.writeInt32LE(interfaceIndex, 4)
  address.writeUInt8(6, 11)
  return address
}

describe.runIf(opensSocket(AF_PACKET, 'raw'))('Packets', () => {
  const lo = nativeKernel().interfaceIndex('lo')

  function* opened(type: 'raw' | 'datagram'): Coroutine<RawDatagramSocket> {
    return yield* datagramSocket({ family: AF_PACKET, type, address: linkAddress(ETH_P_EXPERIMENT, lo) })
  }

  it('come as they are on the wire, or without the header, which is then in the address', () =>
    run(function* () {
      const [whole, bare] = [yield* opened('raw'), yield* opened('datagram')]
      yield* bare.send('hello', linkAddress(ETH_P_EXPERIMENT, lo))
      const seen = yield* whole.recv()
      expect([seen.data.readUInt16BE(12), String(seen.data.subarray(ETHERNET_HEADER))]).toEqual([ETH_P_EXPERIMENT, 'hello'])
      expect([seen.address.length, seen.address.readUInt16LE(), seen.address.readInt32LE(4)]).toEqual([20, AF_PACKET, lo])
      const { data, address } = yield* bare.recv()
      expect([String(data), address.readUInt16BE(2)]).toEqual(['hello', ETH_P_EXPERIMENT])
      const frame = Buffer.alloc(ETHERNET_HEADER + 4)
      frame.writeUInt16BE(ETH_P_EXPERIMENT, 12)
      frame.write('back', ETHERNET_HEADER)
      yield* whole.send(frame, linkAddress(ETH_P_EXPERIMENT, lo))
      expect(String((yield* bare.recv()).data)).toBe('back')
      yield* whole.close()
      yield* bare.close()
    }))

  it('an interface that is not there is an error of binding, and nothing stays open', () =>
    run(function* () {
      const error = (yield* caught(() =>
        datagramSocket({ family: AF_PACKET, type: 'raw', address: linkAddress(ETH_P_EXPERIMENT, 99_999) })
      )) as SystemError
      expect([error.code, error.syscall]).toEqual(['ENODEV', 'bind'])
    }))
})

describe.runIf(opensSocket('IPv4', 'raw', ICMP))('Raw IP', () => {
  it('asks the machine whether it is there', () =>
    run(function* () {
      const socket = yield* datagramSocket({ family: 'IPv4', type: 'raw', protocol: ICMP })
      const local = nativeKernel().encodeAddress({ family: 'IPv4', address: '127.0.0.1', port: 0 }) as Uint8Array
      const request = Buffer.from([8, 0, 0, 0, 0x12, 0x34, 0, 1])
      request.writeUInt16BE(~(0x0800 + 0x1234 + 0x0001) & 0xffff, 2)
      yield* socket.send(request, local)
      for (;;) {
        // With the header of IP; what was asked comes by, too.
        const { data } = yield* socket.recv()
        const message = data.subarray((data.readUInt8() & 0xf) * 4)
        if (message[0] !== 0 || message.readUInt16BE(4) !== 0x1234) continue
        expect(message.readUInt16BE(6)).toBe(1)
        break
      }
      yield* socket.close()
    }))
})

describe.runIf(linux && !opensSocket(AF_CAN, 'raw', CAN_RAW))('CAN on a system without it', () => {
  it('is an error that says what there is none of', () =>
    run(function* () {
      const error = (yield* caught(() => datagramSocket({ family: AF_CAN, type: 'raw', protocol: CAN_RAW }))) as SystemError
      expect([error.code, error.syscall]).toEqual(['EAFNOSUPPORT', 'socket'])
      expect(error.message).toContain(`(family ${AF_CAN}, type raw, protocol ${CAN_RAW})`)
    }))
})
