/**
 * `npm run figure`: draws docs/cpu-per-operation.svg, which the README shows, from bench/results.json. Those are measured by
 *
 *   npm run bench -- --only echo,ping,accept,first,udp --json bench/results.json
 *
 *   node scripts/figure.mjs [FILE]     writes it elsewhere
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

/** What is drawn, in this order, and what it is called for people who do not read benchmarks. */
const ROWS = {
  echo: ['Echo of 64 bytes', 'message'],
  ping: ['PING, 16 pipelined', 'request'],
  first: ['Accept, first byte, close', 'connection'],
  accept: ['Accept and close', 'connection'],
  udp: ['UDP echo of 64 bytes', 'packet']
}
/** Whose bars, and of what colour. Like the grey of the text, each can be read on white and on black: one file for both. */
const NODE = 'Node.js'
const COLOURS = { C: '#8b949e', coreactor: '#2f81f7', [NODE]: '#c2762b' }
const TEXT = '#768390'

const WIDTH = 820
const LABELS = 96
/** Behind the longest bar there is room for its figure. */
const BARS = 540
const BAR = 15
const GAP = 4
const ROW = 3 * (BAR + GAP) + 38
const HEAD = 30

const measured = JSON.parse(readFileSync(join(root, 'bench/results.json'), 'utf8'))
const rows = Object.keys(ROWS).flatMap((name) => measured.results.filter((each) => each.name === name))
if (rows.length === 0) {
  console.error(`bench/results.json has none of ${Object.keys(ROWS).join(', ')}`)
  process.exit(1)
}
writeFileSync(process.argv[2] ?? join(root, 'docs/cpu-per-operation.svg'), figure())

function figure() {
  const height = HEAD + rows.length * ROW + 26
  const title = 'CPU time of the server per operation: a C epoll server, coreactor, and Node.js. Shorter is better.'
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(title)}</title>`,
    `<style>text { font: 13px system-ui, sans-serif; fill: ${TEXT} } .row { font-weight: 600 } .note { font-size: 11px }</style>`,
    `<text x="0" y="16">${escaped(title)}</text>`,
    ...rows.flatMap((row, i) => drawn(row, HEAD + i * ROW)),
    `<text class="note" x="0" y="${height - 6}">${escaped(conditions())}</text>`,
    '</svg>'
  ]
  return `${lines.join('\n')}\n`
}

/** A row has a scale of its own: a pipelined request takes a hundredth of what a connection takes. */
function drawn({ name, entries }, top) {
  const [title, unit] = ROWS[name]
  const bars = Object.keys(COLOURS).flatMap((who) => {
    const entry = entries.find((each) => (who === NODE ? each.name.startsWith('node:') : each.name === who))
    return entry === undefined ? [] : [{ who, ...entry }]
  })
  const longest = Math.max(...bars.map(({ total }) => total))
  const c = bars.find(({ who }) => who === 'C')
  return [
    `<text class="row" x="0" y="${top + 16}">${escaped(`${title}: µs per ${unit}`)}</text>`,
    ...bars.flatMap(({ who, name: called, total }, i) => {
      const y = top + 24 + i * (BAR + GAP)
      const width = Math.max(1, (total / longest) * BARS)
      const ratio = c === undefined || who === 'C' ? '' : ` (${rounded(total / c.total)} × C)`
      return [
        `<text x="0" y="${y + 12}">${escaped(who === NODE ? called : who)}</text>`,
        `<rect x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${COLOURS[who]}"/>`,
        `<text x="${(LABELS + width + 8).toFixed(1)}" y="${y + 12}">${escaped(`${rounded(total)}${ratio}`)}</text>`
      ]
    })
  ]
}

/** Without these the figures mean nothing. */
function conditions() {
  const { date, node, cpu, cores, system, quick } = measured
  const [{ rounds }] = rows
  const said = quick ? 'short rounds, for trying it out' : `medians of ${rounds} rounds`
  return `${date}, Node.js ${node}, ${cpu}, ${cores} cores, ${system}; ${said}. Each row has its own scale.`
}

/** Two digits: more would say that the machine is quieter than it is. */
function rounded(value) {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2)
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
