/** The end of one blocking job, before and after it has come. What the number means is for whoever submitted the job. */

/** What waits for it. Waking twice is waking once. */
export interface CompletionWaiter {
  wake(): void
}

export class Completion {
  /** What the job returned; undefined until it has ended. */
  result: number | undefined = undefined
  /** Who is told. */
  waiter: CompletionWaiter | null = null
  /** @internal The place in the reactor's table; -1 while it is not expected. */
  slot = -1

  /** @internal The kernel has reported it. */
  deliver(_bits: number, result: number): void {
    this.result = result
    this.waiter?.wake()
  }
}
