/** The end of a block that declares something with `await using`. */
import { Cancelled } from './errors.js'
import type { Op } from './types.js'

/**
 * Drives `closing`, which frees what it closes in a cancelled scope, too. Its `Cancelled` is dropped: the next operation
 * throws another, while two of them would leave the block as one SuppressedError, which no scope absorbs.
 */
export async function dispose(closing: Op<void>): Promise<void> {
  try {
    await closing
  } catch (error) {
    if (!(error instanceof Cancelled)) throw error
  }
}
