/**
 * What environment variables ask for. Read once, when the library is loaded.
 *
 * `COREACTOR_DEBUG=1`: the guard rails, see `guard-rails.ts`. `COREACTOR_SEED`: a number, or `random`, see `RunOptions`.
 * `COREACTOR_REGISTER`: packages, see `node/register.ts`.
 */
import type { Kernel } from '../kernel/kernel.js'
import { randomFrom } from '../task/random.js'

const { COREACTOR_SEED: seed, COREACTOR_DEBUG: debug, COREACTOR_REGISTER: packages } = process.env

let chosen: number | null = null

export const environment = {
  debug: debug !== undefined && debug !== '' && debug !== '0',

  /** Whose `net` and `dgram` are ours. */
  packages,

  /** The source of the random order of ready tasks; null when none is asked for. */
  random(kernel: Kernel): (() => number) | null {
    if (seed === undefined || seed === '') return null
    if (chosen === null) {
      const number = seed === 'random' ? kernel.entropy() : Number(seed)
      if (!Number.isInteger(number) || number < 0 || number > 0xffff_ffff) {
        throw new RangeError(`COREACTOR_SEED must be "random" or an integer from 0 to 4294967295, not "${seed}"`)
      }
      chosen = number
      if (seed === 'random') process.stderr.write(`coreactor: tasks run in a random order. Again: COREACTOR_SEED=${chosen}\n`)
    }
    return randomFrom(chosen)
  }
}
