/** The line to a server whose memory is measured: it prints its port, answers every line with its bytes. */
export function control(port) {
  console.log(JSON.stringify({ port }))
  process.stdin.on('data', () => {
    const { rss: resident, heapUsed: heap } = process.memoryUsage()
    console.log(JSON.stringify({ resident, heap }))
  })
  process.stdin.on('end', () => process.exit(0))
}
