/** Prints one measured row as a small table: the median, the spread, and the ratios. */

const fixed = (value, digits = 2) => (value === undefined ? '' : value.toFixed(digits))

export function printTable({ title, entries, load, rounds }) {
  const reference = entries[0]
  const node = entries.find(({ name }) => name.startsWith('node:'))
  const unit = entries[0].unit
  const header = ['', unit, 'min-max', 'user', 'system', `x ${reference.name}`, ...(node ? [`${node.name} /`] : []), 'per second']
  const rows = entries.map((entry) => [
    entry.name,
    fixed(entry.total, entry.total < 10 ? 2 : 0),
    `${fixed(entry.least, entry.total < 10 ? 2 : 0)}-${fixed(entry.most, entry.total < 10 ? 2 : 0)}`,
    fixed(entry.user),
    fixed(entry.system),
    fixed(entry.total / reference.total),
    ...(node ? [fixed(node.total / entry.total)] : []),
    entry.rate === undefined ? '' : Math.round(entry.rate).toLocaleString('en')
  ])
  const kept = header.map((_, i) => i).filter((i) => i === 0 || rows.some((row) => row[i] !== ''))
  const widths = kept.map((i) => Math.max(...[header, ...rows].map((row) => row[i].length)))
  console.log(`\n${title} (median of ${rounds})`)
  for (const row of [header, ...rows]) {
    console.log('  ' + kept.map((i, k) => (k === 0 ? row[i].padEnd(widths[k]) : row[i].padStart(widths[k]))).join('  '))
  }
  if (load > 0.97) console.log(`  (the load's core was saturated, ${Math.round(load * 100)} %: rates are the load's, CPU figures the servers')`)
}
