/** The bench's line to a server: it prints its port, answers "cpu" with its CPU time, and ends when stdin does. */
export function control(port) {
  console.log(JSON.stringify({ port }))
  process.stdin.on('data', () => console.log(JSON.stringify(process.cpuUsage())))
  process.stdin.on('end', () => process.exit(0))
}
