/** The tests that take minutes: `npm run test:long`. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({ ...base, test: { ...base.test, include: ['test/long/**/*.test.ts'], exclude: [], testTimeout: 600_000 } })
