/** What `send` may be given, as a list of bytes: the ways in which node:dgram has it. */
import { invalidType } from '../task/validate.js'
import { outOfBounds } from './datagram-errors.js'

const EXPECTED = 'of type string or an instance of Buffer, TypedArray, or DataView'

/** `send(buffer, offset, length, …)` */
export function part(data: unknown, offset: unknown, length: unknown): Uint8Array {
  const bytes = bytesOf('buffer', data)
  const from = (offset as number) >>> 0
  const count = (length as number) >>> 0
  if (from > bytes.byteLength) throw outOfBounds('offset')
  if (from + count > bytes.byteLength) throw outOfBounds('length')
  return bytes.subarray(from, from + count)
}

/** `send(bufferOrList, …)`; a list is sent as one datagram. */
export function listOf(data: unknown): Uint8Array | readonly Uint8Array[] {
  if (!Array.isArray(data)) return bytesOf('buffer', data)
  return data.map((each) => {
    if (typeof each !== 'string' && !ArrayBuffer.isView(each)) throw invalidType('buffer list arguments', EXPECTED, data)
    return bytesOf('buffer', each)
  })
}

function bytesOf(name: string, data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  throw invalidType(name, EXPECTED, data)
}
