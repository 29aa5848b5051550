/** TCP_INFO: what the kernel knows of a TCP connection, as an object. Where each number lies, the headers have said. */
import type { OptionTables } from '../kernel/kernel.js'

/** The state of a TCP connection, as the system names it. */
export type TcpState =
  | 'ESTABLISHED'
  | 'SYN_SENT'
  | 'SYN_RECV'
  | 'FIN_WAIT1'
  | 'FIN_WAIT2'
  | 'TIME_WAIT'
  | 'CLOSE'
  | 'CLOSE_WAIT'
  | 'LAST_ACK'
  | 'LISTEN'
  | 'CLOSING'

/**
 * The names are those of the kernel's `struct tcp_info`, without underscores. Of older kernels, whose structure is shorter,
 * the fields that they do not have are undefined. Times are microseconds, those of `last…` milliseconds; rates are bytes a
 * second.
 */
export interface TcpInfo {
  readonly state: TcpState
  readonly caState: number
  readonly retransmits: number
  readonly probes: number
  readonly backoff: number
  readonly options: number
  readonly sndWscale: number
  readonly rcvWscale: number
  readonly rto: number
  readonly ato: number
  readonly sndMss: number
  readonly rcvMss: number
  readonly unacked: number
  readonly sacked: number
  readonly lost: number
  readonly retrans: number
  readonly fackets: number
  readonly lastDataSent: number
  readonly lastAckSent: number
  readonly lastDataRecv: number
  readonly lastAckRecv: number
  readonly pmtu: number
  readonly rcvSsthresh: number
  readonly rtt: number
  readonly rttvar: number
  readonly sndSsthresh: number
  readonly sndCwnd: number
  readonly advmss: number
  readonly reordering: number
  readonly rcvRtt: number
  readonly rcvSpace: number
  readonly totalRetrans: number
  readonly deliveryRateAppLimited?: number
  readonly pacingRate?: bigint
  readonly maxPacingRate?: bigint
  readonly bytesAcked?: bigint
  readonly bytesReceived?: bigint
  readonly segsOut?: number
  readonly segsIn?: number
  readonly notsentBytes?: number
  readonly minRtt?: number
  readonly dataSegsIn?: number
  readonly dataSegsOut?: number
  readonly deliveryRate?: bigint
  readonly busyTime?: bigint
  readonly rwndLimited?: bigint
  readonly sndbufLimited?: bigint
  readonly delivered?: number
  readonly deliveredCe?: number
  readonly bytesSent?: bigint
  readonly bytesRetrans?: bigint
  readonly dsackDups?: number
  readonly reordSeen?: number
  readonly rcvOoopack?: number
  readonly sndWnd?: number
}

export function decodeTcpInfo({ tcpInfo, tcpStates }: OptionTables, bytes: Buffer): TcpInfo {
  const fields = tcpInfo
    .filter(({ offset, bytes: size }) => offset + size <= bytes.length)
    .map(({ name, offset, bytes: size, firstBit, bits }) => {
      const number = numberAt(bytes, offset, size)
      if (name === 'state') return [name, tcpStates[Number(number)] ?? String(number)]
      const value = bits === 0 ? number : (Number(number) >> firstBit) & ((1 << bits) - 1)
      return [name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), value]
    })
  return Object.fromEntries(fields) as TcpInfo
}

/** Of 1, 4 or 8 bytes, in the machine's own order. */
function numberAt(bytes: Buffer, offset: number, size: number): number | bigint {
  const { buffer } = Uint8Array.from(bytes.subarray(offset, offset + size))
  if (size === 8) return new BigUint64Array(buffer)[0] as bigint
  return size === 4 ? (new Uint32Array(buffer)[0] as number) : (bytes[offset] as number)
}
