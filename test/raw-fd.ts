/** The kernel below the library, for tests that need an fd that somebody else has opened. */
import { ownRuntime } from '../lib/runtime/current.js'

export const { kernel } = ownRuntime()
