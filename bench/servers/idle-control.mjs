/** The line to a server whose memory is measured: it prints its port, answers every line with its bytes. */
export function control(port) {
  console.log(JSON.stringify({ port }))
  process.stdin.on('data', async () => {
    // Twice, with a pass of the loop between: what finalizers free is freed by the second.
    for (let i = 0; i < 2; i++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const { rss: resident, heapUsed: heap } = process.memoryUsage()
    console.log(JSON.stringify({ resident, heap }))
  })
  process.stdin.on('end', () => process.exit(0))
}
