/** Programs of differences.test.ts, each with the module that NET names: `node across-processes.mjs PROGRAM`. */
import cluster from 'node:cluster'
import { openSync, closeSync } from 'node:fs'

const { default: net } = await import(process.env.NET)
const say = (...words) => console.log(...words)

const programs = {
  /** Two workers listen on one port; options as JSON. Each says how that went, and they end. */
  cluster() {
    const options = JSON.parse(process.env.OPTIONS)
    if (cluster.isWorker) {
      const server = net.createServer()
      server.on('error', ({ code }) => process.send(code)).on('listening', () => process.send('listening'))
      return void server.listen({ host: '127.0.0.1', ...options })
    }
    const answers = []
    const next = () => {
      const worker = cluster.fork()
      worker.on('message', (answer) => {
        answers.push(answer)
        if (answers.length < 2) return next()
        say(answers.join(' '))
        for (const each of Object.values(cluster.workers)) each.kill()
      })
    }
    next()
  },

  /** Ends the sockets that it is sent. */
  receive() {
    process.on('message', (_message, socket) => {
      socket.resume().end('from a child')
      socket.once('close', () => process.disconnect())
    })
  },

  /** A server that has no fd for another connection, until a line comes. */
  shortage() {
    const server = net.createServer((socket) => socket.end('accepted'))
    server.on('error', ({ code }) => say('error', code))
    server.on('connection', () => say('connection'))
    server.listen(0, '127.0.0.1', () => {
      const fds = []
      try {
        for (;;) fds.push(openSync('/dev/null'))
      } catch ({ code }) {
        say(code, server.address().port)
      }
      process.stdin.once('data', () => fds.forEach((fd) => closeSync(fd)))
      process.stdin.once('end', () => server.close())
    })
  }
}

programs[process.argv[2]]()
