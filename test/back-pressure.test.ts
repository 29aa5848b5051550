/** Memory stays flat while much is sent to a peer that reads slowly. `test/long` has the same with a gigabyte. */
import { expect, it } from 'vitest'
import { sendToSlowReader } from './slow-reader.js'

const MEGABYTE = 1024 * 1024

it.each([
  ['small writes, which are copied', 4 * 1024],
  ['large writes, which are not', 256 * 1024]
])('hazard 27: 64 MB through a slow reader in %s: what is buffered stays bounded', async (_, size) => {
  const { buffered, grown } = await sendToSlowReader(64 * MEGABYTE, size, MEGABYTE)
  expect(buffered).toBeLessThanOrEqual(64 * 1024 + size)
  // Half of what was sent would be far too much; garbage that is not collected yet is not.
  expect(grown).toBeLessThan(32 * MEGABYTE)
})
