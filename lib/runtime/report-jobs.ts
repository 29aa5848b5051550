/** What is printed at the end of a process in whose threads something still runs. */
import type { Kernel } from '../kernel/kernel.js'

/** At exit no warning is printed any more: this writes to stderr, at once. */
export function reportJobs(kernel: Kernel): void {
  const jobs = kernel.listJobs()
  if (jobs.length === 0) return
  const title = jobs.length === 1 ? '1 blocking call is' : `${jobs.length} blocking calls are`
  const lines = jobs.map(([what, ms, abandoned]) => {
    const since = ms < 0 ? 'queued' : `for ${Math.round(ms)} ms`
    return `  ${what}, ${since}${abandoned ? ', abandoned' : ''}\n`
  })
  process.stderr.write(`coreactor: ${title} still running at exit:\n${lines.join('')}`)
}
