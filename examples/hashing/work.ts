/** The work of examples/hash-server.ts: it keeps a core busy for as long as it takes. Runs in a worker, or anywhere. */
import { createHash } from 'node:crypto'
import { job } from 'coreactor/offload'

/** How many rounds take a tenth of a millisecond or so: as often it looks whether anybody still wants the result. */
const ROUNDS_AT_A_TIME = 64

/** A hash of a hash of a hash, as a password is stretched: in hexadecimal digits. */
export function stretch(text: string, rounds: number): string {
  let digest: string | Buffer = text
  for (let round = 0; round < rounds; round++) {
    if (round % ROUNDS_AT_A_TIME === 0 && job.active) job.throwIfCancelled()
    digest = createHash('sha256').update(digest).digest()
  }
  return Buffer.from(digest).toString('hex')
}
