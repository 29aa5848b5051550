/** The line to a server whose memory is measured: it prints its port, answers every line with its resident bytes. */
export function control(port) {
  console.log(JSON.stringify({ port }))
  process.stdin.on('data', async () => {
    // Twice, with a pass of the loop between: what finalizers free is freed by the second.
    for (let i = 0; i < 2; i++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    console.log(JSON.stringify({ resident: process.memoryUsage.rss() }))
  })
  process.stdin.on('end', () => process.exit(0))
}
