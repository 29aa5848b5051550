/** What is read chunk by chunk, as an async loop has it. */
import type { Op } from '../task/types.js'

/** The chunks that come, until the end; leaving the loop early closes nothing. */
export async function* chunksOf(source: { readSome(): Op<Buffer | null> }): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const chunk = await source.readSome()
    if (chunk === null) return
    yield chunk
  }
}
