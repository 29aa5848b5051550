/** Existing libraries over coreactor, against real servers: `npm run test:interop`, which installs the libraries. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/interop/*.test.ts'], exclude: [], testTimeout: 60_000, hookTimeout: 120_000 }
})
