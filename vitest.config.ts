import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Of itself it leaves CommonJS alone.
  oxc: { include: [/\.c?ts$/] },
  test: {
    include: ['test/**/*.test.ts'],
    // See vitest.long.config.ts and vitest.interop.config.ts.
    exclude: ['test/long/**', 'test/interop/**'],
    setupFiles: ['test/setup.ts'],
    pool: 'forks',
    // The machine has two cores, and some tests count this process's fds.
    maxWorkers: 2,
    // For what hangs. What computes takes ten times as long where others keep the cores busy, and is right all the same.
    testTimeout: 120_000,
    hookTimeout: 60_000
  },
  resolve: {
    alias: [
      { find: /^coreactor$/, replacement: fileURLToPath(new URL('lib/index.ts', import.meta.url)) },
      { find: /^coreactor\/offload$/, replacement: fileURLToPath(new URL('lib/offload.ts', import.meta.url)) },
      { find: /^coreactor\/net$/, replacement: fileURLToPath(new URL('lib/net.ts', import.meta.url)) },
      { find: /^coreactor\/dgram$/, replacement: fileURLToPath(new URL('lib/dgram.ts', import.meta.url)) },
      { find: /^coreactor\/testing$/, replacement: fileURLToPath(new URL('lib/testing.ts', import.meta.url)) }
    ]
  }
})
