/** Numbers and tables for people. */

export type Row = readonly [title: string, first: string, second: string]

export function printTable(rows: readonly Row[]): void {
  const width = (column: 0 | 1 | 2): number => Math.max(...rows.map((row) => row[column].length))
  const widths = [width(0), width(1), width(2)] as const
  console.log()
  for (const [title, first, second] of rows) {
    console.log(`  ${title.padEnd(widths[0])}   ${first.padStart(widths[1])}   ${second.padStart(widths[2])}`)
  }
  console.log()
}

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en')
}

export function formatMilliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`
}

export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${formatCount(bytes)} bytes`
  return bytes < 1024 * 1024 ? `${formatCount(bytes / 1024)} KiB` : `${formatCount(bytes / 1024 / 1024)} MiB`
}
