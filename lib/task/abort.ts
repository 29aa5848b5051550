/**
 * Where scopes meet AbortSignal. One listener per signal, however many scopes it cancels: an EventTarget compares each
 * listener that is added or removed with all that it has, and warns of a leak from the eleventh on.
 */
import type { Scope } from './scope.js'
import { invalidType } from './validate.js'

class Listener {
  private static readonly listeners = new WeakMap<AbortSignal, Listener>()
  private readonly signal: AbortSignal
  /** Invariant: it listens exactly while there is one. */
  private readonly scopes = new Set<Scope>()
  private readonly abort = (): void => {
    for (const scope of this.scopes) scope.cancelBy(this.signal.reason, null, false)
  }

  private constructor(signal: AbortSignal) {
    this.signal = signal
  }

  static of(signal: AbortSignal): Listener {
    let listener = Listener.listeners.get(signal)
    if (listener === undefined) Listener.listeners.set(signal, (listener = new Listener(signal)))
    return listener
  }

  add(scope: Scope): void {
    if (this.scopes.size === 0) this.signal.addEventListener('abort', this.abort, { once: true })
    this.scopes.add(scope)
  }

  remove(scope: Scope): void {
    if (this.scopes.delete(scope) && this.scopes.size === 0) this.signal.removeEventListener('abort', this.abort)
  }
}

/** Cancels `scope` with the signal's reason when it is aborted, now if it is already. Call what it returns in the end. */
export function cancelOnAbort(scope: Scope, signal: AbortSignal): () => void {
  const listener = Listener.of(signal)
  if (signal.aborted) scope.cancelBy(signal.reason, null, false)
  else listener.add(scope)
  return () => listener.remove(scope)
}

export function checkSignal(signal: unknown): void {
  if (!(signal instanceof AbortSignal)) throw invalidType('options.signal', 'an AbortSignal', signal)
}
