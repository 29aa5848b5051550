/** The wait that everything in this room shares: in a line, first come first served, until somebody hands it something. */
import { Leaf } from '../task/leaf.js'
import type { Line, Standing } from './line.js'

export abstract class Waiting<T> extends Leaf<T> implements Standing {
  ahead: Standing | null = null
  behind: Standing | null = null
  standing = false
  protected readonly line: Line<Standing>
  /** What it was handed and has not completed with yet. */
  private granted: { value: T } | null = null

  constructor(line: Line<Standing>) {
    super()
    this.line = line
  }

  /** Completes at once, if that is possible. Called only when nobody is waiting who came before. */
  protected abstract take(): boolean

  /** It will not complete after all: `value` goes back to where it came from. False if it cannot. */
  protected abstract giveBack(value: T): boolean

  /** Hands it what it waits for. The caller has taken it out of the line. */
  grant(value: T): void {
    this.granted = { value }
    this.wake()
  }

  protected override attempt(): boolean {
    const { granted } = this
    if (granted !== null) return this.complete(granted.value)
    return this.line.size === 0 && this.take()
  }

  protected override arm(): void {
    this.line.add(this)
  }

  override disarm(): void {
    this.line.delete(this)
  }

  override retract(): boolean {
    const { granted } = this
    if (granted === null) return super.retract()
    this.granted = null
    if (this.giveBack(granted.value)) return true
    this.granted = granted
    return false
  }
}
