/**
 * How long a test waits for what comes for certain: for what hangs, and not for what is slow, as all is where others keep
 * the cores busy. Less than the time that vitest.config.ts gives a test.
 */

/** For a program that ends by itself. */
export const ENDS_MS = 100_000

/** For what goes away by itself a moment after the test, such as the sockets of peers. */
export const SETTLE_MS = 20_000
