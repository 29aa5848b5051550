/** Adds up what the test runners have counted, prints `N passed, N failed`, and fails if anything has failed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const failedSteps = Number(process.argv[2] ?? 0)
let passed = 0
let failed = 0
let skipped = 0

const vitest = 'out/test-results.json'
if (existsSync(vitest)) {
  const report = JSON.parse(readFileSync(vitest, 'utf8'))
  passed += report.numPassedTests
  failed += report.numFailedTests
  skipped += report.numPendingTests
  // A file that could not be loaded has no tests to count.
  failed += report.testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length
} else {
  console.log('vitest left no report')
  failed++
}

const native = 'out/native-results'
for (const file of existsSync(native) ? readdirSync(native) : []) {
  // One for each readiness queue.
  const summaries = [...readFileSync(`${native}/${file}`, 'utf8').matchAll(/test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed/g)]
  if (summaries.length === 0) failed++
  for (const [, good, bad] of summaries) {
    passed += Number(good)
    failed += Number(bad)
  }
}

// A step can fail without a test that did: a lint warning, a benchmark that ended early.
if (failedSteps > 0 && failed === 0) failed = failedSteps
if (skipped > 0) console.log(`${skipped} skipped`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
