/** The echo server in a worker, and then in another one. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

for (const last of [false, true]) {
  const worker = new Worker(new URL('echo.mjs', import.meta.url), { stdout: !last })
  const [code] = await once(worker, 'exit')
  if (code !== 0) process.exit(code)
}
