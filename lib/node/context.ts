/** The async context of whoever asks for something, for what is told later: listeners find what AsyncLocalStorage held then. */
import { AsyncResource } from 'node:async_hooks'
import { contexts } from '../task/ambient.js'

/** Null while nobody in this thread uses async contexts: then there is nothing to keep. */
export function keptContext(type: string): AsyncResource | null {
  return contexts.capture() === null ? null : new AsyncResource(type)
}
