/** One line that is written over again and again on a terminal; elsewhere, a line every two seconds. */
const INTERVAL_MS = 2000
const START_OF_LINE = '\r'
const CLEAR_TO_END = '\x1b[K'

export class StatusLine {
  readonly #out: NodeJS.WriteStream
  #shown = false
  #lastAt = -Infinity

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(text: string): void {
    if (this.#out.isTTY) {
      // Cut, because a line that wraps cannot be written over.
      this.#out.write(START_OF_LINE + text.slice(0, this.#out.columns - 1) + CLEAR_TO_END)
      this.#shown = true
    } else if (performance.now() - this.#lastAt >= INTERVAL_MS) {
      this.#out.write(`${text}\n`)
      this.#lastAt = performance.now()
    }
  }

  /** Removes it. */
  clear(): void {
    if (this.#shown) this.#out.write(START_OF_LINE + CLEAR_TO_END)
    this.#shown = false
    this.#lastAt = -Infinity
  }
}
