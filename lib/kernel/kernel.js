/**
 * The whole operating system, as the library sees it: readiness, sockets, the clock and entropy.
 *
 * Nothing else in `lib/` loads the addon, reads a clock or draws a random number. `native.ts` is the real one;
 * `testing/memory-kernel.ts` is one that lives in memory. Who waits, for how long, and what an errno means is decided
 * above this line; a kernel makes the call and returns a number.
 *
 * Every call that can fail returns a number: >= 0 on success, `-errno` (Linux numbering on Linux) on failure. None throws
 * for a failed system call, and none blocks.
 */
export {};
