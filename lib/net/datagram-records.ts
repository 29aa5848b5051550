/** The records of datagrams, as `layout.ts` describes them: where the kernel writes what it knows of each. */
import {
  DATAGRAM_TRUNCATED,
  DATAGRAM_WITH_TOS,
  RECORD_ADDRESS,
  RECORD_ADDRESS_LENGTH,
  RECORD_DROPPED,
  RECORD_ERROR,
  RECORD_ERROR_CODE,
  RECORD_ERROR_INFO,
  RECORD_ERROR_ORIGIN,
  RECORD_ERROR_TYPE,
  RECORD_FLAGS,
  RECORD_INTERFACE,
  RECORD_INTS,
  RECORD_LENGTH,
  RECORD_LOCAL,
  RECORD_LOCAL_LENGTH,
  RECORD_NANOSECONDS,
  RECORD_RESULT,
  RECORD_SECONDS,
  RECORD_SEGMENT,
  RECORD_TOS
} from '../kernel/layout.js'
import type { Runtime } from '../runtime/runtime.js'

export const RECORD_BYTES = RECORD_INTS * Int32Array.BYTES_PER_ELEMENT

export class DatagramRecords {
  private static readonly single = new WeakMap<Runtime, DatagramRecords>()
  readonly bytes: Uint8Array
  private readonly ints: Int32Array

  /** In the first bytes of `buffer`. */
  constructor(buffer: ArrayBuffer, count: number) {
    this.bytes = new Uint8Array(buffer, 0, count * RECORD_BYTES)
    this.ints = new Int32Array(buffer, 0, count * RECORD_INTS)
  }

  /** One record, for the next system call only. */
  static of(runtime: Runtime): DatagramRecords {
    let records = DatagramRecords.single.get(runtime)
    if (records === undefined) {
      records = new DatagramRecords(new ArrayBuffer(RECORD_BYTES), 1)
      DatagramRecords.single.set(runtime, records)
    }
    return records
  }

  length(i: number): number {
    return this.at(i, RECORD_LENGTH)
  }

  truncated(i: number): boolean {
    return (this.at(i, RECORD_FLAGS) & DATAGRAM_TRUNCATED) !== 0
  }

  /** Bytes of each datagram that the data are made of; 0 where they are one. */
  segment(i: number): number {
    return this.at(i, RECORD_SEGMENT)
  }

  /** -1 where it is not known. */
  tos(i: number): number {
    return this.at(i, RECORD_TOS)
  }

  interface(i: number): number {
    return this.at(i, RECORD_INTERFACE)
  }

  dropped(i: number): number {
    return this.at(i, RECORD_DROPPED) >>> 0
  }

  /** Milliseconds since 1970, with fractions; 0 where it is not known. */
  receivedAt(i: number): number {
    return (this.at(i, RECORD_SECONDS) >>> 0) * 1e3 + (this.at(i, RECORD_NANOSECONDS) >>> 0) / 1e6
  }

  result(i: number): number {
    return this.at(i, RECORD_RESULT)
  }

  /** Of what `receiveDatagramError` has received; `errno` is negative. */
  networkError(i: number): { errno: number; origin: number; type: number; code: number; info: number } {
    return {
      errno: -this.at(i, RECORD_ERROR),
      origin: this.at(i, RECORD_ERROR_ORIGIN),
      type: this.at(i, RECORD_ERROR_TYPE),
      code: this.at(i, RECORD_ERROR_CODE),
      info: this.at(i, RECORD_ERROR_INFO) >>> 0
    }
  }

  addressLength(i: number): number {
    return this.at(i, RECORD_ADDRESS_LENGTH)
  }

  /** Where in `bytes` the address is. */
  addressAt(i: number): number {
    return i * RECORD_BYTES + RECORD_ADDRESS
  }

  localLength(i: number): number {
    return this.at(i, RECORD_LOCAL_LENGTH)
  }

  localAt(i: number): number {
    return i * RECORD_BYTES + RECORD_LOCAL
  }

  setLength(i: number, length: number): void {
    this.ints[i * RECORD_INTS + RECORD_LENGTH] = length
  }

  setResult(i: number, result: number): void {
    this.ints[i * RECORD_INTS + RECORD_RESULT] = result
  }

  /** Of a datagram to send: undefined is the connected peer. */
  setAddress(i: number, address: Uint8Array | undefined): void {
    this.ints[i * RECORD_INTS + RECORD_ADDRESS_LENGTH] = address === undefined ? 0 : address.length
    if (address !== undefined) this.bytes.set(address, this.addressAt(i))
  }

  /** Of a datagram to send; `segment` 0 and `tos` -1 are nothing in particular. */
  setMarks(i: number, segment: number, tos: number): void {
    const at = i * RECORD_INTS
    this.ints[at + RECORD_SEGMENT] = segment
    this.ints[at + RECORD_TOS] = tos
    this.ints[at + RECORD_FLAGS] = tos < 0 ? 0 : DATAGRAM_WITH_TOS
  }

  private at(i: number, column: number): number {
    return this.ints[i * RECORD_INTS + column] as number
  }
}
