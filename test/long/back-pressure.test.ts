/** `npm run test:long`: a gigabyte through a slow reader, which takes longer than a test should. */
import { expect, it } from 'vitest'
import { sendToSlowReader } from '../slow-reader.js'

const MEGABYTE = 1024 * 1024

it.each([
  ['small writes, which are copied', 4 * 1024],
  ['large writes, which are not', 256 * 1024]
])('hazard 27: a gigabyte through a slow reader in %s: memory stays flat', async (_, size) => {
  const { buffered, grown } = await sendToSlowReader(1024 * MEGABYTE, size, MEGABYTE)
  expect(buffered).toBeLessThanOrEqual(64 * 1024 + size)
  expect(grown).toBeLessThan(48 * MEGABYTE)
})
