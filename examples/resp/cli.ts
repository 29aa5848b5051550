/** What the two servers do alike when they are started from a command line. */
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Whether the module was started, not imported. */
export function isMain(url: string): boolean {
  const started = process.argv[1]
  // What `node -e` and evaluated workers say there is no file.
  return started !== undefined && existsSync(started) && realpathSync(started) === fileURLToPath(url)
}

export function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port
  console.error(`--port must be a number from 0 to 65535, not ${text}`)
  process.exit(2)
}

/** Resolves at the first SIGINT or SIGTERM. The second one ends the process as it would without us. */
export function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
